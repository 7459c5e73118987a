#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A recording of the whole host under a limit of memory that is smaller than its own code and maps: everything that may
be given up is, each is counted and named, and the profile has its names all the same.

    test_memory_budget.py BOLOMETER WORKLOADS
"""

import contextlib
import subprocess

from recording import Program, Undecided, cpu_ns, expect, main

SECONDS = 11
LIMIT_MIB = 8
WORKLOADS = ("split", "split_cpp", "split_rust", "split_go", "split_static", "callers", "signals", "threads")
LEVERS = ("free_heap", "names", "tables", "stacks")  # one every 2 s


def what_is_given_up_is_named(bench):
    # One alone needs less than the lowest limit there is.
    with contextlib.ExitStack() as stack:
        for name in filter(bench.has, WORKLOADS):
            program = stack.enter_context(Program(bench.workload(name, SECONDS + 60), stdout=subprocess.DEVNULL))
            stack.callback(program.kill)
        recording = bench.record("-d", f"{SECONDS}s", "--max-memory", f"{LIMIT_MIB}MiB")
    counters = recording.counters
    peak = counters["budget_memory_peak_bytes"]
    expect(counters["budget_memory_bytes"] == LIMIT_MIB << 20, f"{counters}")
    if peak <= LIMIT_MIB << 20:
        raise Undecided(f"{peak / 2**20:.1f} MiB are all it needs here")
    given_up = {name: counters.get(f"budget_memory_gave_up.{name}", 0) for name in LEVERS}
    if sum(given_up.values()) < len(LEVERS):
        raise Undecided(f"it had no time for more than {given_up}")
    expect(all(given_up.values()), f"each is moved: {given_up}")
    named = sum(cpu_ns([s]) for s in recording.profile.samples if any("split_" in name for name in s.names))
    expect(named > 0, "its functions have their names")
    return (f"{peak / 2**20:.1f} MiB of {LIMIT_MIB}, gave up {given_up}, infeasible"
            f" {counters['budget_memory_infeasible']}")


if __name__ == "__main__":
    main([what_is_given_up_is_named])
