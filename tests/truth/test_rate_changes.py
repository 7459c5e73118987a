#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A daemon whose rate changes every second between 11 and 1,000 Hz: the profiles together show the CPU time that
the kernel accounted to a task.

The bound. Ticks at a distance T miss or add at most T on each piece of work, and nothing in the mean
(recording.py). Profiles differ in T, so the pieces of each are counted (the task's turns on its CPU) and
Hoeffding's inequality is that for ranges that differ: t = sqrt(sum(k_j T_j^2) ln(2/p) / 2). A profile has no
more pieces that a tick can miss than it has ticks. The task goes before others on its CPU, so that they hardly
cut its time into pieces.

    test_rate_changes.py BOLOMETER WORKLOADS [RUNS]
"""

import json
import math
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import types

from recording import (CLOCK_SHARE, LARGEST_ERROR, OUTSIDE_NS, Profile, Stopwatch, Undecided, cpu_ns, expect, main,
                       stolen_ns)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "service"))
from running import running  # noqa: E402

P_FALSE = 1e-4
RATES = (11, 1000, 997, 809, 601, 499, 401, 211, 97, 47)  # one of a second each
# Higher, and the kernel's own work on that CPU, which the daemon waits for, hardly gets its turn.
NICE = -10
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 1
SLICE_NS = 2.5e6  # as in test_record_split.py


def turns(pid):
    """How often the task has got its CPU."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[2])


def change_rate(daemon, rate):
    """The daemon may read the file at any time: it is never half written."""
    file, new = daemon.directory / "c.yaml", daemon.directory / "new.yaml"
    text, count = re.subn(r"frequency: \d+", f"frequency: {rate}", file.read_text(encoding="ascii"))
    expect(count == 1, f"one frequency in {text}")
    new.write_text(text, encoding="ascii")
    new.replace(file)
    daemon.process.send_signal(signal.SIGHUP)


def start(command, cpu):
    def settle():
        os.sched_setaffinity(0, {cpu})
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=settle)


class Run:
    """A workload while the rate changes: what it says of itself, and its turns by the time of day, ns."""

    def __init__(self, daemon, command, cpu, rates):
        stolen = stolen_ns(cpu)
        with start(command, cpu) as process:
            try:
                self.turns = [(time.time_ns(), 0)]
                for rate in rates:
                    change_rate(daemon, rate)
                    self.wait(process, 1)
                # On a busy host it works longer: at a rate that does not widen the bound.
                change_rate(daemon, max(rates))
                while process.poll() is None:
                    self.wait(process, 0.1)
                output = process.stdout.read()
            finally:
                process.kill()
        self.turns.append((time.time_ns(), self.turns[-1][1] + 1))
        self.stolen_ns = stolen_ns(cpu) - stolen
        self.truth = json.loads(output.splitlines()[-1])

    def wait(self, process, seconds):
        time.sleep(seconds)
        if process.poll() is None:
            self.turns.append((time.time_ns(), turns(process.pid)))

    def square(self, profile, slice_ns=math.inf):
        """k T^2 of a profile's part of the run."""
        begin = max(profile.time_ns, self.turns[0][0])
        end = min(profile.time_ns + profile.duration_ns, self.turns[-1][0])
        if end <= begin:
            return 0
        before = max(count for when, count in self.turns if when <= begin)
        after = min(count for when, count in self.turns if when >= end)
        # Where the profile begins and ends, too, is a piece cut.
        pieces = after - before + 2 + (end - begin) / slice_ns
        return min(pieces, (end - begin) / profile.period + 1) * profile.period ** 2


def bound_ns(squares):
    return math.sqrt(sum(squares) * math.log(2 / P_FALSE) / 2)


def judge(what, seen_ns, true_ns, allowed_ns, lost_ns, stolen, largest):
    text = (f"{what}: {seen_ns / 1e6:.1f} ms seen, {true_ns / 1e6:.1f} ms true ({seen_ns / true_ns - 1:+.2%}), "
            f"bound {allowed_ns / true_ns:.2%}, lost {lost_ns / true_ns:.2%}, stolen {stolen / true_ns:.2%}")
    expect(true_ns - allowed_ns - lost_ns <= seen_ns <= true_ns + allowed_ns + stolen, text)
    if allowed_ns + max(lost_ns, stolen) > largest * true_ns:
        raise Undecided(text)
    return text


def totals_stay(bench):
    shuffled = [random.Random(run).sample(RATES, len(RATES)) for run in range(RUNS)]
    cpu, watch = max(os.sched_getaffinity(0)), Stopwatch()
    with tempfile.TemporaryDirectory() as name:
        extra = f"exporters:\n  - type: pprof-directory\n    directory: {name}\n"
        with running(types.SimpleNamespace(path=bench.bolometer), extra=extra, interval="1h") as daemon:
            subprocess.run(bench.workload("split", 0.1), stdout=subprocess.DEVNULL, check=True)
            runs = [Run(daemon, bench.workload("split", len(RATES)), cpu, rates) for rates in shuffled]
        profiles = [Profile.read(path) for path in pathlib.Path(name).rglob("*.pb.gz")]
    periods = {profile.period for profile in profiles if profile.samples}
    watch.expect({int(1e9 // rate) for rate in RATES} <= periods, f"the rates became only {periods}")
    pids = {run.truth["pid"] for run in runs}
    samples = [sample for profile in profiles for sample in profile.samples
               if sample.labels.get("process.pid") in pids]
    comments = [text.split("=", 1) for profile in profiles for text in profile.comments if "=" in text]
    lost_ns = sum(int(value) for key, value in comments if key in ("lost_ns", "missed_ns"))
    stolen = sum(run.stolen_ns for run in runs)
    true_ns = sum(run.truth["self_ns"] for run in runs)
    # One run decides an error of a tenth, as the weights of the lowest rate make, twenty one of 3 %.
    largest = LARGEST_ERROR if RUNS >= 20 else 0.1
    squares = [run.square(profile) for run in runs for profile in profiles]
    said = [judge("CPU time", cpu_ns(samples), true_ns, bound_ns(squares) + RUNS * OUTSIDE_NS, lost_ns, stolen,
                  largest)]
    for run in runs:
        own = cpu_ns(sample for sample in samples if sample.labels["process.pid"] == run.truth["pid"])
        print(f"     run of {run.truth['self_ns'] / 1e6:.0f} ms: {own / run.truth['self_ns'] - 1:+.2%}")
    if RUNS >= 20:
        hidden = cpu_ns(sample for sample in samples if sample.frames[-1].is_mark)
        squares = [run.square(profile, SLICE_NS) for run in runs for profile in profiles]
        for function in runs[0].truth["functions"]:
            part_ns = sum(run.truth["functions"][function] for run in runs)
            seen = cpu_ns(sample for sample in samples if any(function in name for name in sample.names))
            said.append(judge(function, seen, part_ns, bound_ns(squares) + CLOCK_SHARE * part_ns,
                              lost_ns + hidden, stolen, 3 * LARGEST_ERROR))
    return "; ".join(said)


if __name__ == "__main__":
    main([totals_stay])
