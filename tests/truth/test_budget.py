#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A recording under a budget: the rate falls from far above what the budget allows, and the CPU time it shows is
still that of the program, as a whole and by function.

    test_budget.py BOLOMETER WORKLOADS
"""

from recording import (CLOCK_SHARE, OUTSIDE_NS, Undecided, bound_ns, cpu_ns, expect, expect_near, main)

SECONDS = 8
ASKED_HZ = 4801
SHARE = 0.05
SLICE_NS = 2.5e6  # as in test_record_split.py


def rate_falls_and_totals_stay(bench):
    recording = bench.record_workload("split", SECONDS, frequency=ASKED_HZ,
                                      options=["--max-cpu", f"{SHARE:.0%}"])
    truth = recording.truth
    rate = recording["samples"] / (recording.profile.duration_ns / 1e9)
    expect(recording["budget_cpu_ppm"] == SHARE * 1e6, f"{recording.counters}")
    if recording["budget_frequency_hz"] > ASKED_HZ / 2:
        raise Undecided(f"ticks are so cheap here that {recording['budget_frequency_hz']} Hz fit")
    # Of a mean of different periods the largest weigh more than their number: twice the mean covers it.
    period_ns = 2 * recording["captured_ns"] / max(recording["samples"], 1)
    true_ns = truth["self_ns"] + truth["children_ns"]
    samples = recording.samples_of("split")
    expect_near("CPU time", cpu_ns(samples), true_ns,
                bound_ns(truth["switches"] + 1, period_ns) + OUTSIDE_NS, recording)
    for function, part_ns in truth["functions"].items():
        seen = cpu_ns(sample for sample in samples if any(function in name for name in sample.names))
        share = min(1, 2 * part_ns / true_ns)
        expect_near(function, seen, part_ns,
                    bound_ns(true_ns / SLICE_NS * share, period_ns) + CLOCK_SHARE * part_ns,
                    recording, share, cpu_ns(s for s in samples if s.frames[-1].is_mark) * share)
    return (f"{rate:.0f} samples a second of all CPUs, {recording['budget_frequency_hz']} Hz at the end, "
            f"cost {recording['budget_minute_cost_ppm'] / 1e4:.2f} % of {SHARE:.0%}")


if __name__ == "__main__":
    main([rate_falls_and_totals_stay])
