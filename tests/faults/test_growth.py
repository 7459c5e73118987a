#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a daemon meets in months, in seconds: more files than it may know, more names than it may hold, ten
thousand short processes, a thousand forks, a hundred thousand mappings. Its limits hold, what goes is
counted, and what is sampled at the end still has its names.

Usage: test_growth.py BOLOMETER WORKLOAD HOSTILE [TEST...]"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

from daemon_process import MIB, Backend, descriptors, expect, main, proportional, status

HOSTILE = os.path.abspath(sys.argv.pop(3))
LIMITS = "limits: {binaries: 128, symbols: 16MiB, tables: 16MiB, frames: 65536, entries: 65536}\n"
LARGEST_PSS = 64 * MIB
FILES = 120


def run_all(programs, seconds=0.05):
    for path in programs:
        with subprocess.Popen([path, str(seconds)], stdout=subprocess.DEVNULL):
            pass


def more_files_than_may_be_known(world):
    """Each copy of the program is another file, as in a container's own mount. The first half sets what
    the limits allow; the second may not add to it."""
    with Backend() as backend:
        daemon = world.daemon(backend.url, more=LIMITS, frequency=499)
        largest = []
        for number in range(FILES):
            path = f"{world.directory}/program{number}"
            shutil.copy(world.workload, path)
            with subprocess.Popen([path, "0.02"], stdout=subprocess.DEVNULL):
                pass
            if number % (FILES // 8) == 0:
                largest.append((descriptors(daemon.process.pid), proportional(daemon.process.pid) / MIB))
        state = status(world)
        losses = state["losses"]
        print(f"     descriptors and PSS: {[(n, round(size)) for n, size in largest]}, {losses}")
        expect(losses.get("binaries_forgotten", 0) > FILES / 4, f"binaries are forgotten: {losses}")
        expect(max(n for n, _ in largest) < 128 * 3 + 100, f"descriptors are bounded: {largest}")
        expect(max(size for _, size in largest) * MIB < LARGEST_PSS, f"memory is bounded: {largest}")
        before = len(backend.requests)
        daemon.until(lambda: len(backend.requests) > before + 4, "requests")
        expect(b"split_" in b"".join(r.content() for r in backend.requests[-3:]), "names stay")
        world.finish(daemon, backend)
        return f"{FILES} files, {losses['binaries_forgotten']} times one was forgotten"


def open_files(daemon, paths):
    names = set()
    for descriptor in pathlib.Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        try:
            names.add(os.readlink(descriptor))
        except FileNotFoundError:
            pass
    return len(names & set(paths))


def idle_files(world):
    """Files that no sample meets any more are closed and their tables given up; met again, their frames
    have names."""
    idle = 3
    programs = [f"{world.directory}/idle{number}" for number in range(20)]
    for path in programs:
        shutil.copy(world.workload, path)
    with Backend() as backend:
        daemon = world.daemon(backend.url, more=f"limits: {{idle: {idle}s}}\n", frequency=499)
        run_all(programs)
        daemon.until(lambda: open_files(daemon, programs), "their files are open")
        daemon.until(lambda: not open_files(daemon, programs), "idle files are closed")
        given_up = status(world)["losses"].get("binaries_idle", 0)
        expect(given_up >= 1, "they are counted")
        before = len(backend.requests)
        run_all(programs[:3], seconds=0.3)
        daemon.until(lambda: len(backend.requests) > before + 2, "requests")
        expect(b"idle0" in b"".join(r.content() for r in backend.requests[before:]), "the program is met again")
        world.finish(daemon, backend)
        return f"{given_up} files given up after {idle} s"


def short_processes(world):
    """Ten thousand, and a thousand forks at once."""
    with Backend() as backend:
        daemon = world.daemon(backend.url, more=LIMITS, frequency=499)
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 10000 ]; do /bin/true; i=$((i+1)); done"], check=True)
        first = proportional(daemon.process.pid)
        subprocess.run(["sh", "-c", "for i in $(seq 1000); do sleep 1 & done; wait"], check=True)
        last = proportional(daemon.process.pid)
        state = status(world)
        expect(max(first, last) < LARGEST_PSS, f"{first >> 20} MiB, then {last >> 20} MiB")
        world.finish(daemon, backend)
        return f"{last >> 20} MiB, {state['losses']}"


def many_mappings(world):
    with Backend() as backend:
        daemon = world.daemon(backend.url, more=LIMITS, frequency=499)
        with subprocess.Popen([HOSTILE, "mappings", "60000", world.workload, "1"], stdout=subprocess.PIPE,
                              text=True) as one, \
             subprocess.Popen([HOSTILE, "mappings", "60000", world.workload, "1"], stdout=subprocess.PIPE,
                              text=True) as other:
            mapped = sum(int(p.stdout.readline().split()[1]) for p in (one, other))
        time.sleep(1)
        size = proportional(daemon.process.pid)
        expect(mapped > 100000, f"{mapped} mappings")
        expect(size < LARGEST_PSS, f"{size >> 20} MiB")
        world.finish(daemon, backend, lost=None)
        return f"{mapped} mappings, {size >> 20} MiB"


if __name__ == "__main__":
    main([more_files_than_may_be_known, idle_files, short_processes, many_mappings], processes=1)
