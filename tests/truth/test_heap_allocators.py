#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The program of test_heap.py with every allocator that this machine has, shared, preloaded and static: what
`record -e heap --exact` says is the truth, to the byte.

    test_heap_allocators.py BOLOMETER WORKLOADS
"""

import concurrent.futures
import pathlib
import sys
import tempfile

from heap_recording import NO_LINKS, HeapRun
from recording import Failure, Undecided, main

SOURCE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(SOURCE / "memory"))
from builds import builds  # noqa: E402

ROUNDS = 150
AT_ONCE = 3  # most of a run is waiting


def run_build(bolometer, name, build):
    """What to say of it, and whether it is right; None: that is undecided."""
    run = HeapRun(bolometer, [build.program, str(ROUNDS)], build.environment(), file=build.pattern)
    if not run.has_links:
        return True, NO_LINKS
    try:
        return True, f"{name}: {run.expect_exact()}"
    except Undecided as why:
        return None, f"{name}: {why}"
    except Failure as why:
        return False, f"{name}: {why}"


def allocators(bench):
    told, runs = [], []
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory, \
            concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, build in builds(SOURCE / "workloads/heap.c", directory, ["-D_GNU_SOURCE", "-pthread"]):
            if build:
                runs.append(pool.submit(run_build, bench.bolometer, name, build))
            else:
                told.append(f"{name}: skipped, this machine lacks it")
        results = [run.result() for run in runs]
    for verdict, error in ((False, Failure), (None, Undecided)):
        texts = [text for right, text in results if right is verdict]
        if texts:
            raise error("\n     ".join(["", *texts]))
    return "\n     ".join(["", *told, *dict.fromkeys(text for _, text in results)])


main([allocators])
