#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs whose files cannot be opened, or closed, because their file system hangs: the recording goes on, ends
in time, and says of how many files nothing is known.

    test_hanging_files.py BOLOMETER WORKLOADS HOSTILE
"""

import subprocess
import sys
import threading
import time

from faults import SECONDS, SKIPPED, count, expect, jit, main
from hanging_mount import mounted

HELD_SECONDS = 6
SOON = 8  # seconds for 2 s of capture, the time after which an opening counts as failed, and load


def hung_before_the_recording(faults):
    """The program runs from the page cache; whoever opens its file waits for ever."""
    with mounted("hanging", (faults.workloads / "split").read_bytes()) as mount:
        with subprocess.Popen([mount.path, "1000"], stdout=subprocess.DEVNULL) as process:
            try:
                time.sleep(1)  # all that it runs is in memory now
                mount.hang()
                result = faults.record("--no-cache", delay=SOON)
            finally:
                process.kill()
    samples = result.named("hanging")
    result.watch.expect(count(samples) > 50, f"{count(samples)} samples of the program whose file hangs")
    expect(result["binaries_unopened"] >= 1, "nothing says that a file was not opened")
    return f"{faults.check(result)}, {result['binaries_unopened']} unopened"


def hanging_close(faults):
    """The program's file can be opened and read, and not be closed: only the parser child and a thread wait."""
    with mounted("closing", (faults.workloads / "split").read_bytes(), holds_flushes=True) as mount:
        with subprocess.Popen([mount.path, "1000"], stdout=subprocess.DEVNULL) as process:
            # A recorder that holds the file ends when the file system lets it.
            timer = threading.Timer(HELD_SECONDS, mount.release)
            timer.start()
            try:
                result = faults.record("--no-cache", delay=HELD_SECONDS + SOON)
            finally:
                timer.cancel()
                mount.release()
                process.kill()
    seconds = result.profile.duration_ns / 1e9
    result.watch.expect(seconds < SECONDS + HELD_SECONDS / 3,
                        f"{seconds:.1f} s of capture, {SECONDS} were asked for")
    result.watch.expect(count(result.named("closing")) > 50, "the program is not sampled")
    return f"{seconds:.1f} s of capture, {faults.check(result, names=False)}"


def hanging_jit_map(faults):
    """Something mounted over a process's perf map that does not answer: its names are lost, nothing else."""
    with mounted("map", b"") as mount, jit(faults) as path, mount.bound_over(path):
        mount.hang()
        result = faults.record("--no-cache", delay=SOON)
    result.watch.expect(count(result.named("jit")) > 50, "the program is not sampled any more")
    expect(result["jit_maps_hanging"] == 1, "nothing says that a map was not read")
    return faults.check(result)


def served(faults):
    """The same mount while it does not hang: nothing is amiss with it."""
    with mounted("served", (faults.workloads / "split").read_bytes()) as mount:
        with subprocess.Popen([mount.path, "1000"], stdout=subprocess.DEVNULL) as process:
            try:
                result = faults.record("--no-cache")
            finally:
                process.kill()
    named = [s for s in result.named("served") if "split_leaf" in s.names and s.names[-1] == "_start"]
    result.watch.expect(count(named) > 50, f"{count(named)} samples with names")
    return faults.check(result)


if __name__ == "__main__":
    try:
        with mounted("probe", b""):
            pass
    except OSError as error:
        print(f"SKIPPED: no FUSE file system can be mounted: {error}")
        sys.exit(SKIPPED)
    main([served, hung_before_the_recording, hanging_close, hanging_jit_map])
