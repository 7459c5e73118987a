# SPDX-License-Identifier: Apache-2.0
"""Two functions, one with twice the work of the other, below a third; says at its end how much CPU time each
took. The argument is the CPU time to take, in seconds."""

import json
import os
import sys
import time


def work(units):
    value = 1
    for _ in range(units):
        value = (value * 1664525 + 1013904223) & 0xffffffff
    return value


def large(units):
    return work(2 * units) + 1


def small(units):
    return work(units) + 1


def parts(total):
    used = {"large": 0, "small": 0}
    start = before = time.process_time_ns()
    while before - start < total:
        large(20000)
        between = time.process_time_ns()
        small(20000)
        after = time.process_time_ns()
        used["large"] += between - before
        used["small"] += after - between
        before = after
    return used


print(json.dumps({"functions": parts(float(sys.argv[1]) * 1e9), "pid": os.getpid()}))
