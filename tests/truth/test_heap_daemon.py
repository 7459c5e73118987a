#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The daemon follows the heap of a program that allocates step by step: between two steps each interval's profile says to
the byte what is held, and all profiles together what was allocated. While the kill switch is on, or the heap is off by a
reload, no probe is left.

    test_heap_daemon.py BOLOMETER WORKLOADS
"""

import contextlib
import gzip
import json
import math
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "service"))
from heap_recording import LOST, NO_LINKS, TYPES, changed_code, expect_no_probes  # noqa: E402
from profile_reader import Profile  # noqa: E402
from recording import Program, Undecided, expect, main  # noqa: E402
from running import running  # noqa: E402

# Of this run alone: a program that another one's daemon probes takes those probes for ours.
RUN = str(os.getpid())
STEPS, NEVER_LOOKED_AT, PERHAPS = f"heap_steps_{RUN}", f"heap_never_{RUN}", f"heap_perhaps_{RUN}"
CONFIGURATION = """
memory: {{heap: {{enabled: true, interval: 1, budget: 100%, exe: [heap_steps_RUN]}}}}
selection: {{exe: [heap_*_RUN]}}
kill_switch: {{file: {directory}/off}}
exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]
""".replace("RUN", RUN)
NEVER = """
strategies:
  - {{name: left, event: heap, strategy: never, match: {{exe: heap_never_RUN}}}}
  - {{name: others, event: heap, strategy: always}}
""".replace("RUN", RUN)
SOME = """
strategies:
  - {{name: some, event: heap, strategy: probabilistic, ratio: 50%, by: process}}
"""
ADDED = """
  - {name: added, event: heap, strategy: always}
