#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The daemon follows the heap of a program that allocates step by step: between two steps each interval's profile says to
the byte what is held, and all profiles together what was allocated.

    test_heap_daemon.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import pathlib
import subprocess
import sys
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "service"))
from heap_recording import LOST, NO_LINKS, TYPES, changed_code, expect_no_probes  # noqa: E402
from profile_reader import Profile  # noqa: E402
from recording import Program, Undecided, expect, main  # noqa: E402
from running import running  # noqa: E402

RECORDER = "exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]\n"
EXACT = ("memory.heap.enabled=true", "memory.heap.interval=1", "memory.heap.budget=100%")
PROBES_INTERVALS = 30
LAST_INTERVALS = 8  # ended processes are looked for every two seconds


def links_exist(bench):
    result = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "-d", "1ms", "-o", "/dev/null", "-p", "1"],
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return "heap profiles need" not in result.stderr


@contextlib.contextmanager
def stepping(bench):
    """The program, waiting for its first step; what it says of each."""
    with Program(bench.workload("heap_steps"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        program.truth = lambda: json.loads(program.stdout.readline())

        def step(count):
            program.stdin.write(f"{count}\n")
            program.stdin.flush()
            return program.truth()
        program.step = step
        try:
            yield program
        finally:
            program.kill()


def heap_daemon(bench, *sets, extra=""):
    return running(types.SimpleNamespace(path=bench.bolometer), *EXACT, "selection.exe=heap_steps", *sets,
                   extra=RECORDER + extra)


def end_ns(profile):
    return profile.time_ns + profile.duration_ns


def heap_profiles(daemon, since_ns=0):
    """All that were written by now and ended since then, oldest first."""
    profiles = [Profile.read(path) for path in sorted((daemon.directory / "recorder").glob("*.heap.pb.gz"))]
    return [profile for profile in profiles if end_ns(profile) > since_ns]


def wait_for_intervals(daemon, count):
    interval = daemon.wait_for_interval()["interval"]
    for _ in range(count):
        interval = daemon.wait_for_interval(interval)["interval"]


def begin(program, daemon):
    """A first step, after which the functions' names are known to the daemon: a profile does not wait for names.
    Returns what it did, and when that was in a profile."""
    if not program.truth()["probed"]:
        raise Undecided("the probes came too late for the program")
    truth = program.step(10)["places"]
    wait_for_intervals(daemon, 2)
    return truth, time.time_ns()


def values(profile, place, pid=None):
    return [sum(sample.values[kind] for sample in profile.samples
                if place in sample.names and pid in (None, sample.labels["process.pid"])) for kind in TYPES]


def comments(profile):
    return dict(text.split("=", 1) for text in profile.comments if "=" in text)


def has_process(profile, pid):
    return any(sample.labels["process.pid"] == pid for sample in profile.samples)


def wait_until_it_left(daemon, pid):
    for _ in range(LAST_INTERVALS):
        wait_for_intervals(daemon, 1)
        if not has_process(heap_profiles(daemon)[-1], pid):
            return


def expect_nothing_lost(profiles):
    for profile in profiles:
        counters = comments(profile)
        for name in LOST:
            if int(counters.get(name, 0)):
                raise Undecided(f"{name}: {counters[name]}")


def follows(bench):
    """Each profile's state is the truth of its moment, the leak grows, all profiles' allocations add up to the
    truth, and the program leaves the profile after its end."""
    if not links_exist(bench):
        return NO_LINKS
    told = []
    with stepping(bench) as program, heap_daemon(bench) as daemon:
        first, since = begin(program, daemon)
        for count in (100, 30):
            truth = program.step(count)["places"]
            start = time.time_ns()
            wait_for_intervals(daemon, 2)
            told.append((start, time.time_ns(), truth))
        pid = program.pid
        program.stdin.close()
        program.wait()
        wait_until_it_left(daemon, pid)
        daemon.end()
        profiles = heap_profiles(daemon, since)
    expect_nothing_lost(profiles)
    for start, end, truth in told:
        then = [profile for profile in profiles if start <= end_ns(profile) <= end]
        expect(then, "an interval has no profile")
        for profile in then:
            expect(comments(profile)["heap_lost_places"] == "0", "a place has no stack")
            for place, true in truth.items():
                seen = values(profile, place, pid)[2:]
                expect(seen == true[2:], f"{place}: {seen} held at the end of an interval, {true[2:]} true")
    for place, true in told[-1][2].items():
        seen = [sum(of_all) for of_all in zip(*(values(profile, place, pid) for profile in profiles))]
        true = [now - then for now, then in zip(true, first[place])]
        expect(seen[:2] == true[:2], f"{place}: {seen[:2]} allocated in all profiles, {true[:2]} true")
    expect(not has_process(profiles[-1], pid), "a process that has ended stays")
    expect(comments(profiles[-1])["heap_lost_places"] == "0", "what has ended is still known")
    return f"{len(profiles)} profiles, {told[-1][2]['leaks'][0]} objects at each of {len(told[-1][2])} places"


def wait_for_probes(daemon, pid):
    """Two intervals later all of them are there."""
    for _ in range(PROBES_INTERVALS):
        wait_for_intervals(daemon, 1)
        if changed_code(pid):
            wait_for_intervals(daemon, 2)
            return
    raise Undecided("no probes")


def pauses(bench):
    """While the kill switch is on, no probe is left; what had been seen is told. Afterwards all is
    seen again, and what is held is counted anew."""
    if not links_exist(bench):
        return NO_LINKS
    with stepping(bench) as program, heap_daemon(bench, extra="kill_switch: {{file: {directory}/off}}\n") as daemon:
        pid, switch = program.pid, daemon.directory / "off"
        _, since = begin(program, daemon)
        program.step(50)
        switch.touch()
        expect_no_probes(pid)
        program.step(20)
        switch.unlink()
        wait_for_probes(daemon, pid)
        program.step(30)
        wait_for_intervals(daemon, 2)
        daemon.end()
        expect_no_probes(pid)
        profiles = heap_profiles(daemon, since)
    expect_nothing_lost(profiles)
    for place, held in {"leaks": [60, 30], "churns": [0, 0], "returns": [50, 30]}.items():
        of_all = [values(profile, place, pid) for profile in profiles]
        expect(sum(v[0] for v in of_all) == 80, f"{place}: {sum(v[0] for v in of_all)} allocated, 80 true")
        seen = [v[2] for v in of_all if v[0]]
        expect(seen == held, f"{place}: {seen} held when it had allocated, {held} true")
    return "80 of 100 allocations at each place were seen"


main([follows, pauses])
