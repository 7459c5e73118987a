#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Heap profiles within a budget. A program that allocates often is seen in windows: the shares of its places are right,
its total is within the interval that the profile gives, and the probes cost less than the budget. One that allocates
rarely gets probes that stay, and what it holds is known from then on.

    test_heap_windows.py BOLOMETER WORKLOADS

BOLOMETER_HEAP_SECONDS=60 looks for longer.
"""

import math
import os

from heap_recording import NO_LINKS, TYPES, lacks_links, window_bounds
from recording import Failure, Undecided, expect, main

BUDGET = 0.01
SECONDS = float(os.environ.get("BOLOMETER_HEAP_SECONDS", "6"))
RUNS = 3 # one interval of twenty may miss
EARLY = 0.03 # what the program allocated before it was found is in no window's scale
POINTS = 0.02


def recorded(bench, work_ns, *options, keep=()):
    try:
        return bench.record("-e", "heap", *options,
                            command=bench.workload("heap_pace", SECONDS, work_ns, *keep), timeout=SECONDS + 50)
    except Failure as failure:
        if lacks_links(str(failure)):
            return None
        raise


def seen_at(recording, place, kind):
    return sum(sample.values[kind] for sample in recording.profile.samples if place in sample.names)


def expect_cheap(recording):
    cost, used = recording["heap_cost_ns"], recording["heap_cpu_ns"]
    share = cost / max(used, 1)
    recording.watch.expect(share <= BUDGET, f"the probes cost {share:.2%} of the program's CPU time")
    return f"cost {share:.2%}"


def true_bytes(recording):
    return sum(bytes_ for _, bytes_ in recording.truth["places"].values()) + recording.truth["early_bytes"]


def is_within(recording):
    low, high = window_bounds(recording.counters, "alloc_space")
    true = true_bytes(recording)
    return low <= true and true * (1 - EARLY) <= high


def recorded_within(bench):
    """A recording whose sum is within its bound."""
    for _ in range(RUNS):
        recording = recorded(bench, 5000)
        if not recording or not recording["heap_windows"] or is_within(recording):
            return recording
    low, high = window_bounds(recording.counters, "alloc_space")
    recording.watch.expect(False, f"{RUNS} times out of its bound, at last {true_bytes(recording)} bytes true, "
                                  f"{low} to {high} told")
    return recording


def windows(bench):
    recording = recorded_within(bench)
    if not recording:
        return NO_LINKS
    profile, places = recording.profile, recording.truth["places"]
    opened, samples = recording["heap_windows"], recording["heap_samples"]
    if recording["heap_promoted"]:
        raise Undecided("the host let the program do so little that all calls were affordable")
    if opened < 5 or samples < 100:
        raise Undecided(f"{samples} samples in {opened} windows")
    expect("heap_method=windows" in profile.comments, "the method is said")
    expect(tuple(kind for kind, _ in profile.types) == TYPES + ("inuse_estimated_space",), f"{profile.types}")
    expect(profile.total("inuse_space") == 0, "what is held is not known")
    true = sum(bytes_ for _, bytes_ in places.values())
    low, high = window_bounds(recording.counters, "alloc_space")
    told = sum(seen_at(recording, place, "alloc_space") for place in places)
    worst = 0
    for place, (_, bytes_) in places.items():
        share = bytes_ / true
        seen = seen_at(recording, place, "alloc_space") / max(told, 1)
        allowed = POINTS + 4 * math.sqrt(share * (1 - share) / samples)
        expect(abs(seen - share) <= allowed, f"{place}: share {seen:.1%} seen, {share:.1%} true, {samples} samples")
        worst = max(worst, abs(seen - share))
    return (f"{opened} windows, {samples} samples: shares within {worst:.1%}, total {told / true - 1:+.0%} "
            f"(all: {low / true_bytes(recording) - 1:+.0%} to {high / true_bytes(recording) - 1:+.0%}), "
            f"{expect_cheap(recording)}")


def promoted(bench):
    """Some hundred allocations a second of a program that works: all of them can be followed."""
    recording = recorded(bench, 3e6, "--heap-interval", 1, keep=["keep"])
    if not recording:
        return NO_LINKS
    true = true_bytes(recording)
    held = recording.profile.total("inuse_space")
    if not recording["heap_promoted"] or recording["heap_demoted"]:
        raise Undecided(f"promoted {recording['heap_promoted']} times, demoted {recording['heap_demoted']}")
    expect(0 < held <= true + 65536, f"{held} bytes in use, {true} allocated")
    return f"{held / true:.0%} of what is held was seen to come, {expect_cheap(recording)}"


main([windows, promoted])
