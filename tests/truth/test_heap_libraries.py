#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Libraries with an allocator of their own that a program loads and unloads, at the same address: the allocator is found when
it comes, what it allocates is told to the byte, and the probes leave with the library.

    test_heap_libraries.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import signal
import subprocess
import tempfile
import time

from heap_recording import LOST, NO_LINKS, TIMEOUT, TYPES, changed_code, expect_ended, expect_no_probes, lacks_links
from profile_reader import Profile
from recording import Failure, Program, Stopwatch, Undecided, expect, main

PATIENCE = 15
LIBRARIES = ("libheap_arena_first.so", "libheap_arena_second.so")


def next_line(program):
    line = program.stdout.readline()
    expect(line, "the program has ended")
    return json.loads(line)


def is_mapped(pid, file):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return file in maps.read()


def wait_for_probes(program, file):
    watch = Stopwatch()
    while not changed_code(program.pid, file):
        watch.expect(watch.seconds() < PATIENCE, f"no probes in {file} within {PATIENCE} s")
        time.sleep(0.05)
    time.sleep(0.2)  # those of the other functions


def go_through(program, files):
    """What the program says of each library."""
    told = []
    for file in files:
        next_line(program)
        wait_for_probes(program, file)
        for other in set(files) - {file}:
            expect(not is_mapped(program.pid, other), f"{other} is still there")
        program.stdin.write("\n")
        program.stdin.flush()
        told.append(next_line(program))
    return told


def libraries(bench):
    files = [LIBRARIES[i % 2] for i in range(4)]
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        path = f"{directory}/x.pb.gz"
        program = stack.enter_context(Program(
            bench.workload("heap_libraries", *(bench.workloads / file for file in files)),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        recorder = stack.enter_context(Program(
            [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-p", str(program.pid), "-d", f"{TIMEOUT}s",
             "-o", path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        is_probed = next_line(program)["probed"]
        if is_probed:
            told = go_through(program, files)
        recorder.send_signal(signal.SIGINT)
        _, errors = recorder.communicate(timeout=TIMEOUT)
        if lacks_links(errors):
            return NO_LINKS
        if not is_probed:
            raise Undecided("the probes came too late for the program")
        expect_ended(recorder, errors)
        for file in ("libc", files[-1]):
            expect_no_probes(program.pid, file)
        program.stdin.close()
        expect(program.wait(timeout=TIMEOUT) == 0, f"the program ended with {program.returncode}")
        profile = Profile.read(path)
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    if lost := [f"{name}={counters[name]}" for name in LOST if int(counters.get(name, 0))]:
        raise Undecided(" ".join(lost))
    wrong = []
    for line in told:
        samples = [sample for sample in profile.samples if line["place"] in sample.names]
        seen = [sum(sample.values[kind] for sample in samples) for kind in TYPES]
        if seen != line["values"]:
            wrong.append(f"{line['place']}: {seen} seen, {line['values']} true")
    if wrong:
        raise Failure("; ".join(wrong))
    addresses = {line["address"] >> 12 for line in told}
    return f"{len(told)} times, at {len(addresses)} addresses"


main([libraries], keeps_awake=False)
