#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Real programs under `record -e heap --exact`, all at once: an interpreter, a database, a compiler. What each of them
allocated is, to the byte, what a library counts that stands between it and the C library's allocator.

    test_heap_real.py BOLOMETER WORKLOADS
"""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from heap_recording import LOST, NO_LINKS, TIMEOUT, expect_ended, lacks_links
from profile_reader import Profile
from recording import Program, Undecided, expect, main

SOURCE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCE / "memory"))
from builds import compiled  # noqa: E402

LATE = 77  # the probes came too late
SCRIPT = """
import json, re
words = [f"word{i % 97}-{i}" for i in range(300)]
index = {}
for word in words:
    index.setdefault(re.sub("[0-9]+", "", word), []).append(word)
json.loads(json.dumps(index))
"""
STATEMENTS = """
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
  insert into t select i, hex(i) || 'text' from n;
create index tb on t(b);
select count(*), max(b) from t where b like '%1text' order by b;
"""
CODE = """
template <int n> struct Sum { static constexpr int value = Sum<n - 1>::value + n; };
template <> struct Sum<0> { static constexpr int value = 0; };
int main() { return Sum<20>::value; }
"""


def commands(directory):
    """Name -> command, of what this machine has."""
    found = {"python3": [sys.executable, "-I", "-S", "-c", SCRIPT]}
    if shutil.which("sqlite3"):
        found["sqlite3"] = ["sqlite3", ":memory:", STATEMENTS]
    compiler = shutil.which("g++") and subprocess.run(
        ["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True, check=True).stdout.strip()
    if compiler and os.path.isabs(compiler):
        source = pathlib.Path(directory) / "code.cc"
        source.write_text(CODE, encoding="ascii")
        found["cc1plus"] = [compiler, "-quiet", "-O1", str(source), "-o", f"{directory}/code.s"]
    return found


def real(bench):
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory, contextlib.ExitStack() as stack:
        library = compiled(directory, "count.so", ["gcc", "-g", "-O1", "-fPIC", "-shared", "-fno-builtin",
                                                   str(SOURCE / "memory/count_allocations.c")])
        if not library:
            return "SKIPPED: no compiler, or not this C library"
        programs = {name: stack.enter_context(Program(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            env={**os.environ, "LD_PRELOAD": library, "PYTHONMALLOC": "malloc",
                 "COUNT_ALLOCATIONS": f"{directory}/{name}"})) for name, command in commands(directory).items()}
        pids = [option for program in programs.values() for option in ("-p", str(program.pid))]
        recorder = stack.enter_context(Program(
            [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-d", f"{TIMEOUT}s",
             "-o", f"{directory}/x.pb.gz", *pids], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        status = {name: program.wait(timeout=TIMEOUT) for name, program in programs.items()}
        recorder.send_signal(signal.SIGINT)
        _, errors = recorder.communicate(timeout=TIMEOUT)
        if lacks_links(errors):
            return NO_LINKS
        if recorder.returncode != 1:
            expect_ended(recorder, errors)
        if LATE in status.values():
            raise Undecided(f"the probes came too late: {status}")
        expect(not any(status.values()), f"the programs ended with {status}")
        profile = Profile.read(f"{directory}/x.pb.gz")
        true = {name: [int(word) for word in (pathlib.Path(directory) / name).read_text("ascii").split()]
                for name in programs}
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    if lost := [f"{name}={counters[name]}" for name in (*LOST, "heap_lost_places") if int(counters.get(name, 0))]:
        raise Undecided(" ".join(lost))
    for name, program in programs.items():
        samples = [sample for sample in profile.samples if sample.labels.get("process.pid") == program.pid
                   and "wait_for_probes" not in sample.names]
        seen = [sum(sample.values[kind] for sample in samples) for kind in ("alloc_objects", "alloc_space")]
        expect(seen == true[name], f"{name}: {seen} objects and bytes seen, {true[name]} counted")
    return ", ".join(f"{name}: {values[0]} allocations" for name, values in true.items())


main([real], keeps_awake=False)
