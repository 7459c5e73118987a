#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A program that allocates known numbers of objects and bytes at known places: `record -e heap --exact` says the
same, to the byte, allocated and still held.

    test_heap.py BOLOMETER WORKLOADS

The program's code is compared with its file to see that probes are there, and that none is left. They come and
go a few times in this test; BOLOMETER_HEAP_TIMES=1000 does it more often.
"""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from profile_reader import Profile
from recording import Undecided, expect, main

TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
LOST = ("heap_lost", "heap_sites_full", "heap_live_full", "heap_missed_frees")
TIMEOUT = 120
TIMES = int(os.environ.get("BOLOMETER_HEAP_TIMES", "5"))


def changed_code(pid):
    """How many bytes of the C library's code are not those of its file."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps]
    start, end, offset, path = next(
        (*(int(part, 16) for part in line[0].split("-")), int(line[2], 16), line[5])
        for line in lines if line[1] == "r-xp" and "libc" in line[-1])
    with open(f"/proc/{pid}/mem", "rb") as memory, open(path, "rb") as file:
        memory.seek(start)
        file.seek(offset)
        return sum(a != b for a, b in zip(memory.read(end - start), file.read(end - start)))


def expect_no_probes(pid):
    """The kernel takes probes away a moment after their descriptors are closed."""
    until = time.monotonic() + TIMEOUT
    while (left := changed_code(pid)) and time.monotonic() < until:
        time.sleep(0.05)
    expect(left == 0, f"{left} probes are left")


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
            expect(changed_code(workload.pid) > 0 or not truth["probed"], "probes change the code")
            recorder.send_signal(kill or signal.SIGINT)
            _, errors = recorder.communicate(timeout=TIMEOUT)
            expect_no_probes(workload.pid)
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


def again(bench):
    """Probes come and go under a program that only allocates, and change nothing of what it computes."""
    with tempfile.TemporaryDirectory() as directory, \
            subprocess.Popen(bench.workload("heap", "churn"), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) as workload:
        try:
            for _ in range(TIMES):
                run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "--exact", "--no-symbolize",
                                      "-p", str(workload.pid), "-d", "300ms", "-o", f"{directory}/x.pb.gz"],
                                     stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
                if "cannot be probed" in run.stderr or "do not load" in run.stderr:
                    return "SKIPPED: this kernel has no links of many uprobes"
                expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
            seen = Profile.read(f"{directory}/x.pb.gz").total("alloc_objects")
            expect_no_probes(workload.pid)
            output, _ = workload.communicate(timeout=TIMEOUT)
        finally:
            workload.kill()
    expect(workload.returncode == 0, f"the program ended with {workload.returncode}")
    truth = json.loads(output)
    expect(truth["wrong"] == 0, f"{truth['wrong']} of {truth['blocks']} blocks are damaged")
    if not seen:
        raise Undecided("the last recording was over before its probes were set")
    return f"{TIMES} times, {truth['blocks']} blocks checked"


main([exact, killed, again])
