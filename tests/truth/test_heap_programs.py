#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs that become others, by exec, and that start others, by posix_spawn and fork: what each of them
allocated is its own, to the byte, whatever the others do.

    test_heap_programs.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from heap_recording import LOST, NO_LINKS, TIMEOUT, TYPES, changed_code, expect_ended, lacks_links
from profile_reader import Profile
from recording import Failure, Program, Undecided, expect, main

PATIENCE = 45  # programs wait 20 s for probes, those that follow another one 20 s more


class Runs:
    """Programs that run beside each other, and what was recorded of all of them."""

    def __init__(self, bench, lines, *options):
        """`lines`: what to run -> how many lines it says."""
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            path = pathlib.Path(directory) / "x.pb.gz"
            programs = {how: stack.enter_context(
                Program(bench.workload("heap_programs", how), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
                for how in lines}
            pids = [option for program in programs.values() for option in ("-p", str(program.pid))]
            recorder = stack.enter_context(Program(
                [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-d", f"{TIMEOUT}s", "-o", str(path),
                 *pids, *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            self.told = {how: [json.loads(line) for line in lines_of(program, recorder, lines[how])]
                         for how, program in programs.items()}
            recorder.send_signal(signal.SIGINT)
            _, errors = recorder.communicate(timeout=TIMEOUT)
            for program in programs.values():
                program.stdin.close()
            self.status = [program.wait(timeout=TIMEOUT) for program in programs.values()]
            self.has_links = not lacks_links(errors)
            if self.has_links:
                expect_ended(recorder, errors)
                self.profile = Profile.read(path)

    def seen(self, pid, place):
        samples = [sample for sample in self.profile.samples
                   if sample.labels.get("process.pid") == pid and place in sample.names]
        return [sum(sample.values[kind] for sample in samples) for kind in TYPES]

    def expect_exact(self):
        expect(not any(self.status), f"the programs ended with {self.status}")
        counters = dict(text.split("=", 1) for text in self.profile.comments if "=" in text)
        wrong = []
        for how, lines in self.told.items():
            for line in lines:
                if not line["probed"]:
                    raise Undecided(f"{how}: the probes came too late for it")
                seen = self.seen(line["pid"], line["place"])
                if seen != line["values"]:
                    wrong.append(f"{how}, {line['place']}: {seen} seen, {line['values']} true")
        if lost := [f"{name}={counters[name]}" for name in LOST if int(counters.get(name, 0))]:
            raise Undecided(" ".join(lost))
        if wrong:
            raise Failure("; ".join(wrong))
        objects = sum(line["values"][0] for lines in self.told.values() for line in lines)
        return f"{objects} allocations of {', '.join(self.told)}"


def lines_of(program, recorder, count):
    """As many as it says before it waits."""
    lines = []
    while len(lines) < count:
        ready, _, _ = select.select([program.stdout], [], [], PATIENCE)
        if not ready or recorder.poll() is not None:
            return lines
        lines.append(program.stdout.readline())
    return lines


def programs(bench):
    """Two processes that become another program, one that starts one, one that forks."""
    lines = {"exec": 2, "thread_exec": 2, "spawn": 2, "forks": 2}
    runs = Runs(bench, lines, "--children")
    if not runs.has_links:
        return NO_LINKS
    return runs.expect_exact()


def entries(bpftool, pid, name):
    """Of the map with that name which the process has open; None: it has none."""
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found = re.search(r"^map_id:\s*(\d+)", file.read_text(encoding="ascii"), re.M)
            shown = found and subprocess.run([bpftool, "-j", "map", "show", "id", found[1]], capture_output=True,
                                             text=True, check=False).stdout
            if shown and json.loads(shown).get("name") == name:
                dump = subprocess.run([bpftool, "-j", "map", "dump", "id", found[1]], capture_output=True,
                                      text=True, check=True).stdout
                return len(json.loads(dump))
    return None


def killed_inside(bench):
    """Threads that are killed while they allocate: of the calls that never return nothing stays in the table, which
    would fill up with them."""
    bpftool = shutil.which("bpftool") or shutil.which("bpftool", path="/usr/sbin:/sbin")
    if not bpftool:
        return "SKIPPED: no bpftool to look into the table"
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        killed = [stack.enter_context(Program(["nice", "-n", "10", *bench.workload("heap", "churn")],
                                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)) for _ in range(4)]
        pids = [option for program in killed for option in ("-p", str(program.pid))]
        recorder = stack.enter_context(Program(
            [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "--no-symbolize", "-d", f"{TIMEOUT}s",
             "-o", f"{directory}/x.pb.gz", *pids], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        until = time.monotonic() + PATIENCE
        while not all(changed_code(program.pid) for program in killed) and time.monotonic() < until:
            if recorder.poll() is not None:
                break
            time.sleep(0.1)
        time.sleep(0.5)
        for program in killed:
            program.kill()
            program.wait()
        before = left = entries(bpftool, recorder.pid, "heap_pending")
        while left and time.monotonic() < until:
            time.sleep(0.2)
            left = entries(bpftool, recorder.pid, "heap_pending")
        recorder.send_signal(signal.SIGINT)
        _, errors = recorder.communicate(timeout=TIMEOUT)
    if lacks_links(errors):
        return NO_LINKS
    expect_ended(recorder, errors)
    expect(not left, f"{left} calls of dead threads stay in the table")
    if not before:
        raise Undecided("no thread was killed inside the allocator")
    return f"{before} of {2 * len(killed)} threads were killed inside the allocator"


main([programs, killed_inside], keeps_awake=False)
