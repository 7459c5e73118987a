#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Real programs (sqlite3, redis-server, python3, a C++ compiler), each with a fixed job, under heaptrack, under jemalloc's
own profiler and under `record -e heap`: totals, the top sites by bytes with everybody's share of them, and what the job
took of wall and CPU time. A program first waits for its job on its standard input (redis-server for its clients): what
it allocates before that counts for nobody but jemalloc.

heaptrack  preloaded, its raw file alone (what is cheapest of it): every call
jemalloc   prof:true,prof_accum:true,lg_prof_sample:19; also preloaded where it is not the program's own allocator
exact      --exact
sampled    --heap-budget 100%: probes on every call, samples of the usual interval
usual      the usual budget, mostly windows; the job is some times larger, its values are divided by that

What is compared with comes by scripts/install-dependencies.sh peers; what is missing is said.

    bench_heap_peers.py BOLOMETER [PROGRAM...]
"""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
from heap_peer_files import of_heaptrack, of_jemalloc, of_profile  # noqa: E402
from profile_reader import Profile  # noqa: E402

HEAPTRACK = "/usr/lib/heaptrack/libheaptrack_preload.so"
JEMALLOC = "libjemalloc.so.2"
OPTIONS = {"exact": ["--exact"], "sampled": ["--heap-budget", "100%"], "usual": []}
TOOLS = ("alone", "heaptrack", "jemalloc", *OPTIONS)
START_SECONDS = 1.5 # until a program waits for its job, and a recorder has probed it
IDLE_MS = 300 # of that, surely after the program's own start
TOP = 10
TIMEOUT = 120
PORT = "17379"

STATEMENTS = """
create table t(a integer primary key, b text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
  insert into t select i, hex(i * 7919) || 'text' from n;
create index tb on t(b);
select count(*), max(b) from t where b like '%1text' order by b;
select group_concat(substr(b, 1, 4)) from (select b from t order by b desc) limit 1;
drop table t;
"""
SCRIPT = """
import json, re
def unit(n):
    words = [f"word{i % 97}-{i + n}" * 12 for i in range(400)]
    index = {}
    for word in words:
        index.setdefault(re.sub("[0-9]+", "", word), []).append(word.encode().decode("ascii"))
    return json.loads(json.dumps(index)), sorted(words), "".join(words).split("-"), list(range(n % 1000))
"""
FUNCTION = """
template <class T> struct Box{n} {{ T value; Box{n} *next; T sum() const {{ return next ? value + next->sum() : value; }} }};
long f{n}(long x, const long *a) {{ Box{n}<long> b = {{x, 0}}, c = {{a[x & 7], &b}}; long s = 0;
  for (int i = 0; i < x; i++) s += a[i] * {n} ^ (s >> 3); switch (s & 7) {{ case 1: return s; case 2: return c.sum(); }} return b.sum() + s; }}
"""


class Piped:
    """A program that is told its job on its standard input."""

    def __init__(self, name, command, work, units, times, environment=None):
        self.name, self.command, self.work = name, command, work
        self.units, self.times, self.environment = units, times, environment or {}

    def start(self, environment):
        return subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, env={**os.environ, **self.environment, **environment})

    def do(self, program, units):
        program.stdin.write(self.work(units).encode())
        program.stdin.close()


class Redis(Piped):
    """A server whose job is done by clients, then it is told to end."""

    def do(self, program, units):
        for test in ("set", "lpush", "hset", "lrange_100"):
            subprocess.run(["redis-benchmark", "-p", PORT, "-t", test, "-n", str(units), "-P", "16", "-c", "10", "-d", "200",
                            "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
        subprocess.run(["redis-cli", "-p", PORT, "shutdown", "nosave"], stdout=subprocess.DEVNULL, check=False,
                       timeout=TIMEOUT)


def programs():
    """Those that this machine has, or their names alone."""
    compiler = shutil.which("g++") and subprocess.run(["g++", "-print-prog-name=cc1plus"], capture_output=True, text=True,
                                                      check=True).stdout.strip()
    yield shutil.which("sqlite3") and Piped("sqlite3", ["sqlite3", ":memory:"], lambda n: STATEMENTS * n, 50, 80), "sqlite3"
    yield shutil.which("redis-server") and shutil.which("redis-benchmark") and Redis(
        "redis-server", ["redis-server", "--port", PORT, "--save", "", "--appendonly", "no"], None, 20000, 25), "redis-server"
    yield Piped("python3", [sys.executable, "-I", "-S", "-"], lambda n: f"{SCRIPT}\nfor n in range({n}): unit(n)\n",
                40, 80, {"PYTHONHASHSEED": "0", "PYTHONMALLOC": "malloc"}), "python3 (PYTHONMALLOC=malloc)"
    yield compiler and os.path.isabs(compiler) and Piped(
        "cc1plus", [compiler, "-quiet", "-O2", "-", "-o", "/dev/null"],
        lambda n: "".join(FUNCTION.format(n=i) for i in range(n)), 100, 40), "cc1plus"


# ---- A run -------------------------------------------------------------------------------------------


def library(name):
    paths = [pathlib.Path(directory) / name for directory in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")]
    return next((str(path) for path in paths if path.exists()), None)


def environment_of(tool, directory):
    """What the program's environment gets, or None: the tool is not installed."""
    if tool == "heaptrack":
        return {"LD_PRELOAD": HEAPTRACK, "DUMP_HEAPTRACK_OUTPUT": f"{directory}/raw"} if os.path.exists(HEAPTRACK) else None
    if tool == "jemalloc":
        settings = f"prof:true,prof_accum:true,lg_prof_sample:19,prof_final:true,prof_prefix:{directory}/dump"
        return library(JEMALLOC) and {"LD_PRELOAD": library(JEMALLOC), "MALLOC_CONF": settings}
    return {}


def cpu_seconds(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


class Run:
    """Of a program with its job under a tool: `sites` (None where the tool tells none), wall and CPU time of the job."""

    def __init__(self, bolometer, program, tool, directory):
        self.times = program.times if tool == "usual" else 1
        begun = time.monotonic()
        running = program.start(environment_of(tool, directory))
        recorder = self.recorder(bolometer, tool, running.pid, directory)
        time.sleep(START_SECONDS)
        before, begin = cpu_seconds(running.pid), time.monotonic()
        program.do(running, program.units * self.times)
        _, status, usage = os.wait4(running.pid, 0)
        self.wall = (time.monotonic() - begin) / self.times
        self.cpu = (usage.ru_utime + usage.ru_stime - before) / self.times
        running.returncode = os.waitstatus_to_exitcode(status)
        if recorder:
            recorder.send_signal(signal.SIGINT)
            recorder.wait(timeout=TIMEOUT)
        self.read(tool, directory, (begin - begun) * 1e3 - IDLE_MS)

    @staticmethod
    def recorder(bolometer, tool, pid, directory):
        if tool not in OPTIONS:
            return None
        return subprocess.Popen([bolometer, "record", "-q", "-e", "heap", *OPTIONS[tool], "-p", str(pid), "-d",
                                 f"{TIMEOUT}s", "-o", f"{directory}/x.pb.gz"], stdin=subprocess.DEVNULL)

    def read(self, tool, directory, from_ms):
        self.sites, self.names, self.comments = None, {}, {}
        if tool == "heaptrack":
            self.sites = of_heaptrack(f"{directory}/raw", from_ms)
        elif tool == "jemalloc":
            dumps = list(pathlib.Path(directory).glob("dump*.heap"))
            self.sites = of_jemalloc(dumps[0]) if dumps else None
        elif tool in OPTIONS:
            profile = Profile.read(f"{directory}/x.pb.gz")
            self.sites = of_profile(profile)
            self.comments = dict(text.split("=", 1) for text in profile.comments if "=" in text)
            self.names = {(pathlib.Path(frame.mapping.file).name, frame.address): frame.function
                          for sample in profile.samples for frame in sample.frames if frame.mapping and frame.function}


# ---- Tables ------------------------------------------------------------------------------------------


def name_of(site, names):
    return " < ".join(names.get(call) or f"{call[0]}+{call[1]:x}" for call in site)


def note_of(run):
    low, high = (int(run.comments.get(f"windows_space_{end}_95_bytes", 0)) for end in ("low", "high"))
    method = run.comments.get("heap_method", "")
    if method != "windows":
        return method
    return (f"{run.comments['heap_windows']} windows, {run.comments['heap_samples']} samples; by its bounds bytes "
            f"{low / run.times / 1e6:.1f} to {high / run.times / 1e6:.1f} MB")


def tell_totals(runs):
    for tool, run in runs.items():
        objects, bytes_ = run.sites.total() if run.sites else (0, 0)
        told = f"{objects / run.times:>12,.0f} {bytes_ / run.times / 1e6:>10.2f} MB" if run.sites else " " * 26
        print(f"  {tool:9} {told}  wall {run.wall:7.3f} s  CPU {run.cpu:7.3f} s ({run.cpu / runs['alone'].cpu:5.2f} times)  "
              f"{note_of(run)}")


def tell_sites(runs):
    truth = "heaptrack" if "heaptrack" in runs else "exact"
    told = [tool for tool in runs if runs[tool].sites]
    names = {call: name for run in runs.values() for call, name in run.names.items()}
    print("  " + " ".join(f"{tool:>9}" for tool in told) + "  share of all bytes at the site")
    top = runs[truth].sites.top(TOP)
    for site in top:
        print("  " + " ".join(f"{runs[tool].sites.share(site):9.2%}" for tool in told) + "  " + name_of(site, names))
    for tool in told:
        if tool != truth:
            worst = max(set(top) | set(runs[tool].sites.top(TOP)), key=lambda site, tool=tool: abs(
                runs[tool].sites.share(site) - runs[truth].sites.share(site)))
            off = (runs[tool].sites.share(worst) - runs[truth].sites.share(worst)) * 100
            print(f"  {tool} is off {truth} by {off:+.2f} points at most: {name_of(worst, names)}")


def main(bolometer, *wanted):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        return 77
    for program, name in programs():
        if wanted and name.split()[0] not in wanted:
            continue
        if not program:
            print(f"{name} is not installed")
            continue
        runs = {}
        for tool in TOOLS:
            with tempfile.TemporaryDirectory() as directory:
                if environment_of(tool, directory) is None:
                    print(f"{tool} is not installed")
                    continue
                runs[tool] = Run(bolometer, program, tool, directory)
        print(f"{name}: allocations and bytes of one job, and what it took", flush=True)
        tell_totals(runs)
        tell_sites(runs)
    return 0


sys.exit(main(*sys.argv[1:]))
