#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a budget is good for besides its keeping: is a rate that follows the budget nearer to the truth than a fixed rate
that costs the same? A program's functions share the CPUs in a way that it writes down itself (phases.c), on a steady
load and on one of storms and calm. It is recorded with a budget and, at the same time, at a fixed rate. For each phase
the shares of its twenty largest functions in either recording are held against the true ones.

The error of a phase: the sum over the twenty functions of what their shares are off, as a part of what these have in
truth. Of a recording: the mean over its phases. An error goes with one over the root of the samples, so that of the
fixed rate is taken to what it would be with as many samples as the other: ticks on busy CPUs, of which either has one
for each of its samples, have one price, and so both cost the same.

One run scatters by a quarter and more (tests/unit/collect/test_budget_errors.c has the same figure of 300 simulated
ones): what counts is the mean of several, which is told with its standard error. The calm must be calm: a run of the changing load
in which other programs had more than a tenth of the CPUs does not count.

    bench_adaptive.py BOLOMETER PHASES [SECONDS [RUNS [steady|changing]]]
"""

import bisect
import collections
import contextlib
import math
import pathlib
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bench_record import bpf_statistics, counters, end_load_when_stopped  # noqa: E402
from profile_reader import BYTES, VARINT, read_fields, read_varint  # noqa: E402

SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 80  # of each recording
RUNS = int(sys.argv[4]) if len(sys.argv) > 4 else 4
BUDGET, HIGHEST_HZ = "0.5%", 999
NO_LIMIT = "100%"  # the same controller, which has nothing to do: both pay for the same start
FIRST_HZ = 200  # of the fixed rate, then what the run before had
OTHERS_MOST = 0.1  # of all CPUs
READY_SECONDS = 60
FUNCTIONS, TOP = 32, 20
STORM_SHARE = 4  # a storm takes one part in so many of the changing load, calm the rest
CYCLES = 2
EIGHTS = 8  # the functions are called work_10 to work_17, work_20 to work_27, …
READY = "an interrupt costs "  # the recorder's word when it samples
NAME = re.compile(rb"work_(\d)(\d)$")


def fields(data, number, wire=BYTES):
    return [value for n, w, value in read_fields(data) if n == number and w == wire]


def packed(data):
    at, result = 0, []
    while at < len(data):
        value, at = read_varint(data, at)
        result.append(value)
    return result


def work_of_stacks(dictionary):
    """For each stack of the dictionary the number of the program's function in it, or None."""
    numbers = [NAME.match(text) for text in fields(dictionary, 5)]
    of_string = [(int(m[1]) - 1) * EIGHTS + int(m[2]) if m else None for m in numbers]
    of_function = [of_string[next(iter(fields(f, 1, VARINT)), 0)] for f in fields(dictionary, 3)]
    of_location = []
    for location in fields(dictionary, 2):
        found = [of_function[next(iter(fields(line, 1, VARINT)), 0)] for line in fields(location, 3)]
        of_location.append(next((number for number in found if number is not None), None))
    result = []
    for stack in fields(dictionary, 7):
        found = [of_location[i] for part in fields(stack, 1) for i in packed(part)]
        result.append(next((number for number in found if number is not None), None))
    return result


def samples(path):
    """(time of day, ns; the time it stands for, ns; number of the function) of each sample of an OTLP message."""
    message = path.read_bytes()
    work = work_of_stacks(fields(message, 2)[0])
    for resource in fields(message, 1):
        for scope in fields(resource, 2):
            for profile in fields(scope, 2):
                period = fields(profile, 6, VARINT)[0]
                for sample in fields(profile, 2):
                    number = work[next(iter(fields(sample, 1, VARINT)), 0)]
                    if number is None:
                        continue
                    times = b"".join(fields(sample, 5))
                    yield from ((when, period, number) for when, in struct.iter_unpack("<Q", times))


def read_truth(path):
    """(end of the phase, ns; CPU time by function, ns) of each phase."""
    return [(row[0], row[1:]) for row in struct.iter_unpack(f"{1 + FUNCTIONS}Q", path.read_bytes())]


def phase_error(truth, seen):
    whole, seen_whole = sum(truth), max(sum(seen.values()), 1)
    top = sorted(range(FUNCTIONS), key=lambda number: -truth[number])[:TOP]
    off = sum(abs(seen[number] / seen_whole - truth[number] / whole) for number in top)
    return off / (sum(truth[number] for number in top) / whole)


class Recording:
    """What a recorder has written: its counters, and the error of each phase."""

    def __init__(self, path, truth):
        self.counts = counters(path.with_suffix(".pb.gz"))
        seen = shares_seen(path.with_suffix(".otlp"), [end for end, _ in truth])
        self.errors = [phase_error(true, one) for (_, true), one in zip(truth, seen)]
        self.samples = self.counts["samples"]
        self.own = self.counts["capture_cpu_ns"] / 1e9

    def others(self):
        """What other programs had of all CPUs."""
        return self.counts["unselected_ns"] / sum(self.counts[f"{part}_ns"] for part in
                                                  ("unselected", "captured", "idle", "missed"))


