#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a budget is good for besides its keeping: is a rate that follows the budget nearer to the truth than a fixed rate
that costs the same? A program's functions share the CPUs in a way that it writes down itself (phases.c), on a steady
load and on one of storms and calm. Each is recorded with a budget, then at a fixed rate that costs as much (by a
budget of all CPUs, so that both measure alike what they cost): the rate is guessed from the ticks of the first and
mended until the costs differ by less than a twentieth. For each phase the shares of its twenty largest functions in
the recording are held against the true ones.

The cost of a recording: its CPU time while it samples, its programs in the kernel, and its interrupts of busy CPUs
at the price that it measures itself. The error of a phase: the sum over the twenty functions of what their shares are
off, as a part of what these have in truth. Of a recording: the mean over its phases.

    bench_adaptive.py BOLOMETER PHASES [SECONDS]
"""

import bisect
import collections
import pathlib
import re
import statistics
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bench_record import CPUS, bpf_statistics, counters, end_load_when_stopped  # noqa: E402
from profile_reader import BYTES, VARINT, read_fields, read_varint  # noqa: E402

SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 80  # of each recording
BUDGET, HIGHEST_HZ = "0.5%", 999
NO_LIMIT = "100%"  # the same controller, which has nothing to do: both pay for the same start
FUNCTIONS, TOP = 32, 20
STORM_SHARE = 4  # a storm takes one part in so many of the changing load, calm the rest
CYCLES = 2
SAME_COST, TRIES = 0.05, 3
EIGHTS = 8  # the functions are called work_10 to work_17, work_20 to work_27, …
PRICE = re.compile(r"an interrupt costs (\d+) ns")
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
    """Of the load by a recorder with `options`: what it cost, ns, its rate, and the error of each phase."""

    def __init__(self, bolometer, load, options, price=None):
        with tempfile.TemporaryDirectory() as name, bpf_statistics():
            directory = pathlib.Path(name)
            done = subprocess.run([bolometer, "record", "-vv", *options, "-o", f"{name}/x.pb.gz", "-o", f"{name}/x.otlp",
                                   "--", load[0], f"{name}/truth", *load[1:]], stdin=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, check=True)
            found = PRICE.search(done.stderr)
            counts = counters(directory / "x.pb.gz")
            truth = read_truth(directory / "truth")
            seen = shares_seen(directory / "x.otlp", [end for end, _ in truth])
        self.price = price or int(found[1])
        ticks = counts["ticks"] - counts["idle"]
        self.parts = {"own processes": counts["capture_cpu_ns"], "programs": counts["bpf_ns"],
                      "interrupts": ticks * self.price}
        self.cost = sum(self.parts.values())
        self.samples, self.hz = counts["samples"], counts["ticks"] / CPUS / SECONDS
        self.by_tick = (counts["bpf_ns"] + ticks * self.price) / counts["ticks"]
        self.errors = [phase_error(true, one) for (_, true), one in zip(truth, seen)]
        self.error = statistics.mean(self.errors)

    def show(self, name):
        phases = " ".join(f"{error:.1%}" for error in self.errors)
        parts = ", ".join(f"{part} {cost / 1e9 / SECONDS / CPUS:.3%}" for part, cost in self.parts.items())
        print(f"    {name}: error {self.error:.1%} (by phase {phases}), {self.samples} samples, {self.hz:.0f} Hz in the "
              f"mean, cost {self.cost / 1e9 / SECONDS / CPUS:.3%} of all CPUs ({parts})")


def shares_seen(path, ends):
    """Time in each function, ns, in each phase."""
    seen = [collections.Counter() for _ in ends]
    for when, period, number in samples(path):
        phase = bisect.bisect_right(ends, when)
        if phase < len(ends):
            seen[phase][number] += period
    return seen


def at_same_cost(bolometer, load, adaptive):
    """At the fixed rate that costs what the other did; the last try when none comes near enough."""
    rate = adaptive.hz
    for _ in range(TRIES):
        fixed = Recording(bolometer, load, ["-F", str(max(round(rate), 1)), "--max-cpu", NO_LIMIT], adaptive.price)
        if abs(fixed.cost / adaptive.cost - 1) < SAME_COST:
            break
        rate += (adaptive.cost - fixed.cost) / fixed.by_tick / CPUS / SECONDS
    return fixed


def compare(bolometer, load, name):
    adaptive = Recording(bolometer, load, ["-F", str(HIGHEST_HZ), "--max-cpu", BUDGET])
    fixed = at_same_cost(bolometer, load, adaptive)
    print(f"{name}, budget {BUDGET}: the error is {adaptive.error / fixed.error:.2f} of that of a fixed rate at "
          f"{fixed.cost / adaptive.cost:.2f} times the cost")
    adaptive.show("adaptive")
    fixed.show("fixed")


def main():
    end_load_when_stopped()
    bolometer, phases = sys.argv[1], sys.argv[2]
    cycle = SECONDS * 1000 // CYCLES
    storm = cycle // STORM_SHARE
    compare(bolometer, [phases, str(cycle), "0", str(CYCLES)], "steady load")
    compare(bolometer, [phases, str(storm), str(cycle - storm), str(2 * CYCLES)], "changing load")


if __name__ == "__main__":
    main()
