#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What `record -e heap` costs a program that allocates 1,000,000, 100,000, 10,000 and 1,000 times in a second of its CPU
time, in percent of that: accounted (the profile's heap_cost_ns against heap_cpu_ns), and measured within one run.

windows alone  (a budget so small that probes never stay): how much more CPU time the program takes for its work around
               each window than before and after it
probes stay    (--heap-budget 100%): a daemon's heap profile is stopped and started while the program runs
budget 1 %     what that makes of it: the recorder is run and not run by turns
every call     (--exact): the same
Beside heaptrack and bcc's memleak, where they are installed and run: the same program under them.

    bench_heap.py BOLOMETER ALLOCATE [SECONDS [PAIRS [RATE...]]]

SECONDS: of windows, and of stopping and starting. PAIRS: of runs with and without a recorder.
"""

import bisect
import math
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import types

for room in ("truth", "service"):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / room))
from heap_recording import changed_code  # noqa: E402
from profile_reader import Profile  # noqa: E402
from running import expect_status, running  # noqa: E402

RATES = (1_000_000, 100_000, 10_000, 1_000)
START_SECONDS = 1.2  # until the recorder has probed
PAIR_SECONDS = 1.2
# Of a daemon that is stopped or started: what is looked at when probes are gone or there, and not sooner than after that.
SPAN_SECONDS, SETTLE_SECONDS = 0.4, 0.15
CONFIGURATION = "memory: {{heap: {{enabled: true, budget: 100%%, exe: [allocate_%d]}}}}\n"
MEMLEAK = "memleak-bpfcc"
# Of a window probes are set some 10 ms before and removed 30 ms after; what lies around is like without.
AROUND_NS = (40e6, 90e6)
BESIDE_NS = 400e6
# Of a mean of few differences, two-sided 95 %.
STUDENT = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}


def interval(values):
    """Mean and half of its 95 % interval."""
    quantile = STUDENT.get(len(values), 2.2 if len(values) < 20 else 2.05)
    return statistics.mean(values), quantile * statistics.stdev(values) / math.sqrt(len(values))


def median_interval(values):
    """The median and between what it is with 95 %: by ranks, as some spans of a virtual machine are far off."""
    ordered = sorted(values)
    rank = max(math.floor(len(ordered) / 2 - 0.98 * math.sqrt(len(ordered))), 1)
    return statistics.median(ordered), ordered[rank - 1], ordered[-rank]


class Points:
    """How far the program was, and when: CLOCK_MONOTONIC ns, allocations, CPU time in ns."""

    def __init__(self, output):
        self.points = [tuple(map(int, line.split())) for line in output.splitlines() if len(line.split()) == 3]
        self.times = [point[0] for point in self.points]

    def span(self, begin, end):
        """Allocations and CPU time between two moments, or None."""
        first, last = bisect.bisect_left(self.times, begin), bisect.bisect_right(self.times, end) - 1
        if first >= last:
            return None
        a, b = self.points[first], self.points[last]
        return b[1] - a[1], b[2] - a[2]

    def speed(self, begin, end):
        """Allocations in a second of CPU time."""
        span = self.span(begin, end)
        return span[0] / max(span[1], 1) * 1e9 if span else None

    def lost_around(self, at):
        """CPU time in ns that it took more around a moment than for the same work before and after."""
        begin, end = at - AROUND_NS[0], at + AROUND_NS[1]
        inside = self.span(begin, end)
        beside = [self.span(begin - BESIDE_NS, begin), self.span(end, end + BESIDE_NS)]
        if not inside or not all(beside) or not all(span[0] for span in beside):
            return None
        return inside[1] - inside[0] * sum(span[1] for span in beside) / sum(span[0] for span in beside)


class Allocate:
    """The program while it runs; `points` when it has ended."""

    def __init__(self, allocate, rate, seconds, directory):
        self.output = open(f"{directory}/output", "w+", encoding="utf-8")
        self.program = subprocess.Popen([allocate, str(rate), str(seconds)], stdout=self.output)
        self.pid, self.points = self.program.pid, None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.kill()
        self.program.wait()
        self.output.seek(0)
        self.points = Points(self.output.read())
        self.output.close()


def record(bolometer, pid, path, seconds, *options):
    """The moments between which it was at work, its counters, and what it said."""
    with open(f"{path}.errors", "w+", encoding="utf-8", errors="replace") as errors, \
            subprocess.Popen([bolometer, "record", "-v", "--no-symbolize", "-e", "heap", *options, "-p", str(pid),
                              "-o", path], stdin=subprocess.DEVNULL, stderr=errors) as recorder:
        try:
            time.sleep(START_SECONDS)
            begin = time.monotonic_ns()
            time.sleep(seconds)
            end = time.monotonic_ns()
            recorder.send_signal(signal.SIGINT)
            recorder.wait(timeout=60)
        finally:
            recorder.kill()
        errors.seek(0)
        said = errors.read()
    comments = [text.split("=", 1) for text in Profile.read(path).comments if "=" in text]
    return begin, end, {name: int(value) for name, value in comments if value.isdigit()}, said


def share(counters):
    return counters["heap_cost_ns"] / max(counters["heap_cpu_ns"], 1) * 100


def through_windows(bolometer, allocate, rate, seconds, directory):
    with Allocate(allocate, rate, 60 + seconds, directory) as program:
        time.sleep(0.5)
        begin, end, counters, said = record(bolometer, program.pid, f"{directory}/x.pb.gz", seconds,
                                            "--heap-budget", "0.001%")
        time.sleep(0.5)
    moments = [float(at) * 1e9 for at in re.findall(r"window \d+ at ([\d.]+) s:", said)]
    lost = [program.points.lost_around(at) for at in moments if at >= begin]
    lost = [value / 1e9 * 100 for value in lost if value is not None]  # one in each second
    opened = f"{counters['heap_windows']} windows"
    if len(lost) < 2:
        return f"accounted {share(counters):.3f} %, not measured; {opened}"
    mean, half = interval(lost)
    return f"accounted {share(counters):.3f} %, measured {mean:+.3f} % +- {half:.3f}; {opened}"


def switched(bolometer, allocate, rate, options, pairs, directory):
    """The recorder on and off by turns."""
    cost, lost, moments, stayed = [], [], [], 0
    with Allocate(allocate, rate, 60 + pairs * 6, directory) as program:
        time.sleep(PAIR_SECONDS)
        for _ in range(pairs):
            off_end = time.monotonic_ns()
            begin, end, counters, _ = record(bolometer, program.pid, f"{directory}/x.pb.gz", PAIR_SECONDS, *options)
            moments.append((off_end, begin, end, time.monotonic_ns()))
            time.sleep(PAIR_SECONDS)
            cost.append(share(counters))
            stayed += counters["heap_promoted"] > counters["heap_demoted"]
    for off_end, begin, end, off_begin in moments:
        on = program.points.speed(begin, end)
        off = [program.points.speed(off_end - (end - begin), off_end),
               program.points.speed(off_begin, off_begin + (end - begin))]
        if on and all(off):
            lost.append((1 - on / statistics.mean(off)) * 100)
    told = "not measured" if len(lost) < 2 else "measured %+.2f %% +- %.2f" % interval(lost)
    return f"accounted {statistics.mean(cost):.3f} %, {told}; probes stayed {stayed} of {pairs} times"


def wait_for_probes(pid, are_there):
    until = time.monotonic() + 10
    while (changed_code(pid) > 0) != are_there and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(SETTLE_SECONDS)


def stopped_and_started(bolometer, allocate, rate, seconds):
    """Of probes that stay: each time that they do, against the times before and after."""
    lost, spans = [], []
    with tempfile.TemporaryDirectory() as directory, running(
            types.SimpleNamespace(path=bolometer), frequency=1, extra=CONFIGURATION % os.getpid()) as daemon:
        program = Allocate(shutil.copy(allocate, f"{directory}/allocate_{os.getpid()}"), rate, 60 + seconds, directory)
        with program:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                for path in ("/api/stop", "/api/start"):
                    expect_status(daemon.unix(path, "POST"), 200)
                    wait_for_probes(program.pid, path == "/api/start")
                    begin = time.monotonic_ns()
                    time.sleep(SPAN_SECONDS)
                    spans.append((begin, time.monotonic_ns()))
            cpu = dict(re.findall(r'heap_cpu_seconds_total{of="(\w+)"} (\S+)', daemon.health("/metrics").text))
    off, on = spans[::2], spans[1::2]
    for before, span, after in zip(off, on, off[1:]):
        speeds = [program.points.speed(*at) for at in (before, span, after)]
        if all(speeds):
            lost.append((1 - speeds[1] / statistics.mean(speeds[::2])) * 100)
    told = "not measured" if len(lost) < 6 else "measured %+.2f %% (%+.2f to %+.2f)" % median_interval(lost)
    return f"accounted {float(cpu['probes']) / float(cpu['processes']) * 100:.3f} %, {told}; {len(lost)} times"


def under_heaptrack(allocate, rate, directory):
    """How many times slower the program is under it."""
    if not shutil.which("heaptrack"):
        return "heaptrack is not installed"
    speeds, steps = [], []
    for prefix in ([], ["heaptrack", "-r", "-o", f"{directory}/heaptrack"]):
        run = subprocess.run([*prefix, allocate, str(rate), "1.5", *steps], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True, check=False, timeout=60)
        # Under it, as much work as without.
        steps = [line for line in run.stdout.split("\n") if line.isdigit()][:1]
        speeds.append(Points(run.stdout).speed(0, 1 << 63))
    return f"heaptrack: {speeds[0] / speeds[1]:.2f} times slower" if all(speeds) else "heaptrack: no result"


def under_memleak(allocate, rate, directory):
    """How many times slower the program is while it is watched, or why that is not known."""
    if not shutil.which(MEMLEAK):
        return f"{MEMLEAK} is not installed"
    with Allocate(allocate, rate, 60, directory) as program, \
            open(f"{directory}/memleak", "w+", encoding="utf-8") as output:
        time.sleep(PAIR_SECONDS)
        off_end = time.monotonic_ns()
        with subprocess.Popen([MEMLEAK, "-p", str(program.pid), "100", "1"], stdout=output,
                              stderr=subprocess.STDOUT) as memleak:
            time.sleep(4)  # it is compiled first
            begin = time.monotonic_ns()
            time.sleep(PAIR_SECONDS)
            end, has_ended = time.monotonic_ns(), memleak.poll() is not None
            memleak.kill()
        output.seek(0)
        said = output.read().strip().splitlines()
    if has_ended:
        return f"{MEMLEAK} does not run here: {said[-1][:80] if said else ''}"
    on, off = program.points.speed(begin, end), program.points.speed(0, off_end)
    return f"{MEMLEAK}: {off / on:.2f} times slower" if on and off else f"{MEMLEAK}: no result"


def main(bolometer, allocate, seconds="12", pairs="4", *rates):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        return 77
    with tempfile.TemporaryDirectory() as directory:
        for rate in map(int, rates or RATES):
            def say(what):
                print(f"{rate:>9,} a second: {what}", flush=True)
            say("windows alone: " + through_windows(bolometer, allocate, rate, float(seconds), directory))
            say("budget 1 %: " + switched(bolometer, allocate, rate, ["--heap-budget", "1%"], int(pairs), directory))
            say("probes stay: " + stopped_and_started(bolometer, allocate, rate, float(seconds)))
            say("every call: " + switched(bolometer, allocate, rate, ["--exact"], 2, directory))
            say(under_heaptrack(allocate, rate, directory) + "; " + under_memleak(allocate, rate, directory))
    return 0


sys.exit(main(*sys.argv[1:]))