def shares_seen(path, ends):
    """Time in each function, ns, in each phase."""
    seen = [collections.Counter() for _ in ends]
    for when, period, number in samples(path):
        phase = bisect.bisect_right(ends, when)
        if phase < len(ends):
            seen[phase][number] += period
    return seen


def command(bolometer, path, *options):
    return [bolometer, "record", "-vv", *options, "-o", path.with_suffix(".pb.gz"), "-o", path.with_suffix(".otlp")]


def wait_until_ready(process, path):
    end = time.monotonic() + READY_SECONDS
    while READY not in (said := path.read_text(encoding="utf-8")):
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f"the recorder does not begin: {said[-300:]}")
        time.sleep(0.1)


def record_both(bolometer, load, rate):
    """Adaptive and at the fixed rate, at the same time."""
    with tempfile.TemporaryDirectory() as name, bpf_statistics(), contextlib.ExitStack() as stack:
        directory = pathlib.Path(name)
        adaptive, fixed, log = directory / "adaptive", directory / "fixed", directory / "log"
        errors = stack.enter_context(open(log, "w", encoding="utf-8"))
        beside = stack.enter_context(subprocess.Popen(
            command(bolometer, fixed, "-F", str(rate), "--max-cpu", NO_LIMIT, "--exe", load[0]),
            stdin=subprocess.DEVNULL, stderr=errors))
        stack.callback(beside.kill)
        wait_until_ready(beside, log)
        subprocess.run([*command(bolometer, adaptive, "-F", str(HIGHEST_HZ), "--max-cpu", BUDGET), "--", load[0],
                        f"{name}/truth", *load[1:]], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        beside.send_signal(signal.SIGINT)
        beside.wait()
        truth = read_truth(directory / "truth")
        return Recording(adaptive, truth), Recording(fixed, truth)


class Comparison:
    """Of one run."""

    def __init__(self, adaptive, fixed):
        self.adaptive = statistics.mean(adaptive.errors)
        self.fixed = statistics.mean(fixed.errors) * math.sqrt(fixed.samples / adaptive.samples)
        self.ratio = self.adaptive / self.fixed

    def __str__(self):
        return f"error {self.adaptive:.1%} adaptive, {self.fixed:.1%} at a fixed rate, ratio {self.ratio:.2f}"


def show(run, adaptive, fixed, rate):
    def by_phase(recording):
        return " ".join(f"{error:.1%}" for error in recording.errors)
    print(f"    {run}; {adaptive.samples} samples (by phase {by_phase(adaptive)}), own processes {adaptive.own:.3f} s;"
          f" {fixed.samples} at {rate} Hz (by phase {by_phase(fixed)}), {fixed.own:.3f} s; others had"
          f" {adaptive.others():.0%} of the CPUs", flush=True)


def compare(bolometer, load, name):
    """Ratios of the mean errors, as an error of few samples is no reason to count a run for more."""
    runs, rate = [], FIRST_HZ
    for _ in range(RUNS):
        adaptive, fixed = record_both(bolometer, load, rate)
        run = Comparison(adaptive, fixed)
        show(run, adaptive, fixed, rate)
        rate = max(round(rate * adaptive.samples / max(fixed.samples, 1)), 1)
        if name == "steady" or adaptive.others() <= OTHERS_MOST:
            runs.append(run)
    if not runs:
        print(f"{name} load: others were busy, no run says anything")
        return
    fixed = statistics.mean(run.fixed for run in runs)
    ratio = statistics.mean(run.adaptive for run in runs) / fixed
    off = [(run.adaptive - ratio * run.fixed) / fixed for run in runs]
    spread = math.sqrt(sum(x * x for x in off) / (len(runs) - 1)) if len(runs) > 1 else math.nan
    print(f"{name} load, budget {BUDGET}: the error is {ratio:.2f} +- {spread / math.sqrt(len(runs)):.2f} (standard error of"
          f" {len(runs)} runs of {SECONDS} s) of that of a fixed rate at equal cost; one run +- {spread:.2f}")


def main():
    end_load_when_stopped()
    bolometer, phases = sys.argv[1], str(pathlib.Path(sys.argv[2]).resolve())
    cycle = SECONDS * 1000 // CYCLES
    storm = cycle // STORM_SHARE
    loads = {"steady": [phases, str(cycle), "0", str(CYCLES)],
             "changing": [phases, str(storm), str(cycle - storm), str(2 * CYCLES)]}
    for name in sys.argv[5:] or loads:
        compare(bolometer, loads[name], name)


if __name__ == "__main__":
    main()
