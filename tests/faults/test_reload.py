#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A reload that needs a new recording when the host has no room for one: the daemon samples on by the old
configuration, and every sample reaches its exporter; only when the old one cannot go on either it ends. And the new
recording that the daemon begins by itself when the numbers for files are used up.

Usage: test_reload.py BOLOMETER WORKLOAD REFUSED_RINGS FEW_SLOTS [TEST...]"""
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys

from daemon_process import PATIENCE, Backend, accounts, check_balance, descriptors, expect, main, status
from verdict import Undecided

SLOTS = os.path.abspath(sys.argv.pop(4))
RINGS = os.path.abspath(sys.argv.pop(3))
# Few files are open, and no process's heap is meant: what is looked at is whether the recording begins.
HEAP = "selection: {{comm: [split]}}\nmemory: {{heap: {{enabled: true, interval: {}KiB, exe: [/nothing/has/this/name]}}}}\n"
FAILED, WENT_WELL = "the configuration was not reloaded", "configuration reloaded: memory.heap.interval"
SPARE = 15  # descriptors that are left: for the files of a reload and its exporters, not for BPF programs


@contextlib.contextmanager
def heap_daemon(world):
    refused = pathlib.Path(world.directory + "/refused")
    refused.write_text("0")
    with Backend() as backend:
        daemon = world.daemon(backend.url, more=HEAP.format(512),
                              environment={"LD_PRELOAD": RINGS, "REFUSED_RINGS": str(refused)})
        if "memory.heap is off" in daemon.messages():
            raise Undecided("this kernel does not let allocators be probed")
        daemon.refused = refused
        yield daemon, backend


def samples_on(daemon, backend):
    before = len(backend.requests)
    daemon.until(lambda: len(backend.requests) > before + 1, "profiles")


def reload(daemon, kibibytes, until):
    before = daemon.messages().count(until)
    daemon.configure(more=HEAP.format(kibibytes))
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.messages().count(until) > before, until)


def check_accounts(daemon, backend, recordings):
    """Of all its recordings nothing is missing."""
    taken, queues = accounts(daemon.messages(), "recording"), accounts(daemon.messages(), "exporter it")
    expect(len(taken) == recordings, f"{recordings} recordings: {daemon.messages()[-1500:]}")
    for queue in queues:
        check_balance(queue)
    arrived, total = sum(queue["taken"] for queue in queues), sum(account["taken"] for account in taken)
    expect(arrived == total > 20 and not sum(account["dropped"] for account in taken), f"{taken} {queues}")
    expect(backend.samples == sum(queue["sent"] for queue in queues), f"{backend.samples} of {queues}")


def no_descriptors(world):
    """It cannot be loaded: the old one never stops."""
    with heap_daemon(world) as (daemon, backend):
        pid = daemon.process.pid
        samples_on(daemon, backend)
        few = descriptors(pid) + SPARE
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (few, few))
        reload(daemon, 256, FAILED)
        expect("a new recording cannot be loaded" in daemon.messages(), daemon.messages()[-1500:])
        state = status(world)
        expect(not state["configuration"]["last_read_in_force"], f"{state['configuration']}")
        samples_on(daemon, backend)
        expect(os.readlink(f"/proc/{pid}/fd/0") == os.devnull, "what is not its own it does not close")
        daemon.process.send_signal(signal.SIGTERM)
        expect(daemon.process.wait(PATIENCE) == 0, daemon.messages()[-1500:])
        check_accounts(daemon, backend, 1)


def no_room_for_rings(world):
    """It cannot take the old one's place in the kernel: the old one takes it again, or begins anew; where
    nothing can begin, the daemon ends."""
    with heap_daemon(world) as (daemon, backend):
        for refused, said in ((1, "the recording before it goes on"),
                              (2, "a recording by the old configuration has begun")):
            daemon.refused.write_text(str(refused))
            reload(daemon, 256, FAILED)
            expect(said in daemon.messages(), f"{said}: {daemon.messages()[-1500:]}")
            samples_on(daemon, backend)
        reload(daemon, 256, WENT_WELL)
        samples_on(daemon, backend)
        daemon.refused.write_text("1000")
        daemon.configure(more=HEAP.format(128))
        daemon.process.send_signal(signal.SIGHUP)
        expect(daemon.process.wait(PATIENCE) not in (0, -signal.SIGHUP), "it says that it failed")
        for words in ("without a recording the daemon ends", "perf_event_open is not permitted"):
            expect(words in daemon.messages(), f"{words}: {daemon.messages()[-1500:]}")
        check_accounts(daemon, backend, 3)


def run_copies(world, name, count):
    """Each copy of the program is a file that no process had mapped before its first sample."""
    for number in range(count):
        path = f"{world.directory}/{name}{number}"
        shutil.copy(world.workload, path)
        subprocess.run([path, "0.05"], stdout=subprocess.DEVNULL, check=True)


def slots_run_out(world):
    """Once they are nearly gone a new recording has them all again: files that are new then have their names."""
    with Backend() as backend:
        daemon = world.daemon(backend.url, frequency=499, more="selection: {comm: ['early*', 'late*']}\n",
                              environment={"LD_PRELOAD": SLOTS})
        daemon.until(lambda: run_copies(world, "early", 3) or status(world)["sampling"]["renewals"], "a new recording")
        expect("a new recording begins" in daemon.messages(), daemon.messages()[-1500:])
        before = len(backend.requests)

        def has_names():
            run_copies(world, "late", 1)
            profiles = b"".join(request.content() for request in backend.requests[before:])
            return b"late0" in profiles and b"split_" in profiles

        daemon.until(has_names, "a file that came after it has names")
        state = status(world)["sampling"]
        expect(not state["renewal_failures"], f"{state}")
        daemon.process.send_signal(signal.SIGTERM)
        expect(daemon.process.wait(PATIENCE) == 0, daemon.messages()[-1500:])
        check_accounts(daemon, backend, daemon.messages().count("a new recording begins") + 1)
        return f"{state['renewals']} times"


main([no_descriptors, no_room_for_rings, slots_run_out])
