#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a recording costs, under two loads on every CPU: steady (a chain of 24 C++ functions without
frame pointers) and busy (g++ compiling in a loop: forks, cold code). Costs that start with a
recording are told from those of its samples by two recordings of different length. `perf record
--call-graph dwarf` with `perf script` runs under the same loads for comparison.

    bench_record.py BOLOMETER CHAIN [SECONDS]
"""

import contextlib
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
from profile_reader import Profile  # noqa: E402

STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
CPUS = os.cpu_count()


def counters(path):
    pairs = (comment.rpartition("=") for comment in Profile.read(path).comments)
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


@contextlib.contextmanager
def bpf_statistics():
    before = STATS.read_text()
    STATS.write_text("1")
    try:
        yield
    finally:
        STATS.write_text(before)


@contextlib.contextmanager
def load(command):
    """One instance on each CPU until the block ends."""
    running = [subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(CPUS)]
    time.sleep(1)
    try:
        yield
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def record(bolometer, directory, seconds, *options):
    path = directory / "x.pb.gz"
    subprocess.run([bolometer, "record", "-q", "-d", f"{seconds}s", "-o", path, *options],
                   check=True, stdin=subprocess.DEVNULL)
    return counters(path)


def per_sample(bolometer, directory, seconds):
    short = record(bolometer, directory, 3)
    long = record(bolometer, directory, 3 + seconds)
    samples = long["samples"] - short["samples"]
    complete = sum(long.get("end." + end, 0)
                   for end in ("complete", "exiting", "starting a program"))
    return {
        "bpf": (long["bpf_ns"] - short["bpf_ns"]) / samples / 1e3,
        "cpu": (long["own_cpu_ns"] - short["own_cpu_ns"]) / samples / 1e3,
        "memory": long["memory_bytes"] / 1e6,
        "complete": 100 * complete / long["samples"],
    }


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def perf(directory, seconds):
    """CPU for 1,000 samples and bytes of perf with copied stacks, or None."""
    if not shutil.which("perf"):
        return None
    data, before = directory / "perf.data", children_cpu()
    subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "99", "-a", "--call-graph",
                    "dwarf,16384", "-o", data, "sleep", str(seconds)], check=True,
                   stderr=subprocess.DEVNULL)
    script = subprocess.run(["perf", "script", "-i", data, "-F", "ip,sym"], text=True,
                            errors="replace", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=False).stdout
    samples = script.count("\n\n") or 1
    return {"cpu": (children_cpu() - before) / samples * 1e6, "bytes": data.stat().st_size / samples}


def show(name, ours, theirs, our_bytes):
    print(f"{name:<7} BPF {ours['bpf']:6.2f} us a sample   userspace {ours['cpu']:6.2f} ms for 1,000"
          f" samples   memory {ours['memory']:5.1f} MB   complete {ours['complete']:.2f} %")
    if theirs:
        print(f"        perf dwarf: {theirs['cpu']:6.1f} ms CPU for 1,000 samples"
              f" ({theirs['cpu'] / max(ours['cpu'], 1e-9):.0f} times ours),"
              f" {theirs['bytes']:.0f} bytes a sample (ours {our_bytes:.0f})")
    sys.stdout.flush()


def start(bolometer, directory):
    for name, options in (("no cache", ["--no-cache"]), ("cache filled", []), ("cached", [])):
        c = record(bolometer, directory, 1, *options)
        print(f"start   {name}: first complete stack after {c['first_complete_ns'] / 1e6:.0f} ms,"
              f" {c['own_cpu_ns'] / 1e6:.0f} ms CPU in the first second")


def main():
    bolometer, chain = sys.argv[1:3]
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    if os.geteuid() != 0:
        print("needs root")
        return 77
    source = ("#include <algorithm>\n#include <map>\n#include <regex>\n#include <string>\n"
              "std::map<std::string, std::regex> m; int main() { return m.size(); }\n")
    with tempfile.TemporaryDirectory() as name, bpf_statistics():
        directory = pathlib.Path(name)
        (directory / "x.cc").write_text(source)
        compile_loop = ["sh", "-c", f"while :; do g++ -O2 -c {directory}/x.cc -o /dev/null; done"]
        for label, command in (("steady", [chain, "600"]), ("busy", compile_loop)):
            with load(command):
                if label == "steady":
                    start(bolometer, directory)
                ours = per_sample(bolometer, directory, seconds)
                size = (directory / "x.pb.gz").stat().st_size
                show(label, ours, perf(directory, min(seconds, 5)),
                     size / (99 * CPUS * (3 + seconds)))
    return 0


sys.exit(main())
