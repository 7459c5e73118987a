# SPDX-License-Identifier: Apache-2.0
"""
Programs that tests start and wait for, and load of the tests' own: an idle CPU is not sampled, and a host that
only runs a test is idle.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import time

from verdict import Failure


class Program(subprocess.Popen):
    """A Popen whose block, when it is left by an exception, ends the program instead of waiting for it:
    one that runs until it is told to stop would turn a failure into a test that hangs."""

    def __exit__(self, kind, *rest):
        if kind:
            self.kill()
        return super().__exit__(kind, *rest)


# Not SCHED_IDLE: on Linux 6.18 such tasks were seen to keep 98 % of the CPUs for minutes while usual ones, and the
# kernel's own, waited ("BUG: workqueue lockup"); with nice 19 the same was seen for up to a minute, once. Why
# is not known; a guess is that the kernel's virtual times go astray where a light task runs alone for long. So this one
# goes, for a moment, fifty times a second.
SPIN = """import os, time
os.nice(19)
os.sched_setaffinity(0, {{{}}})
while True:
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        pass
    time.sleep(0.00005)
"""


@contextlib.contextmanager
def no_idle_cpu():
    """Keeps every CPU awake with a task that takes a seventieth beside any other. On an idle CPU without a scheduler
    tick the kernel also throttles the clock event after a while and wakes it only with the next tick: time
    that counts as missed, rightly, but makes the bounds of the truth tests too narrow."""
    spinners = []
    try:
        for cpu in os.sched_getaffinity(0):
            spinners.append(subprocess.Popen([sys.executable, "-c", SPIN.format(cpu)]))
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


@contextlib.contextmanager
def busy(*arguments, env=None):
    """A process that takes all the CPU time it gets; yields its pid."""
    command = [sys.executable, "-c", "while True: pass", *arguments]
    with subprocess.Popen(command, env={**os.environ, **(env or {})}) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextlib.contextmanager
def group_of_tests(parent, name=None):
    """A new cgroup below a directory of a hierarchy. It goes at the end: as soon as what ran in it has ended, or it is
    left behind after five seconds."""
    group = pathlib.Path(parent) / (name or f"bolometer-test-{os.getpid()}")
    group.mkdir()
    try:
        yield group
    finally:
        end = time.monotonic() + 5
        while group.exists() and time.monotonic() < end:
            with contextlib.suppress(OSError):
                group.rmdir()
            time.sleep(0.02)


def wait_for_sampling(pid, patience=60):
    """Until a recorder has its clock events, and takes signals."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        links = []
        with contextlib.suppress(OSError):
            links = [os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
        if any("perf_event" in link for link in links):
            return
        time.sleep(0.05)
    raise Failure("the recorder does not begin to sample")
