#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Is the truth of the workloads true? Each runs briefly, and what it says of its functions must add up to
what the kernel accounted to it. A profile is only as good as what it is compared with.

    test_workloads.py DIRECTORY
"""

import json
import pathlib
import subprocess
import sys

SECONDS = 0.6
# Start-up and calibration are outside the measured functions.
OUTSIDE_NS = 25e6
WORKLOADS = [["split"], ["split_cpp"], ["split_rust"], ["split_go"], ["callers"], ["signals"],
             ["syscalls"], ["recursion"], ["recursion", "1000", "kernel"], ["threads"],
             ["threads", "short"], ["children"], ["children", "exec"], ["reload"], ["jit"]]

NEED_A_COMPILER = ("split_cpp", "split_rust", "split_go")


def run(directory, arguments):
    command = [directory / arguments[0], str(SECONDS), *arguments[1:]]
    if arguments[0] == "reload":
        command += [directory / "libreload_first.so", directory / "libreload_second.so"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    return json.loads(output.splitlines()[-1])


def measured_ns(truth):
    """What the workload says its functions, threads or children used; None when it says no parts."""
    if truth["workload"] == "signals":  # the handler's time is inside the interrupted function's
        return truth["functions"]["interrupted_leaf"]
    if "functions" in truth:
        return sum(truth["functions"].values())
    parts = truth.get("threads") or truth.get("children")
    return sum(part["ns"] for part in parts.values()) if parts else None


def problems(truth):
    accounted = truth["self_ns"] + truth["children_ns"]
    measured = measured_ns(truth)
    if not SECONDS * 0.9e9 <= accounted <= SECONDS * 2.5e9:
        yield f"used {accounted / 1e9:.3f} s of CPU time, asked for {SECONDS}"
    if measured is not None and not accounted - OUTSIDE_NS <= measured <= accounted + 1e6:
        yield f"functions add up to {measured} ns, the kernel accounted {accounted} ns"
    if truth["workload"] == "reload" and truth["same_address"] < truth["rounds"] - 1:
        yield "the libraries did not share an address"
    for name, used in truth.get("functions", {}).items():
        if used < 0.01 * accounted:
            yield f"{name} has only {used} ns"


def main(arguments):
    directory = pathlib.Path(arguments[1])
    failed = 0
    for workload in WORKLOADS:
        name = " ".join(workload)
        if workload[0] in NEED_A_COMPILER and not (directory / workload[0]).exists():
            print(f"SKIPPED {name}: it was not built here (no compiler for it)")
            continue
        found = list(problems(run(directory, workload)))
        print(f"{'FAILED' if found else 'ok'} {name}", *found, sep="\n    " if found else " ")
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
