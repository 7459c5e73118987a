#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs that touch a known number of bytes for the first time at known places: `record -e growth` says how
many and where, small pages and large, and what is no growth does not count as such.

    test_growth.py BOLOMETER WORKLOADS

How far off it may be: 5 %. A busy host makes the samples fewer, and then a right one may be further off: what
is within 4.5 standard errors, as they would be were each sample drawn by itself, is undecided.
"""

import math

from recording import Undecided, expect, main

LARGEST_ERROR = 0.05
SURE = 4.5


def touched(recording, pid, function, kind="growth_space"):
    """The value of all samples of the process with the function in their stack, and the standard error."""
    values = [sample.values[kind] for sample in recording.profile.samples
              if sample.labels.get("process.pid") == pid
              and any(function in name for name in sample.names)]
    counts = [sample.count for sample in recording.profile.samples
              if sample.labels.get("process.pid") == pid and sample.values[kind]
              and any(function in name for name in sample.names)]
    squares = sum(value * value / count for value, count in zip((v for v in values if v), counts))
    return sum(values), math.sqrt(squares)


def expect_bytes(recording, what, seen, error, true):
    off = abs(seen - true)
    said = f"{what}: {seen / 1e6:.2f} MB seen, {true / 1e6:.2f} MB true ({seen / true - 1:+.2%})"
    if off <= LARGEST_ERROR * true:
        return said
    expect(off <= SURE * error, f"{said}, more than {SURE} standard errors of {error / 1e6:.2f} MB")
    raise Undecided(f"{said}: with a standard error of {error / 1e6:.2f} MB chance can do that")


def record(bench, part, megabytes):
    # The first run makes the tables of the program's binaries; it is another process.
    script = '"$0" "$1" 4 >/dev/null && "$0" "$1" "$2" && exit'
    recording = bench.record("-e", "growth", command=["sh", "-c", script,
                                                      *bench.workload("growth", part, megabytes)])
    expect(recording.profile.default_sample_type == "growth_space", "growth_space is the default value")
    check_accounts(recording)
    return recording


def check_accounts(recording):
    """Every fault is counted, and what the samples stand for is in the file."""
    parts = {name: recording["growth_" + name] for name in ("new", "copied", "file", "unselected", "thinned")}
    expect(recording["growth_faults"] == sum(parts.values()),
           f"{recording['growth_faults']} faults are not the sum of {parts}")
    total = recording.profile.total("growth_space") + recording.profile.total("copied_space")
    expect(total == recording["growth_bytes"],
           f"{total} bytes in the file, {recording['growth_bytes']} counted")
    if recording["growth_lost"]:
        raise Undecided(f"{recording['growth_lost']} samples lost")


def check_part(bench, part, function, megabytes=128):
    recording = record(bench, part, megabytes)
    truth = recording.truth
    seen, error = touched(recording, truth["pid"], function)
    return expect_bytes(recording, function, seen, error, truth["bytes"])


def small_pages(bench):
    return check_part(bench, "small", "touch_small_pages")


def brk(bench):
    return check_part(bench, "brk", "touch_brk")


def stack(bench):
    return check_part(bench, "stack", "touch_stack", 7)


def large_pages(bench):
    recording = record(bench, "large", 512)
    truth = recording.truth
    if truth["large"] < truth["bytes"] // 2:
        return "SKIPPED: this host gives no large pages"
    seen, error = touched(recording, truth["pid"], "touch_large_pages")
    return expect_bytes(recording, "touch_large_pages", seen, error, truth["bytes"])


def turns(bench):
    """Two places that take turns of 3 and 1 pages: each has its own share."""
    recording = record(bench, "turns", 256)
    truth = recording.truth
    three, error = touched(recording, truth["pid"], "touch_three_of_four")
    one, _ = touched(recording, truth["pid"], "touch_one_of_four")
    expect_bytes(recording, "both", three + one, error, truth["bytes"])
    # The standard error of a share: the samples fall on either by chance.
    share_error = error / max(three + one, 1) * 0.5
    off = abs(three / max(three + one, 1) - 0.75)
    said = f"share of three in four: {three / max(three + one, 1):.2%}"
    expect(off <= SURE * share_error, said)
    if off > LARGEST_ERROR:
        raise Undecided(said)
    return said


def nothing_of_files(bench):
    """Pages of a file, and shared memory, are not the process's growth."""
    said = []
    for part, function in (("file", "touch_file"), ("shared", "touch_shared")):
        recording = record(bench, part, 64)
        seen, _ = touched(recording, recording.truth["pid"], function)
        expect(seen <= 0.02 * recording.truth["bytes"], f"{function}: {seen} bytes of growth")
        expect(recording["growth_file"] > 0, "faults in files are counted")
        said.append(f"{function} {seen} bytes")
    return ", ".join(said)


def fork(bench):
    """What a child writes to is a copy of its own, not new."""
    recording = record(bench, "fork", 128)
    truth = recording.truth
    new, _ = touched(recording, truth["child"], "write_in_child")
    expect(new <= 0.02 * truth["bytes"], f"write_in_child: {new} bytes of growth")
    seen, error = touched(recording, truth["child"], "write_in_child", "copied_space")
    return expect_bytes(recording, "write_in_child", seen, error, truth["bytes"])


if __name__ == "__main__":
    main([small_pages, brk, stack, large_pages, turns, nothing_of_files, fork])
