#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a recording costs, under two loads on every CPU: steady (a chain of 24 C++ functions without
frame pointers) and busy (g++ compiling in a loop: forks, cold code). The time of the BPF programs is
told from what comes with a recording's start by two recordings of different length, and what a second
costs from what a sample costs by one with more samples a second. A recording's start and end are
timed on their own. `perf record --call-graph dwarf` with `perf script` runs under the same loads for
comparison.

What a sample costs in userspace is taken within one recording, after what is paid once (programs loaded, binaries
read), and what its name and place in the file cost at the end from two recordings with different numbers of them.

    bench_record.py BOLOMETER CHAIN [SECONDS]
"""

import contextlib
import os
import pathlib
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
from profile_reader import Profile  # noqa: E402

STATS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")
CPUS = os.cpu_count()
DENSER = 8  # times the default frequency
WARM = 6  # seconds in which a recording reads the binaries of its host
SLICE = 2  # seconds


def counters(path):
    pairs = (comment.rpartition("=") for comment in Profile.read(path).comments)
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


def end_load_when_stopped():
    """Who is stopped from outside ends what it started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


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
    """One instance on each CPU until the block ends; yields the processes."""
    running = [subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL) for _ in range(CPUS)]
    time.sleep(1)
    try:
        yield running
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            process.wait()


def record(bolometer, directory, seconds, *options, outputs=("x.pb.gz",)):
    """Counters of the recording, with its wall time and its CPU time to the very end."""
    files = [word for name in outputs for word in ("-o", directory / name)]
    began, before = time.monotonic(), children_cpu()
    subprocess.run([bolometer, "record", "-q", "-d", f"{seconds}s", *files, *options],
                   check=True, stdin=subprocess.DEVNULL)
    result = counters(directory / outputs[0])
    result["wall"] = time.monotonic() - began
    result["total_cpu"] = children_cpu() - before
    return result


def tree_cpu(pid):
    """CPU seconds of a process and all its children, also those that have ended."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) / 1e9
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    total += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(OSError):
            total += tree_cpu(int(child))
    return total


def within(bolometer, directory, seconds, *options):
    """Counters of a recording, with the CPU time that a second of it takes once it runs for WARM seconds: the
    median of slices, since on a host that is not quite still some have a new program to read."""
    command = [bolometer, "record", "-q", "-d", f"{WARM + seconds + 1}s", "-o", directory / "x.pb.gz", *options]
    before, slices = children_cpu(), []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        time.sleep(WARM)
        began, used = time.monotonic(), tree_cpu(process.pid)
        for _ in range(max(1, seconds // SLICE)):
            time.sleep(SLICE)
            now, cpu = time.monotonic(), tree_cpu(process.pid)
            slices.append((cpu - used) / (now - began))
            began, used = now, cpu
    result = counters(directory / "x.pb.gz")
    result["end_cpu"] = children_cpu() - before - result["capture_cpu_ns"] / 1e9
    result["window_cpu"] = statistics.median(slices)
    result["rate"] = result["samples"] / (WARM + seconds + 1)
    return result


def per_sample(bolometer, directory, seconds):
    record(bolometer, directory, 3)  # what is parsed once is no sample's cost
    short = within(bolometer, directory, 1)
    long = within(bolometer, directory, 1 + seconds)
    dense = within(bolometer, directory, seconds, "-F", str(99 * DENSER))
    samples = long["samples"] - short["samples"]
    cpu = long["window_cpu"] / long["rate"]
    end = (dense["end_cpu"] - long["end_cpu"]) / (dense["samples"] - long["samples"])
    sample_cpu = (dense["window_cpu"] - long["window_cpu"]) / (dense["rate"] - long["rate"])
    complete = sum(long.get("end." + how, 0)
                   for how in ("complete", "exiting", "starting a program"))
    return {
        "bpf": (long["bpf_ns"] - short["bpf_ns"]) / samples / 1e3,
        "cpu": (cpu + end) * 1e6,
        "end": end * 1e6,
        "marginal": sample_cpu * 1e6,
        "second": (cpu - sample_cpu) * long["rate"] * 1e3,
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
    print(f"        of it at the end {ours['end']:.2f} ms; while it runs each further 1,000 samples"
          f" {ours['marginal']:.2f} ms, each second {ours['second']:.2f} ms")
    if theirs:
        print(f"        perf dwarf: {theirs['cpu']:6.1f} ms CPU for 1,000 samples"
              f" ({theirs['cpu'] / max(ours['cpu'], 1e-9):.0f} times ours),"
              f" {theirs['bytes']:.0f} bytes a sample (ours {our_bytes:.0f})")
    sys.stdout.flush()


def start(bolometer, directory):
    for name, options in (("no cache", ["--no-cache"]), ("cache filled", []), ("cached", [])):
        c = record(bolometer, directory, 1, *options)
        print(f"start   {name}: loaded in {c['load_ns'] / 1e6:.0f} ms"
              f" ({c['load_cpu_ns'] / 1e6:.0f} ms CPU), first complete stack"
              f" {c['first_complete_ns'] / 1e6:.0f} ms later ({c['first_complete_cpu_ns'] / 1e6:.0f}"
              f" ms CPU), {c['capture_cpu_ns'] / 1e6:.0f} ms CPU in the first second,"
              f" {c['total_cpu'] * 1e3:.0f} ms CPU in all")


def end(bolometer, directory):
    c = record(bolometer, directory, 10, outputs=("x.pb.gz", "x.html", "x.folded", "x.txt"))
    after = c["wall"] - 10 - c["load_ns"] / 1e9
    print(f"end     10 s, four outputs: {after * 1e3:.0f} ms from the end of sampling to the process's"
          f" end, {c['total_cpu'] * 1e3 - c['capture_cpu_ns'] / 1e6:.0f} ms CPU")


def main():
    end_load_when_stopped()
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
                end(bolometer, directory)
                ours = per_sample(bolometer, directory, seconds)
                size = (directory / "x.pb.gz").stat().st_size
                show(label, ours, perf(directory, min(seconds, 5)),
                     size / (99 * CPUS * (3 + seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
