#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A program that allocates known numbers of objects and bytes at known places: `record -e heap --exact` says the
same, to the byte, allocated and still held.

    test_heap.py BOLOMETER WORKLOADS
"""

import json
import pathlib
import signal
import subprocess
import tempfile

from profile_reader import Profile
from recording import Undecided, expect, main

TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
LOST = ("heap_lost", "heap_sites_full", "heap_live_full", "heap_missed_frees")
TIMEOUT = 120


def record(bench, rounds, kill=None):
    """The profile of the workload and its truth. It has ended when this returns."""
    with tempfile.TemporaryDirectory() as directory, \
            subprocess.Popen(bench.workload("heap", rounds), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) as workload:
        path = pathlib.Path(directory) / "x.pb.gz"
        recorder = subprocess.Popen(
            [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-p", str(workload.pid),
             "-d", f"{TIMEOUT}s", "-o", str(path)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            truth = json.loads(workload.stdout.readline())
            recorder.send_signal(kill or signal.SIGINT)
            _, errors = recorder.communicate(timeout=TIMEOUT)
            if "cannot be probed" in errors or "do not load" in errors:
                return None, truth, 0
            workload.stdin.close()
            status = workload.wait(timeout=TIMEOUT)
            return (None if kill else Profile.read(path)), truth, status
        finally:
            recorder.kill()
            workload.kill()


def exact(bench):
    profile, truth, status = record(bench, 2000)
    if profile is None:
        return "SKIPPED: this kernel has no links of many uprobes"
    expect(status == 0, f"the program ended with {status}")
    if not truth["probed"]:
        raise Undecided("the probes came too late for the program")
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    for name in LOST:
        if int(counters.get(name, 0)):
            raise Undecided(f"{name}: {counters[name]}")
    expect(tuple(kind for kind, _ in profile.types) == TYPES, f"sample types {profile.types}")
    expect(profile.default_sample_type == "inuse_space", "inuse_space is the default value")
    for place, values in truth["places"].items():
        seen = [sum(sample.values[kind] for sample in profile.samples if place in sample.names)
                for kind in TYPES]
        expect(seen == values, f"{place}: {dict(zip(TYPES, seen))} seen, {values} true")
    total = profile.total("alloc_space")
    expect(total == int(counters["heap_bytes"]), f"{total} bytes in the file, {counters['heap_bytes']} counted")
    return f"{sum(v[0] for v in truth['places'].values())} allocations at {len(truth['places'])} places"


def killed(bench):
    """The recorder dies without a word: the program goes on, and ends as it would have."""
    _, truth, status = record(bench, 200, kill=signal.SIGKILL)
    expect(status == 0, f"the program ended with {status}")
    if not truth["probed"]:
        raise Undecided("the probes came too late for the program")
    return "the program went on"


main([exact, killed])