"""
CHOSEN_OF = 6
PATIENT_INTERVALS = 30
LAST_INTERVALS = 8  # ended processes are looked for every two seconds


def links_exist(bench):
    result = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "-d", "1ms", "-o", "/dev/null", "-p", "1"],
                            stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    return "heap profiles need" not in result.stderr


@contextlib.contextmanager
def stepping(bench, name=STEPS):
    """A copy of the program, waiting for its first step; what it says of each."""
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory, \
            Program([shutil.copy(bench.workloads / "heap_steps", f"{directory}/{name}")], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, text=True) as program:
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


def heap_daemon(bench, configuration=CONFIGURATION):
    return running(types.SimpleNamespace(path=bench.bolometer), extra=configuration)


def reload(daemon, change):
    path, said = daemon.directory / "c.yaml", daemon.said().count("configuration reloaded")
    path.write_text(change(path.read_text()))
    daemon.process.send_signal(signal.SIGHUP)
    while daemon.said().count("configuration reloaded") == said:
        expect(daemon.process.poll() is None, f"it ended: {daemon.said()}")
        time.sleep(0.05)


def switch_by_reload(daemon, is_on):
    reload(daemon, lambda text: re.sub("enabled: (true|false)", f"enabled: {str(is_on).lower()}", text))


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


def wait_for_profile(daemon, since_ns, is_wanted=lambda profile: True):
    """One that ended since then."""
    for _ in range(PATIENT_INTERVALS):
        if any(map(is_wanted, heap_profiles(daemon, since_ns))):
            return
        wait_for_intervals(daemon, 1)
    raise Undecided("no profile")


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


def wait_for_probes(daemon, pid):
    """Those of calls come a moment after those of returns."""
    for _ in range(PATIENT_INTERVALS):
        if changed_code(pid):
            time.sleep(0.5)
            return
        wait_for_intervals(daemon, 1)
    raise Undecided("no probes")


class Steps:
    """Steps of the program, each with what is true after it and the intervals between it and the next one."""

    def __init__(self, program, daemon):
        self.program, self.daemon, self.told = program, daemon, []
        self.allocated, self.held, self.since = 0, 0, 0

    def begin(self, since):
        """A first step, after which the functions' names are known to the daemon: a profile does not wait for
        names. From then on all is told."""
        self.held += 10
        self.program.step(10)
        wait_for_profile(self.daemon, since, lambda profile: all(values(profile, place, self.program.pid)[2]
                                                                 for place in ("leaks", "returns")))
        self.since, self.allocated = time.time_ns(), 0

    def take(self, count):
        self.program.step(count)
        self.allocated += count
        self.held += count
        self.told.append((time.time_ns(), count, self.held))
        wait_for_profile(self.daemon, self.told[-1][0])

    def check(self, pid):
        """By the profiles up to now."""
        profiles = heap_profiles(self.daemon, self.since)
        expect_nothing_lost(profiles)
        now = time.time_ns()
        for (start, lent, held), end in zip(self.told, [step[0] for step in self.told[1:]] + [now]):
            then = [profile for profile in profiles if start <= end_ns(profile) < end]
            expect(then, "an interval has no profile")
            # The last may be in the next step by its own time.
            expect(comments(then[0])["heap_lost_places"] == "0", "a place has no stack")
            for place, true in (("leaks", [held, held * 1000]), ("churns", [0, 0]), ("returns", [lent, lent * 2000])):
                seen = values(then[0], place, pid)[2:]
                expect(seen == true, f"{place}: {seen} held at the end of an interval, {true} true")
        for place, size in (("leaks", 1000), ("churns", 300), ("returns", 2000)):
            of_all = [values(profile, place, pid)[:2] for profile in profiles]
            seen, true = [sum(column) for column in zip(*of_all)], [self.allocated, self.allocated * size]
            expect(seen == true, f"{place}: {seen} allocated in all profiles, {true} true")
        self.told, self.since, self.allocated = [], now, 0
        return len(profiles)


def check_dump(daemon, pid):
    """All intervals as one: sums of what was allocated, the last state of what is held. The first one's places may have
    had no names yet."""
    answer = daemon.unix("/api/dump?events=heap&last=10m")
    expect(answer.status == 200, answer)
    profile = Profile(gzip.decompress(answer.body))
    for place, held in (("leaks", [110, 110000]), ("churns", [0, 0]), ("returns", [100, 200000])):
        seen = values(profile, place, pid)
        expect(100 <= seen[0] <= 110, f"a dump: {place}: {seen[0]} allocated, 100 to 110 are true")
        expect(seen[2:] == held, f"a dump: {place}: {seen[2:]} held, {held} true")


def check_http(daemon, pid):
    """After 10 and 100."""
    for path, shown in (("heap", "inuse_space"), ("allocs", "alloc_space")):
        answer = daemon.unix(f"/debug/pprof/{path}?pid={pid}")
        expect(answer.status == 200, answer)
        profile = Profile(gzip.decompress(answer.body))
        expect(profile.default_sample_type == shown, f"/{path} shows {profile.default_sample_type}")
        for place, true in (("leaks", [110, 110000, 110, 110000]), ("churns", [110, 33000, 0, 0]),
                            ("returns", [110, 220000, 100, 200000])):
            seen = values(profile, place, pid)
            expect(seen == true, f"/{path}: {place}: {seen} seen, {true} true")
    check_dump(daemon, pid)
    profile = Profile(gzip.decompress(daemon.unix("/debug/pprof/heap?pid=1").body))
    expect(not profile.samples, "another process's heap has this one's places")
    expect(daemon.unix("/debug/pprof/heap?seconds=1").status == 400, "seconds")


def follows(bench):
    if not links_exist(bench):
        return NO_LINKS
    with stepping(bench) as program, heap_daemon(bench) as daemon:
        pid, kill_switch, steps = program.pid, daemon.directory / "off", Steps(program, daemon)
        if not program.truth()["probed"]:
            raise Undecided("the probes came too late for the program")
        steps.begin(0)
        steps.take(100)
        count = steps.check(pid)
        check_http(daemon, pid)

        kill_switch.touch()
        expect_no_probes(pid)
        program.step(20)
        kill_switch.unlink()
        wait_for_probes(daemon, pid)
        steps.held = 0  # known
        steps.take(50)
        count += steps.check(pid)

        switch_by_reload(daemon, False)
        expect_no_probes(pid)
        switched = time.time_ns()
        program.step(20)
        wait_for_intervals(daemon, 1)
        expect(daemon.unix("/debug/pprof/heap").status == 404, "the heap is off")
        expect(not heap_profiles(daemon, switched), "profiles of the heap while it is off")
        switch_by_reload(daemon, True)
        wait_for_probes(daemon, pid)
        steps.held = 0
        steps.begin(switched)
        steps.take(40)
        count += steps.check(pid)

        program.stdin.close()
        program.wait()
        wait_until_it_left(daemon, pid)
        last = heap_profiles(daemon)[-1]
        expect(not has_process(last, pid), "a process that has ended stays")
        expect(comments(last)["heap_lost_places"] == "0", "what has ended is still known")
        daemon.end()
    return f"{count} profiles"


def left_out(bench):
    """A process that a strategy never looks at gets no probe, beside one that does the same."""
    if not links_exist(bench):
        return NO_LINKS
    configuration = CONFIGURATION.replace(f"[{STEPS}]", f"[{STEPS}, {NEVER_LOOKED_AT}]") + NEVER
    with heap_daemon(bench, configuration) as daemon, stepping(bench, NEVER_LOOKED_AT) as never, \
            stepping(bench) as program:
        if not program.truth()["probed"]:
            raise Undecided("the probes came too late for the program")
        program.step(10)
        wait_for_profile(daemon, 0, lambda profile: has_process(profile, program.pid))
        expect(changed_code(program.pid), "no probes on the one that is looked at")
        expect(not changed_code(never.pid), "probes on the one that is not")
        expect(not any(has_process(profile, never.pid) for profile in heap_profiles(daemon)), "it is in a profile")
        strategies = {strategy["name"]: strategy for strategy in daemon.status()["strategies"]}
        seen = {name: (strategies[name]["offered"], strategies[name]["taken"]) for name in ("left", "others")}
        expect(seen == {"left": (1, 0), "others": (1, 1)}, f"programs that strategies were offered and took: {seen}")
        expect(comments(heap_profiles(daemon)[-1])["strategy.left"] == "never", "the profile does not say so")
        daemon.unix("/api/reset", "POST")
        expect(daemon.status()["strategies"][0]["offered"] == 0, "not reset")
    return f"left: {seen['left']}, others: {seen['others']}"


def has_probes(pid):
    try:
        return changed_code(pid) > 0
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_chosen(daemon, programs):
    """Those that are looked at, when the strategy has decided of all and their probes are set."""
    for _ in range(PATIENT_INTERVALS):
        strategy = daemon.status()["strategies"][0]
        chosen = [program for program in programs if has_probes(program.pid)]
        if strategy["offered"] == len(programs) and strategy["taken"] == len(chosen):
            return strategy, chosen
        wait_for_intervals(daemon, 1)
    raise Undecided("not all programs are decided of")


def check_told_bound(profile, kind, told, pids):
    """What is told of a process, v, stands for two: the variance is v^2 / 2."""
    sums = [sum(sample.values[kind] for sample in profile.samples if sample.labels["process.pid"] == pid) for pid in pids]
    bound = 1.96 * math.sqrt(sum(v * v / 2 for v in sums))
    expect(abs(told - bound) <= 5, f"{kind}: {told} told as bound, {bound} expected")


def check_chosen(daemon, steps):
    """Each value of the programs that were chosen is told twice. `steps`: pid -> what it allocated step by step."""
    factor = 2
    wait_for_profile(daemon, time.time_ns(), lambda profile: all(
        values(profile, place, pid)[2] for pid in steps for place in ("leaks", "returns")))
    for pid in steps:
        wait_for_profile(daemon, 0, lambda profile, pid=pid: values(profile, "churns", pid)[0])
    profiles = heap_profiles(daemon)
    expect_nothing_lost(profiles)
    for pid, count in steps.items():
        for place, size, held in (("leaks", 1000, count), ("churns", 300, 0), ("returns", 2000, count)):
            seen = [sum(column) for column in zip(*(values(profile, place, pid)[:2] for profile in profiles))]
            seen += values(profiles[-1], place, pid)[2:]
            true = [count, count * size, held, held * size]
            expect(seen == [factor * value for value in true], f"{place}: {seen} told, twice {true} expected")
    said = comments(profiles[-1])
    expect(said["heap_method"] == "sampled", f"{said}")
    for kind, name in (("alloc_space", "alloc_space_error_95_bytes"), ("inuse_space", "inuse_space_error_95_bytes")):
        check_told_bound(profiles[-1], kind, int(said[name]), steps)


def check_reload(daemon, programs, chosen):
    """A rule beside it leaves the one that chose as it is: the same are looked at, and none is decided of anew."""
    before = daemon.status()["strategies"][0]
    reload(daemon, lambda text: text + ADDED)
    wait_for_intervals(daemon, 2)
    expect(daemon.status()["strategies"][0] == before, f"{daemon.status()['strategies']} after {before}")
    seen = [program for program in programs if has_probes(program.pid)]
    expect(seen == chosen, f"{len(seen)} have probes after a reload, and {len(chosen)} had before")


def check_one(daemon, pid, count):
    answer = daemon.unix(f"/debug/pprof/heap?pid={pid}")
    seen = values(Profile(gzip.decompress(answer.body)), "leaks", pid)
    expect(seen == [count, 1000 * count, count, 1000 * count], f"{seen} told of the one process itself")


def by_chance(bench):
    """Of programs that do the same each is looked at with the chance 1/2, whole: those that are not have no probe, those
    that are stand for two. (That sums are right in the mean unit tests show.)"""
    if not links_exist(bench):
        return NO_LINKS
    configuration = CONFIGURATION.replace(STEPS, PERHAPS) + SOME
    with heap_daemon(bench, configuration) as daemon, contextlib.ExitStack() as stack:
        count = 10
        programs = [stack.enter_context(stepping(bench, PERHAPS)) for _ in range(CHOSEN_OF)]
        strategy, chosen = wait_for_chosen(daemon, programs)
        expect(strategy["counted_weight"] == 2 * len(chosen), f"{strategy}")
        for program in chosen:
            if not program.truth()["probed"]:
                raise Undecided("the probes came too late for the program")
            program.step(count)
        if chosen:  # but for once in 64 times
            check_chosen(daemon, {program.pid: count for program in chosen})
            check_one(daemon, chosen[0].pid, count)
        check_reload(daemon, programs, chosen)
    return f"{len(chosen)} of {CHOSEN_OF} stand for {2 * len(chosen)}"


main([follows, left_out, by_chance], keeps_awake=False)
