#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Heap profiles within a budget. A program that allocates often is seen in windows: the shares of its places are right,
its total is within the interval that the profile gives, and the probes cost less than the budget; also where it is slowed
down by turns. One that allocates
rarely gets probes that stay, and what it holds is known from then on.

    test_heap_windows.py BOLOMETER WORKLOADS

BOLOMETER_HEAP_SECONDS=60 looks for longer.
"""

import math
import os
import pathlib
import re
import subprocess
import tempfile

from heap_recording import ESTIMATED_TYPES, FREED_TYPES, NO_LINKS, TIMEOUT, TYPES, lacks_links, window_bounds
from profile_reader import Profile
from recording import Failure, Program, Undecided, expect, main

BUDGET = 0.01
SECONDS = float(os.environ.get("BOLOMETER_HEAP_SECONDS", "6"))
RUNS = 3 # one interval of twenty may miss
TIER_SECONDS = (5, 3, 10)
STAYED = 0.1 # of what is allocated often, before the probes have gone: counted
EARLY = 0.03 # what the program allocated before it was found is in no window's scale
POINTS = 0.02
DENSE_POINTS = 0.08
DENSE_SECONDS = max(SECONDS, 8)
LIVING = 40000 # blocks, each for some ten milliseconds
MEAN_SIZE = 0.8 * 64 + 0.15 * 300 + 0.05 * 2000


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


def memory_without_file(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return sum(int(found) << 10 for found in re.findall(r"^(?:RssAnon|VmSwap):\s*(\d+) kB", status, re.M))


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
    expect(tuple(kind for kind, _ in profile.types) == TYPES + FREED_TYPES + ESTIMATED_TYPES, f"{profile.types}")
    expect(profile.total("inuse_space") == 0, "what is held is not known")
    true = sum(bytes_ for _, bytes_ in places.values())
    low, high = window_bounds(recording.counters, "alloc_space")
    told = sum(seen_at(recording, place, "alloc_space") for place in places)
    if not told:
        raise Undecided(f"all {samples} samples are of the program's first moments: it did not run in other windows")
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


def recorded_dense(bench):
    """The recording, and whether its sum is within its bound."""
    try:
        recording = bench.record("-e", "heap", command=bench.workload("heap_dense", DENSE_SECONDS),
                                 timeout=DENSE_SECONDS + 50)
    except Failure as failure:
        if lacks_links(str(failure)):
            return None, True
        raise
    true = sum(objects for objects, _ in recording.truth["places"].values())
    low, high = window_bounds(recording.counters, "alloc_objects")
    return recording, recording["heap_windows"] < 5 or low <= true and true * (1 - EARLY) <= high


def dense(bench):
    """Where probes slow the program down most, most is allocated."""
    recording, is_right = recorded_dense(bench)
    for _ in range(RUNS - 1):
        if not is_right:
            recording, is_right = recorded_dense(bench)
    if not recording:
        return NO_LINKS
    places = recording.truth["places"]
    seen = [seen_at(recording, place, "alloc_objects") for place in places]
    if recording["heap_promoted"] or recording["heap_windows"] < 5 or not all(seen):
        raise Undecided(f"{recording['heap_samples']} samples in {recording['heap_windows']} windows")
    true = sum(objects for objects, _ in places.values())
    share, told = places["dense"][0] / true, recording["windows_share_error_95_ppm"] / 1e6
    recording.watch.expect(is_right, f"{RUNS} times out of its bound, at last {true} objects true, "
                                     f"{window_bounds(recording.counters, 'alloc_objects')} told")
    if told > 2 * DENSE_POINTS:
        raise Undecided(f"{recording['heap_windows']} windows tell shares to {told:.1%}")
    recording.watch.expect(abs(seen[0] / sum(seen) - share) <= max(DENSE_POINTS, told),
                           f"dense: share {seen[0] / sum(seen):.1%} seen, {share:.1%} true, {told:.1%} off told")
    return (f"share {seen[0] / sum(seen):.1%}, {share:.1%} true, {told:.1%} off at most by its own bound, "
            f"total {sum(seen) / true - 1:+.0%}")


def promoted(bench):
    """A thousand allocations a second of a program that works cost less than half of the budget: all are followed."""
    recording = recorded(bench, 1e6, "--heap-interval", 1, keep=["keep"])
    if not recording:
        return NO_LINKS
    true = true_bytes(recording)
    held = recording.profile.total("inuse_space")
    if not recording["heap_promoted"] or recording["heap_demoted"]:
        raise Undecided(f"promoted {recording['heap_promoted']} times, demoted {recording['heap_demoted']}")
    expect(0 < held <= true + 65536, f"{held} bytes in use, {true} allocated")
    return f"{held / true:.0%} of what is held was seen to come, {expect_cheap(recording)}"


def estimated(bench):
    """What outlives windows and is freed then adds up to much more than the program has: so much is not told to be in
    use, but about what is."""
    with tempfile.TemporaryDirectory() as directory, \
            Program(bench.workload("heap_pace", TIMEOUT, 1000, LIVING), stdout=subprocess.DEVNULL) as program:
        path = f"{directory}/x.pb.gz"
        run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "-p", str(program.pid), "-d", "9s", "-o", path],
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False, timeout=TIMEOUT)
        has = memory_without_file(program.pid)
        program.kill()
        if lacks_links(run.stderr):
            return NO_LINKS
        expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
        profile = Profile.read(path)
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    told, survived = profile.total("inuse_estimated_space"), int(counters["inuse_estimated_survived_bytes"])
    expect(told <= 1.05 * has, f"{told} bytes may be held, the program has {has}")
    if survived < 2 * has:
        raise Undecided(f"{survived} bytes outlived windows of a program that has {has}")
    true = LIVING * MEAN_SIZE
    expect(0.9 * true <= told <= 2 * true, f"{told} bytes may be held, {true} are")
    return f"{told} bytes told, {true} true; {survived} outlived windows"


def unmet(bench):
    """A program that all windows find asleep: that nothing is known of what it did is said."""
    try:
        recording = bench.record("-e", "heap", command=["sh", "-c", "for i in 1 2 3 4 5; do sleep 0.5; done; exit 0"])
    except Failure as failure:
        if lacks_links(str(failure)):
            return NO_LINKS
        raise
    if not recording["heap_windows"] or recording["heap_samples"] or recording["heap_promoted"]:
        raise Undecided(f"{recording['heap_samples']} samples in {recording['heap_windows']} windows")
    told, used = recording["heap_unmet_cpu_ns"], recording["heap_cpu_ns"]
    expect(0 < told <= used, f"{told} ns told not to be met, {used} ns used")
    return f"{told / 1e6:.2f} ms of {used / 1e6:.2f} ms were not met"


def tiers(bench):
    """A program that allocates rarely, then often, then rarely again."""
    try:
        recording = bench.record("-e", "heap", "--heap-interval", 1, timeout=90,
                                 command=bench.workload("heap_tiers", *TIER_SECONDS))
    except Failure as failure:
        if lacks_links(str(failure)):
            return NO_LINKS
        raise
    changes = recording["heap_promoted"], recording["heap_demoted"]
    if changes != (2, 1):
        raise Undecided(f"promoted {changes[0]} times, demoted {changes[1]}")
    places = recording.truth["places"]
    rare = places["rare_first"][0] + places["rare_last"][0]
    low, high = window_bounds(recording.counters, "alloc_objects")
    often, seen = places["often"][0], seen_at(recording, "often", "alloc_objects")
    recording.watch.expect(low <= often + rare and often * (1 - STAYED) <= high,
                           f"{often} objects when they are many, {low} to {high} told")
    # When probes go, nothing is known any more of what was held; when they come back, all that comes.
    held = seen_at(recording, "rare_last", "inuse_objects")
    expect(seen_at(recording, "rare_first", "inuse_objects") == 0, "what is held is forgotten")
    expect(0 < held <= places["rare_last"][2], f"{held} objects held, {places['rare_last'][2]} true")
    allocated = [seen_at(recording, place, "alloc_objects") / places[place][0] for place in ("rare_first", "rare_last")]
    return (f"seen of what is rare {allocated[0]:.0%} and {allocated[1]:.0%}, of what is often {seen / often:.0%} "
            f"({low / often:.0%} to {high / often:.0%}), {expect_cheap(recording)}")


main([windows, dense, promoted, estimated, unmet, tiers], keeps_awake=False)
