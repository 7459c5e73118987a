#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What `record -e heap` costs a program that allocates 1,000,000, 100,000, 10,000 and 1,000 times in a second of its CPU
time: accounted (the profile's heap_cost_ns against heap_cpu_ns), and measured: the recorder is switched on and off
while the program runs, and what it does in a second of its CPU time with it is held against what it does without
before and after. Beside heaptrack, where that is installed: the same program under it, against itself without.

    bench_heap.py BOLOMETER ALLOCATE [SECONDS [PAIRS]]
"""

import math
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
from profile_reader import Profile  # noqa: E402

RATES = (1_000_000, 100_000, 10_000, 1_000)
START_SECONDS = 1.2  # until the recorder has probed
# Of a mean of few differences, two-sided 95 %.
STUDENT = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}


def points_of(output):
    return [tuple(map(int, line.split())) for line in output.splitlines() if len(line.split()) == 3]


def speed(points, begin, end):
    """Allocations in a second of CPU time between two moments."""
    inside = [point for point in points if begin <= point[0] <= end]
    if len(inside) < 2:
        return None
    return (inside[-1][1] - inside[0][1]) / max(inside[-1][2] - inside[0][2], 1) * 1e9


def record(bolometer, pid, path, seconds):
    """The moments between which it was at work, and its counters."""
    with subprocess.Popen([bolometer, "record", "-q", "--no-symbolize", "-e", "heap", "-p", str(pid), "-o", path],
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as recorder:
        try:
            time.sleep(START_SECONDS)
            begin = time.monotonic_ns()
            time.sleep(seconds)
            end = time.monotonic_ns()
            recorder.send_signal(signal.SIGINT)
            recorder.wait(timeout=60)
        finally:
            recorder.kill()
    comments = [text.split("=", 1) for text in Profile.read(path).comments if "=" in text]
    return begin, end, {name: int(value) for name, value in comments if value.isdigit()}


def loss(points, moments):
    """Mean and half of the 95 % interval of what is lost, in percent."""
    lost = []
    for (begin, end), (off_end, next_begin) in moments:
        on, before = speed(points, begin, end), speed(points, off_end - (end - begin), off_end)
        after = speed(points, next_begin, next_begin + (end - begin))
        off = [value for value in (before, after) if value]
        if on and off:
            lost.append((1 - on / statistics.mean(off)) * 100)
    if len(lost) < 2:
        return None
    return statistics.mean(lost), STUDENT.get(len(lost), 2.0) * statistics.stdev(lost) / math.sqrt(len(lost))


def own(bolometer, allocate, rate, seconds, pairs, directory):
    total = (pairs + 1) * (2 * seconds + START_SECONDS + 1.5) + 1
    cost = cpu = windows = promoted = 0
    moments = []
    with open(f"{directory}/output", "w+", encoding="utf-8") as output, \
            subprocess.Popen([allocate, str(rate), str(total)], stdout=output) as program:
        try:
            time.sleep(seconds)
            for _ in range(pairs):
                off_end = time.monotonic_ns()
                begin, end, counters = record(bolometer, program.pid, f"{directory}/x.pb.gz", seconds)
                next_begin = time.monotonic_ns()
                time.sleep(seconds)
                moments.append(((begin, end), (off_end, next_begin)))
                cost += counters["heap_cost_ns"]
                cpu += counters["heap_cpu_ns"]
                windows += counters["heap_windows"]
                promoted += counters["heap_promoted"] - counters["heap_demoted"]
        finally:
            program.kill()
            program.wait()
        output.seek(0)
        points = points_of(output.read())
    return cost / max(cpu, 1) * 100, loss(points, moments), windows, promoted


def heaptrack(allocate, rate, seconds, directory):
    """How many times slower the program is under it."""
    speeds, steps = [], []
    for prefix in ([], ["heaptrack", "-r", "-o", f"{directory}/heaptrack"]):
        run = subprocess.run([*prefix, allocate, str(rate), str(seconds), *steps], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False, timeout=60)
        points = points_of(run.stdout)
        # Under it, as much work as without.
        steps = [line for line in run.stdout.split("\n") if line.isdigit()][:1]
        # The first point is before the first piece of work.
        speeds.append(speed(points, 0, 1 << 63) if len(points) > 2 else None)
    return speeds[0] / speeds[1] if all(speeds) else None


def main(bolometer, allocate, seconds="2", pairs="3"):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        return 77
    seconds, pairs = float(seconds), int(pairs)
    has_heaptrack = shutil.which("heaptrack")
    if not has_heaptrack:
        print("heaptrack is not installed: nothing beside it")
    if not shutil.which("memleak-bpfcc"):
        print("memleak (bpfcc-tools) is not installed: nothing beside it")
    with tempfile.TemporaryDirectory() as directory:
        for rate in RATES:
            accounted, measured, windows, promoted = own(bolometer, allocate, rate, seconds, pairs, directory)
            told = f"{measured[0]:+.2f} % +- {measured[1]:.2f}" if measured else "not measured"
            tier = f"{promoted} of {pairs} times probes stayed" if promoted > 0 else f"{windows} windows"
            beside = ""
            if has_heaptrack:
                ratio = heaptrack(allocate, rate, 1.5, directory)
                beside = f"; heaptrack: {ratio:.2f} times slower" if ratio else "; heaptrack: no result"
            print(f"{rate:>9,} a second: accounted {accounted:.2f} %, measured {told}; {tier}{beside}", flush=True)
    return 0


sys.exit(main(*sys.argv[1:]))
