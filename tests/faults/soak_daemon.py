#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon for SOAK_MINUTES (default: less than one, where only what it holds is judged) under a load that forks all
the time. Its memory at the end may be 2 % above that after five minutes.

Usage: soak_daemon.py BOLOMETER"""
import collections
import contextlib
import os
import pathlib
import subprocess
import time

from daemon_process import MIB, Backend, descriptors, expect, main, proportional, status
import verdict  # where daemon_process found its own  # pylint: disable=wrong-import-order

MINUTES = float(os.environ.get("SOAK_MINUTES") or 0.4)
SETTLED = 5  # minutes
# What the profile of an interval needs comes and goes: a reading is the least of some looks
# within five seconds, and what is compared the least of a few readings.
LOOKS, LOOK_SECONDS = 20, 0.25
READINGS = 5
LARGEST_GROWTH = 1.02
# Mappings that grew, and by how much at least.
LARGEST_SHOWN, LEAST_SHOWN = 4, MIB / 8
REGION = 64 * MIB
PAUSE = float(os.environ.get("SOAK_PAUSE") or 0.2)  # seconds; an emulated host needs more
FORKS = f"""while :; do for i in 1 2 3 4 5 6 7 8; do sh -c 'ls /usr/lib >/dev/null; exit 0' & done; wait
sleep {PAUSE}; done"""


@contextlib.contextmanager
def forking():
    with subprocess.Popen(["sh", "-c", FORKS], stdout=subprocess.DEVNULL, start_new_session=True) as shell:
        try:
            yield
        finally:
            os.killpg(shell.pid, 9)


def mappings(pid):
    """{name: PSS in bytes} of the process. Anonymous memory is named by where it begins, roughly."""
    sizes, name = collections.Counter(), ""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if not words[0].endswith(":"):
                region = int(words[0].split("-")[0], 16) // REGION * REGION
                name = words[5] if len(words) > 5 else f"anonymous memory at {region:x}"
            elif words[0] == "Pss:":
                sizes[name] += int(words[1]) * 1024
    return sizes


def least(pid):
    """The least PSS of the process and its children within a few seconds, and the mappings of then."""
    size, held = proportional(pid), mappings(pid)
    for _ in range(LOOKS - 1):
        time.sleep(LOOK_SECONDS)
        now = proportional(pid)
        if now < size:
            size, held = now, mappings(pid)
    return size, held


def say_reading(minute, state, readings, held):
    sampling, exporter = state["sampling"], state["exporters"][0]
    print(f"     {minute:5.1f} min: PSS {readings[-1][1] / MIB:.2f} MiB, {held[-1].total() / MIB:.2f} without the children, "
          f"{readings[-1][2]} descriptors, {sampling['processes']} processes, {sampling['binaries']} binaries, "
          f"{exporter['samples_waiting']} samples wait, {exporter['retries']} retries, losses {state['losses']}", flush=True)
    settled = next((held[i] for i, reading in enumerate(readings) if reading[0] >= SETTLED), held[-1])
    for name, size in (held[-1] - settled).most_common(LARGEST_SHOWN):
        if size >= LEAST_SHOWN:
            print(f"           {name}: {held[-1][name] / MIB:.2f} MiB, {size / MIB:.2f} more than after {SETTLED} min")


def memory_stays(world):
    readings, held = [], []
    with Backend() as backend, forking():
        daemon = world.daemon(backend.url, frequency=99, timeout="10s")
        start = time.monotonic()
        while time.monotonic() < start + MINUTES * 60:
            time.sleep(min(60, MINUTES * 10))
            pid = daemon.process.pid
            state = status(world)
            minute = (time.monotonic() - start) / 60
            size, where = least(pid)
            readings.append((minute, size, descriptors(pid)))
            held.append(where)
            say_reading(minute, state, readings, held)
            # Each has its file, its debug file, and a supplementary one.
            expect(readings[-1][2] <= 3 * state["sampling"]["binaries"] + 200, f"{readings[-1][2]} descriptors")
        world.finish(daemon, backend, lost=None)
    settled = [size for minute, size, _ in readings if minute >= SETTLED]
    if len(settled) < 2 * READINGS:
        return f"{len(readings)} readings; memory is judged from {SETTLED + 2 * READINGS} minutes on"
    first, last = min(settled[:READINGS]), min(settled[-READINGS:])
    expect(last <= first * LARGEST_GROWTH, f"{first / MIB:.2f} MiB became {last / MIB:.2f}")
    return f"PSS {first / MIB:.2f} MiB after {SETTLED} min, {last / MIB:.2f} at the end, each the least of {READINGS} readings"


if __name__ == "__main__":
    verdict.HANGS_SECONDS = int(MINUTES * 60) + 120
    main([memory_stays], processes=0)
