#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The program of test_heap.py with every allocator that this machine has, shared, preloaded and static: what
`record -e heap --exact` says is the truth, to the byte; what it says when it samples is within its bound.

    test_heap_allocators.py BOLOMETER WORKLOADS
"""

import concurrent.futures
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from heap_recording import LOST, NO_LINKS, TYPES, HeapRun, lacks_links
from profile_reader import Profile
from recording import Failure, Program, Undecided, expect, main

SOURCE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCE / "memory"))
from builds import builds, compiled, library  # noqa: E402

ROUNDS = 150
AT_ONCE = 3  # most of a run is waiting
INTERVAL = 4096
SAMPLED = ("jemalloc", "mimalloc", "static glibc") # as many as run at once


def exactly(run):
    return run.expect_exact()


def is_near(seen, true, unit):
    """As docs/memory.md says of a place, three times as far: with hundreds of places no miss is left to chance."""
    return abs(seen - true) <= 3 * (1.92 * unit + 1.96 * math.sqrt(true * unit + 0.96 * unit * unit))


def within_bounds(run):
    run.expect_probed()
    counters = dict(text.split("=", 1) for text in run.profile.comments if "=" in text)
    if lost := [f"{name}={counters[name]}" for name in LOST if int(counters.get(name, 0))]:
        raise Undecided(" ".join(lost))
    expect("heap_method=sampled" in run.profile.comments, "the method is said")
    for kind, counter in (("alloc_objects", "heap_allocations"), ("alloc_space", "heap_bytes")):
        told, counted = run.profile.total(kind), int(counters[counter])
        expect(abs(told - counted) <= len(run.profile.samples) + 1e-6 * counted,
               f"{kind}: {told} in the file, {counted} counted")
    for place, true in run.truth["places"].items():
        samples = [sample for sample in run.profile.samples if place in sample.names]
        seen = [sum(sample.values[kind] for sample in samples) for kind in TYPES]
        for kind, value, right in zip(TYPES, seen, true):
            # The smallest objects weigh as if they were of 16 bytes.
            unit = INTERVAL if "space" in kind else INTERVAL / 16
            expect(is_near(value, right, unit), f"{place}: {kind}: {value} told, {right} true")
    return f"{counters['heap_samples']} samples of {counters['heap_allocations']} allocations"


def run_build(bolometer, name, build, judge, options):
    """What to say of it, and whether it is right; None: that is undecided."""
    run = HeapRun(bolometer, [build.program, str(ROUNDS)], build.environment(), file=build.pattern, options=options)
    if not run.has_links:
        return True, NO_LINKS
    try:
        return True, f"{name}: {judge(run)}"
    except Undecided as why:
        return None, f"{name}: {why}"
    except Failure as why:
        return False, f"{name}: {why}"


def judged(bench, judge, options, is_wanted=lambda name: True):
    told, runs = [], []
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, build in builds(SOURCE / "workloads/heap.c", directory, ["-D_GNU_SOURCE", "-pthread"]):
            if not is_wanted(name):
                continue
            if build:
                runs.append(pool.submit(run_build, bench.bolometer, name, build, judge, options))
            else:
                told.append(f"{name}: skipped, this machine lacks it")
        results = [run.result() for run in runs]
    for verdict, error in ((False, Failure), (None, Undecided)):
        texts = [text for right, text in results if right is verdict]
        if texts:
            raise error("\n     ".join(["", *texts]))
    return "\n     ".join(["", *told, *dict.fromkeys(text for _, text in results)])


def allocators(bench):
    return judged(bench, exactly, ("--exact",))


def sampled(bench):
    """One of each way to come by an allocator; BOLOMETER_HEAP_RUNS: all."""
    return judged(bench, within_bounds, ("--heap-budget", "100%", "--heap-interval", str(INTERVAL)),
                  lambda name: name in SAMPLED or "BOLOMETER_HEAP_RUNS" in os.environ)


def refused(bench):
    """A request that cannot be met: the exception arrives where it is caught, with probes as without."""
    told = []
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory:
        program = compiled(directory, "throw", ["g++", "-O1", str(SOURCE / "workloads/heap_throw.cc")])
        for name, file in (("jemalloc", "libjemalloc.so.2"), ("gperftools", "libtcmalloc_minimal.so.4")):
            if not program or not library(file):
                told.append(f"{name}: skipped, this machine lacks it")
                continue
            with Program([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                         env={**os.environ, "LD_PRELOAD": library(file)}) as process:
                path = f"{directory}/x.pb.gz"
                run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-p",
                                      str(process.pid), "-d", "4s", "-o", path], stderr=subprocess.PIPE,
                                     text=True, check=False)
                output, _ = process.communicate(timeout=60)
            if lacks_links(run.stderr):
                return NO_LINKS
            counters = dict(text.split("=", 1) for text in Profile.read(path).comments if "=" in text)
            if not int(counters.get("heap_allocations", 0)):
                raise Undecided(f"{name}: no probes came within 4 s")
            if not int(counters.get("heap_too_large", 0)):
                return "SKIPPED: this kernel has no sessions of probes"
            expect(process.returncode == 0, f"{name}: the program ended with {process.returncode}")
            expect(output == "300\n", f"{name}: {output} of 300 exceptions were caught")
            told.append(f"{name}: {counters['heap_too_large']} seen")
    return "; ".join(told)


main([allocators, sampled, refused], keeps_awake=False)
