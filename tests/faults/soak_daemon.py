#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon for SOAK_MINUTES (default: less than one, where only what it holds is judged) under a load that forks all
the time. Its memory at the end may be 2 % above that after five minutes.

Usage: soak_daemon.py BOLOMETER WORKLOAD"""
import contextlib
import os
import subprocess
import time

from daemon_process import MIB, Backend, descriptors, expect, main, proportional, status
import verdict  # where daemon_process found its own  # pylint: disable=wrong-import-order

MINUTES = float(os.environ.get("SOAK_MINUTES") or 0.4)
SETTLED = 5  # minutes
# One reading is taken somewhere within an interval: what the profile of it needs comes and goes.
READINGS = 5
LARGEST_GROWTH = 1.02
FORKS = """while :; do for i in 1 2 3 4 5 6 7 8; do sh -c 'ls /usr/lib >/dev/null; exit 0' & done; wait
sleep 0.2; done"""


@contextlib.contextmanager
def forking():
    with subprocess.Popen(["sh", "-c", FORKS], stdout=subprocess.DEVNULL, start_new_session=True) as shell:
        try:
            yield
        finally:
            os.killpg(shell.pid, 9)


def memory_stays(world):
    readings = []
    with Backend() as backend, forking():
        daemon = world.daemon(backend.url, frequency=99)
        start = time.monotonic()
        while time.monotonic() < start + MINUTES * 60:
            time.sleep(min(60, MINUTES * 10))
            pid = daemon.process.pid
            state = status(world)
            losses, binaries = state["losses"], state["sampling"]["binaries"]
            minute = (time.monotonic() - start) / 60
            readings.append((minute, proportional(pid), descriptors(pid)))
            print(f"     {minute:5.1f} min: PSS {readings[-1][1] / MIB:.2f} MiB, "
                  f"{readings[-1][2]} descriptors, {binaries} binaries, losses {losses}", flush=True)
            # Each has its file, its debug file, and a supplementary one.
            expect(readings[-1][2] <= 3 * binaries + 200, f"{readings[-1][2]} descriptors")
        world.finish(daemon, backend, lost=None)
    settled = [size for minute, size, _ in readings if minute >= SETTLED]
    if len(settled) < 2 * READINGS:
        return f"{len(readings)} readings; memory is judged from {SETTLED + 2 * READINGS} minutes on"
    first, last = min(settled[:READINGS]), min(settled[-READINGS:])
    expect(last <= first * LARGEST_GROWTH, f"{first / MIB:.2f} MiB became {last / MIB:.2f}")
    return f"PSS {first / MIB:.2f} MiB after {SETTLED} min, {last / MIB:.2f} at the end, each the least of {READINGS} minutes"


if __name__ == "__main__":
    verdict.HANGS_SECONDS = int(MINUTES * 60) + 120
    main([memory_stays], processes=1)
