#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs that touch a known number of bytes for the first time at known places: `record -e growth` says how
many and where, small pages and large, and what is no growth does not count as such.

    test_growth.py BOLOMETER WORKLOADS

How far off it may be: 5 %. Where others make the page faults many, samples are fewer and each stands for
more, and then a right sum may be further off: undecided when one sample is more than a fiftieth of the truth,
or when it is within 4.5 standard errors, as they would be were each sample drawn by itself.
"""

import math

from recording import Undecided, expect, main

LARGEST_ERROR = 0.05
SURE = 4.5
LARGEST_SAMPLE = 0.02
LARGE_PAGE = 2 << 20
MANY_OTHERS = 20


def touched(recording, pid, function, kind="growth_space"):
    """The value of all samples of the process with the function in their stack, the standard error, and the
    largest mean of a sample."""
    samples = [(sample.values[kind], sample.count) for sample in recording.profile.samples
               if sample.labels.get("process.pid") == pid and sample.values[kind]
               and any(function in name for name in sample.names)]
    error = math.sqrt(sum(value * value / count for value, count in samples))
    return sum(value for value, _ in samples), error, max((v / n for v, n in samples), default=0)


def expect_bytes(what, found, true):
    seen, error, largest = found
    off = abs(seen - true)
    said = f"{what}: {seen / 1e6:.2f} MB seen, {true / 1e6:.2f} MB true ({seen / true - 1:+.2%})"
    if off <= LARGEST_ERROR * true:
        return said
    if largest > LARGEST_SAMPLE * true:
        raise Undecided(f"{said}: others' page faults make a sample stand for {largest / 1e6:.2f} MB")
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
    return expect_bytes(function, touched(recording, truth["pid"], function), truth["bytes"])


def small_pages(bench):
    return check_part(bench, "small", "touch_small_pages")


def brk(bench):
    return check_part(bench, "brk", "touch_brk")


def stack(bench):
    return check_part(bench, "stack", "touch_stack", 96)


def large_pages(bench):
    recording = record(bench, "large", 512)
    truth = recording.truth
    if truth["large"] < truth["bytes"] // 2:
        return "SKIPPED: this host gives no large pages"
    found = touched(recording, truth["pid"], "touch_large_pages")
    # A few hundred faults in all. While there are so many others each run stands for many, rightly in the mean; but
    # those that no run met then leave nothing that the standard error could be made of.
    if (recording["growth_faults"] > MANY_OTHERS * truth["bytes"] // LARGE_PAGE
            and abs(found[0] - truth["bytes"]) > LARGEST_ERROR * truth["bytes"]):
        raise Undecided(f"{found[0] / 1e6:.2f} MB seen among {recording['growth_faults']} page faults")
    return expect_bytes("touch_large_pages", found, truth["bytes"])


def turns(bench):
    """Two places that take turns of 3 and 1 pages: each has its own share."""
    recording = record(bench, "turns", 256)
    truth = recording.truth
    three, error, largest = touched(recording, truth["pid"], "touch_three_of_four")
    one, _, _ = touched(recording, truth["pid"], "touch_one_of_four")
    expect_bytes("both", (three + one, error, largest), truth["bytes"])
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
        seen, _, _ = touched(recording, recording.truth["pid"], function)
        expect(seen <= 0.02 * recording.truth["bytes"], f"{function}: {seen} bytes of growth")
        expect(recording["growth_file"] > 0, "faults in files are counted")
        said.append(f"{function} {seen} bytes")
    return ", ".join(said)


def fork(bench):
    """What a child writes to is a copy of its own, not new."""
    recording = record(bench, "fork", 128)
    truth = recording.truth
    new, _, _ = touched(recording, truth["child"], "write_in_child")
    expect(new <= 0.02 * truth["bytes"], f"write_in_child: {new} bytes of growth")
    return expect_bytes("write_in_child",
                        touched(recording, truth["child"], "write_in_child", "copied_space"), truth["bytes"])


if __name__ == "__main__":
    main([small_pages, brk, stack, large_pages, turns, nothing_of_files, fork])
