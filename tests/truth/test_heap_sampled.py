#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Sampled heap profiles against a program whose truth is known: at 36 places of different sizes and numbers the values
are within the bound that docs/memory.md gives, in at least 90 % of them; totals are within 5 %; and a table of
objects that overflows makes the interval larger and nothing wrong.

    test_heap_sampled.py BOLOMETER WORKLOADS

BOLOMETER_HEAP_RUNS=12 makes twelve runs instead of two, and says how often each value was within its bound.
"""

import math
import os

from heap_recording import NO_LINKS, TYPES, HeapRun
from recording import Undecided, expect, main

INTERVAL = 65536
RUNS = int(os.environ.get("BOLOMETER_HEAP_RUNS", "2"))
COVERED = 0.90
P_FALSE = 1e-6
SEED = int(os.environ.get("BOLOMETER_HEAP_SEED", str(os.getpid())))


def counters_of(profile):
    return dict(text.split("=", 1) for text in profile.comments if "=" in text)


def bound(value, unit):
    """How far a place's value may be off, in one case of twenty: see docs/memory.md. `unit`: what one sample
    stands for."""
    return 1.92 * unit + 1.96 * math.sqrt(value * unit + 0.96 * unit * unit)


def chance_of_so_few(hits, of, share):
    """Of at most `hits` of `of` independent ones, each with that chance."""
    return sum(math.comb(of, k) * share**k * (1 - share)**(of - k) for k in range(hits + 1))


def sampled_run(bench, seed, *options):
    run = HeapRun(bench.bolometer, bench.workload("heap_places", INTERVAL, seed),
                  options=("--heap-budget", "100%", "--heap-interval", str(INTERVAL), *options))
    if run.has_links:
        run.expect_probed()
        lost = {name: value for name, value in counters_of(run.profile).items()
                if name in ("heap_lost", "heap_sites_full", "heap_live_full") and int(value)}
        if lost:
            raise Undecided(f"{lost}")
    return run


def seen_at(profile, place):
    samples = [sample for sample in profile.samples if place in sample.names]
    return [sum(sample.values[kind] for sample in samples) for kind in TYPES]


def judge_places(run, interval, within):
    for place, true in run.truth["places"].items():
        size = max(true[1] / true[0], 16)
        for kind, seen, value in zip(TYPES, seen_at(run.profile, place), true):
            unit = interval if kind.endswith("space") else interval / size
            within[kind].append(abs(seen - value) <= bound(seen, unit))


def expect_covered(within):
    """Places of a run are sampled independently of each other."""
    told = []
    for kind, hits in within.items():
        share = sum(hits) / len(hits)
        told.append(f"{kind} {share:.1%}")
        expect(share >= COVERED or chance_of_so_few(sum(hits), len(hits), COVERED) > P_FALSE,
               f"{kind}: {sum(hits)} of {len(hits)} values are within their bound")
    return ", ".join(told)


def expect_total(run, interval):
    places = run.truth["places"].values()
    counters = counters_of(run.profile)
    expect(run.profile.period == interval, f"period {run.profile.period}")
    for at, kind, counted in ((0, "alloc_objects", "heap_allocations"), (1, "alloc_space", "heap_bytes")):
        true, seen = sum(place[at] for place in places), run.profile.total(kind)
        expect(abs(seen - true) <= 0.05 * true, f"{kind}: {seen} seen, {true} true")
        expect(abs(seen - int(counters[counted])) <= len(run.profile.samples) + 1e-6 * seen,
               f"{kind}: {seen} in the file, {counters[counted]} counted")
    true, seen = sum(place[3] for place in places), run.profile.total("inuse_space")
    off = int(counters["inuse_space_error_95_bytes"])
    # 1.96 standard deviations are exceeded once in twenty times, five practically never.
    expect(abs(seen - true) <= 2.6 * off, f"inuse_space: {seen} seen, {true} true, error {off}")
    return f"in use {seen / true - 1:+.1%} (within {off / true:.1%})"


def sampled(bench):
    within = {kind: [] for kind in TYPES}
    told = []
    for number in range(RUNS):
        run = sampled_run(bench, SEED + number)
        if not run.has_links:
            return NO_LINKS
        expect(counters_of(run.profile)["heap_method"] == "sampled", "the method is said")
        judge_places(run, INTERVAL, within)
        told.append(expect_total(run, INTERVAL))
    return f"{RUNS * 36} places within: {expect_covered(within)}; {'; '.join(told)}"


def overflowing(bench):
    """The table of objects alive is too small for what is sampled."""
    run = sampled_run(bench, SEED, "--heap-objects", "128")
    if not run.has_links:
        return NO_LINKS
    counters = counters_of(run.profile)
    raised = int(counters["heap_interval_raised"])
    if not raised:
        raise Undecided("no table was nearly full when it was looked at")
    interval = int(counters["heap_interval_bytes"])
    expect(interval == INTERVAL << raised, f"the interval is {interval} after {raised} changes")
    within = {kind: [] for kind in TYPES}
    # In a burst they are taken with a larger one than that which is left.
    judge_places(run, 4 * interval, within)
    return f"{raised} times raised: {expect_covered(within)}; {expect_total(run, interval)}"


main([sampled, overflowing], keeps_awake=False)
