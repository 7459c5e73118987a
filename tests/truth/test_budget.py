#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A recording under a budget: the rate falls from far above what the budget allows, and the CPU time it shows is
still that of the program, as a whole and by function. A short burst of work is seen.

    test_budget.py BOLOMETER WORKLOADS
"""

import os

from recording import (CLOCK_SHARE, OUTSIDE_NS, Undecided, bound_ns, cpu_ns, expect, expect_near, main)

SECONDS = 8
# Of a function: weights that do not follow the rate are wrong by the factor by which it falls, some six.
LARGEST_ERROR = 0.06
ASKED_HZ = 9973
# Six hundredths of one CPU, as the program runs on one: 6 us for each tick of the rate asked for. A tick costs
# more: an interrupt alone takes 2 us, a stack 5.
SHARE = 0.06 / os.cpu_count()
IDLE_SECONDS, SPIKE_SECONDS = 4, 0.2
LOWEST_HZ = 11
SLICE_NS = 2.5e6  # as in test_record_split.py


def rate_falls_and_totals_stay(bench):
    recording = bench.record_workload("split", SECONDS, frequency=ASKED_HZ,
                                      options=["--max-cpu", f"{SHARE:.4%}"])
    truth = recording.truth
    rate = recording["samples"] / (recording.profile.duration_ns / 1e9)
    expect(abs(recording["budget_cpu_ppm"] - SHARE * 1e6) <= 1, f"{recording.counters}")
    if recording["budget_frequency_hz"] > 0.8 * ASKED_HZ:
        raise Undecided(f"ticks are so cheap here that {recording['budget_frequency_hz']} Hz fit")
    true_ns = truth["self_ns"] + truth["children_ns"]
    samples = recording.samples_of("split")
    # What the bound of sums of different periods goes by is the mean of their squares over their mean, at least
    # that of the means of equal stacks; a quarter more covers the rest.
    period_ns = 1.25 * sum(cpu_ns([s]) ** 2 / s.count for s in samples) / max(cpu_ns(samples), 1)
    expect_near("CPU time", cpu_ns(samples), true_ns,
                bound_ns(truth["switches"] + 1, period_ns) + OUTSIDE_NS, recording)
    undecided = []
    for function, part_ns in truth["functions"].items():
        seen = cpu_ns(sample for sample in samples if any(function in name for name in sample.names))
        share = min(1, 2 * part_ns / true_ns)
        try:
            expect_near(function, seen, part_ns,
                        bound_ns(true_ns / SLICE_NS * share, period_ns) + CLOCK_SHARE * part_ns,
                        recording, share, cpu_ns(s for s in samples if s.frames[-1].is_mark) * share,
                        LARGEST_ERROR)
        except Undecided as error:  # a small one, at this rate
            undecided.append(error)
    if len(undecided) == len(truth["functions"]):
        raise undecided[0]
    return (f"{rate:.0f} samples a second of all CPUs, {recording['budget_frequency_hz']} Hz at the end, "
            f"{len(undecided)} functions undecided, cost {recording['budget_minute_cost_ppm'] / 1e4:.2f} % of {SHARE:.2%}")


def spike_is_seen(bench):
    """A fifth of a second of work after nothing: at the lowest rate that a budget leaves, two samples."""
    script = f'sleep {IDLE_SECONDS} && exec "$0" {SPIKE_SECONDS}'
    recording = bench.record("--max-cpu", f"{SHARE:.4%}", frequency=99,
                             command=["sh", "-c", script, *bench.workload("split")])
    seen = sum(sample.count for sample in recording.samples_of("split"))
    rate = recording["budget_frequency_hz"]
    if seen < LOWEST_HZ * SPIKE_SECONDS and (rate < 4 * LOWEST_HZ or recording["budget_chance_ppm"] < 1e6):
        raise Undecided(f"others left the budget {rate} Hz: {seen} samples")
    expect(seen >= LOWEST_HZ * SPIKE_SECONDS, f"{seen} samples of {SPIKE_SECONDS} s of work, {rate} Hz at the end")
    return f"{seen} samples of {recording.truth['self_ns'] / 1e9:.2f} s of work, {rate} Hz at the end"


if __name__ == "__main__":
    main([rate_falls_and_totals_stay, spike_is_seen])
