#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a command, a test, and ends all that it leaves behind: daemons, stopped processes, and those in a
session or process group of their own. They become children of this process (PR_SET_CHILD_SUBREAPER) when
their parents end, so that none escapes. What was left is said in a last line.

Its end is that of the command: the same status, or the same signal. SIGTERM, SIGINT and SIGHUP end the
command too.

Usage: alone.py COMMAND [ARGUMENT...]"""
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
PATIENCE = 10  # seconds for killed processes to be gone: one may wait for a file system that hangs
ENDINGS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
OF_THE_COMMAND = [*ENDINGS, signal.SIGPIPE, signal.SIGXFSZ]  # Python ignores the last two
LEFT_BEHIND = "left behind: "
SHOWN = 3


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def parents():
    """{process: its parent} of all that are no zombies."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text(errors="replace").rsplit(")", 1)[1].split()[:2]
        except (OSError, IndexError):
            continue  # it has ended
        if state not in "ZX":
            found[int(entry.name)] = int(parent)
    return found


def descendants():
    children = {}
    for process, parent in parents().items():
        children.setdefault(parent, []).append(process)
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def describe(process):
    try:
        words = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
        state = Path(f"/proc/{process}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return str(process)
    return f"{process} ({state}) {' '.join(words).strip()[:80]}"


def reap():
    """Collects children that have ended. False: there are none any more, ended or not."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def end_descendants():
    """Returns what they were."""
    seen = {}
    deadline = time.monotonic() + PATIENCE
    while True:
        for process in descendants():
            seen.setdefault(process, describe(process))
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if not reap() or time.monotonic() > deadline:
            return list(seen.values())
        time.sleep(0.01)


def wait_for(child):
    """Its status as wait() gives it. Others that end meanwhile are collected."""
    while True:
        process, status = os.wait()
        if process == child:
            return status


def end_like(status):
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


class Ended(Exception):
    """Somebody wants the test to end."""


def on_signal(number, _):
    raise Ended(number)


def main():
    become_subreaper()
    for number in ENDINGS:
        signal.signal(number, on_signal)
    status = signal.SIGTERM
    try:
        status = wait_for(os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, setsigdef=OF_THE_COMMAND))
    except Ended as ended:
        status = ended.args[0]
    finally:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)
        left = end_descendants()
    if left and os.waitstatus_to_exitcode(status) >= 0:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        print(f"{LEFT_BEHIND}{'; '.join(left[:SHOWN])}{more}", flush=True)
    end_like(status)


if __name__ == "__main__":
    main()
