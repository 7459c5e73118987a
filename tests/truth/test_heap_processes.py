#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Which processes get probes: those that the selection means, by every way to select, whenever they start, and no
others: an unselected process's code is as in its file while another runs the same allocator with probes.

    test_heap_processes.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from heap_recording import (LOOKS_SECONDS, LOST, NO_LINKS, TIMEOUT, TYPES, changed_code, expect_ended, expect_no_probes,
                            lacks_links)
from profile_reader import Profile
from recording import Program, Undecided, expect, group_of_tests, main
from test_children import cgroup_root

WAIT = 20
BRIEF = 300 # processes
TURNS_SECONDS = 7
LEAST_SAMPLES = 10 # of a program that runs
YOUNG, YOUNG_SECONDS = 20, 0.9
HELD, OWN = (500, 30011), (300, 20011)  # blocks, bytes of each
FORKS = f"""
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
print("runs", flush=True)
sys.stdin.readline()
held = [libc.malloc({HELD[1]}) for _ in range({HELD[0]})]
child = os.fork()
if not child:
    time.sleep(1)  # until its probes are set
    for block in held:
        libc.free(block)
    own = [libc.malloc({OWN[1]}) for _ in range({OWN[0]})]
    print(os.getpid(), flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def programs(bench, *names):
    """Copies of `heap` under these names, running: they allocate once they are probed, then wait."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        def start(name):
            path = pathlib.Path(directory) / name
            if not path.exists():
                shutil.copy(bench.workloads / "heap", path)
            # pylint: disable-next=consider-using-with
            process = subprocess.Popen([path, "20"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return process
        yield directory, start, [start(name) for name in names]


@contextlib.contextmanager
def recording(bench, path, *options, symbolize=False, budget=None):
    with subprocess.Popen([bench.bolometer, "record", "-q", "-e", "heap",
                           *(["--heap-budget", budget] if budget else ["--exact"]),
                           *([] if symbolize else ["--no-symbolize"]),
                           "-d", f"{TIMEOUT}s", "-o", path, *map(str, options)],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as recorder:
        try:
            yield recorder
        finally:
            recorder.kill()


def finish(recorder):
    """Ends it. Returns False where this kernel has no links of many uprobes."""
    recorder.send_signal(signal.SIGINT)
    _, errors = recorder.communicate(timeout=TIMEOUT)
    if lacks_links(errors):
        return False
    expect_ended(recorder, errors)
    return True


def wait_for_probes(process, recorder):
    """False: the recorder has ended."""
    until = time.monotonic() + WAIT
    while not changed_code(process.pid):
        if recorder.poll() is not None:
            return False
        if time.monotonic() > until:
            raise Undecided(f"no probes within {WAIT} s")
        time.sleep(0.05)
    return True


def pids_in(path):
    return {sample.labels.get("process.pid") for sample in Profile.read(path).samples
            if sample.values["alloc_objects"]}


def selected_alone(bench, *selection, group=None):
    """Of two programs that run, and two that start later, those called `chosen` get probes."""
    with programs(bench) as (directory, start, _):
        def start_pair():
            chosen, other = start("chosen"), start("other")
            if group:
                (group / "cgroup.procs").write_text(str(chosen.pid), encoding="ascii")
            return chosen, other
        pairs = [start_pair()]
        path = f"{directory}/x.pb.gz"
        options = [str(option).format(pid=pairs[0][0].pid) for option in selection]
        with recording(bench, path, *options) as recorder:
            if wait_for_probes(pairs[0][0], recorder) and "--pid" not in selection:
                pairs.append(start_pair())
                wait_for_probes(pairs[1][0], recorder)
            for chosen, other in pairs:
                expect(recorder.poll() is not None or changed_code(chosen.pid), "the chosen one has no probes")
                expect(changed_code(other.pid) == 0, "a process that is not selected has probes")
            if recorder.poll() is None:
                for chosen, _ in pairs:
                    chosen.stdout.readline()
            if not finish(recorder):
                return NO_LINKS
        for pair in pairs:
            for process in pair:
                expect_no_probes(process.pid)
        seen, chosen = pids_in(path), {chosen.pid for chosen, _ in pairs}
        expect(seen <= chosen, f"processes {seen - chosen} were not selected")
        if seen != chosen:
            raise Undecided(f"processes {chosen - seen} allocated nothing meanwhile")
    return f"{len(pairs)} of {2 * len(pairs)} programs"


def by_pid(bench):
    return selected_alone(bench, "--pid", "{pid}")


def by_comm(bench):
    return selected_alone(bench, "--comm", "chos*")


def by_executable(bench):
    return selected_alone(bench, "--exe", "*/chosen")


def in_cgroup(run):
    """What that returns, given a group of its own."""
    root = cgroup_root()
    if not root:
        return "SKIPPED: no cgroup hierarchy that can be written"
    with group_of_tests(root) as group:
        return run(group)


def by_cgroup(bench):
    return in_cgroup(lambda group: selected_alone(bench, "--cgroup", group, group=group))


def young_in_cgroup(bench, group):
    def enter():
        (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    with programs(bench, "first") as (directory, _, (first,)), contextlib.ExitStack() as stack:
        (group / "cgroup.procs").write_text(str(first.pid), encoding="ascii")
        path = f"{directory}/x.pb.gz"
        recorder = stack.enter_context(recording(bench, path, "--cgroup", group))
        if not wait_for_probes(first, recorder):
            return NO_LINKS
        short = []
        for _ in range(YOUNG):
            program = stack.enter_context(Program(["sleep", f"{YOUNG_SECONDS}"], preexec_fn=enter))
            short.append(program)
            time.sleep(0.05)
        begin = time.monotonic()
        late = stack.enter_context(Program([f"{directory}/first", "20"], stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE, preexec_fn=enter))
        wait_for_probes(late, recorder)
        age = time.monotonic() - begin
        expect(age >= YOUNG_SECONDS, f"a program of {age:.2f} s has probes")
        for program in short:
            program.wait()
        time.sleep(1.5)  # until that is seen
        if not finish(recorder):
            return NO_LINKS
        profile = Profile.read(path)
        seen = {sample.labels.get("process.pid") for sample in profile.samples} & {program.pid for program in short}
        expect(not seen, f"short programs {seen} were probed")
        counted = int(comments_of(profile).get("heap_processes_brief", 0))
        # Who is in a group is read once a second.
        expect(1 <= counted <= 2 * YOUNG, f"of {YOUNG} short programs {counted} were counted")
    return f"probes after {age:.1f} s; {counted} of {YOUNG} short programs counted, none probed"


def young(bench):
    """Where a group is meant, programs are not probed before they have run for a second; those that end earlier are
    counted. (By name they are at once: `brief`.)"""
    return in_cgroup(lambda group: young_in_cgroup(bench, group))


def bounded(bench):
    """Of three programs two are probed; the third is, as soon as one of them has ended."""
    with programs(bench, "chosen", "chosen", "chosen") as (directory, _, running):
        path = f"{directory}/x.pb.gz"
        with recording(bench, path, "--exe", f"{directory}/chosen", "--heap-processes", 2) as recorder:
            for _ in range(WAIT * 10):
                probed = [process for process in running if changed_code(process.pid)]
                if len(probed) >= 2 or recorder.poll() is not None:
                    break
                time.sleep(0.1)
            if len(probed) < 2 and recorder.poll() is None:
                raise Undecided(f"{len(probed)} programs have probes within {WAIT} s")
            if probed:
                time.sleep(1.5)
                probed = [process for process in running if changed_code(process.pid)]
                expect(len(probed) == 2, f"{len(probed)} programs have probes")
                probed[0].kill()
                probed[0].wait()
                wait_for_probes(next(process for process in running if process not in probed), recorder)
            if not finish(recorder):
                return NO_LINKS
        comments = Profile.read(path).comments
    expect("heap_processes_refused=1" in comments, f"the one refused is counted: {comments}")
    return "2 of 3, and the third later"


def turns(bench):
    """Where there are more programs than places, one that runs gets the place of one that does not."""
    with programs(bench, "chosen", "chosen") as (directory, _, idle):
        path = f"{directory}/x.pb.gz"
        busy_program = bench.workload("heap_pace", 30, 20000)
        with recording(bench, path, "--exe", f"{directory}/chosen", "--exe", busy_program[0], "--heap-processes", 2,
                       budget="1%") as recorder:
            time.sleep(1.5)  # both have places
            with subprocess.Popen(busy_program, stdout=subprocess.DEVNULL) as busy:
                time.sleep(TURNS_SECONDS)
                has_links = finish(recorder)
                busy.kill()
            if not has_links:
                return NO_LINKS
        profile = Profile.read(path)
    counters = dict(comment.rsplit("=", 1) for comment in profile.comments if "=" in comment)
    if busy.pid not in {sample.labels.get("process.pid") for sample in profile.samples}:
        if int(counters.get("heap_windows", 0)) < TURNS_SECONDS / 2:
            raise Undecided("hardly any window could be opened")
        if int(counters.get("heap_samples", 0)) < LEAST_SAMPLES:
            raise Undecided("in windows the program waited for a CPU")
        expect(False, f"the program that runs is not in the profile: {counters}")
    expect(int(counters.get("heap_processes_yielded", 0)) in range(1, len(idle) + 1),
           f"an idle one has made room: {counters}")
    return "1 of 2 places changed hands"


def bytes_of(profile, pid, kind):
    return sum(sample.values[kind] for sample in profile.samples if sample.labels.get("process.pid") == pid)


def forked(bench):
    """A child without exec frees what it has from its parent: the parent's stay in use, the child's own are its
    own."""
    with tempfile.TemporaryDirectory() as directory, \
            Program([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    text=True) as parent:
        path = f"{directory}/x.pb.gz"
        parent.stdout.readline()
        with recording(bench, path, "--pid", parent.pid, "--children") as recorder:
            if wait_for_probes(parent, recorder):
                time.sleep(0.2)  # the other probes of the same library
            parent.stdin.write("\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            has_links = finish(recorder)
        parent.stdin.close()
        if not has_links:
            return NO_LINKS
        profile = Profile.read(path)
    held, own = HELD[0] * HELD[1], OWN[0] * OWN[1]
    if bytes_of(profile, parent.pid, "alloc_space") < held or bytes_of(profile, child, "alloc_space") < own:
        raise Undecided("allocated before the probes were set")
    left = bytes_of(profile, parent.pid, "inuse_space")
    expect(left >= held, f"the parent holds {held} bytes, {left} are told")
    left = bytes_of(profile, child, "inuse_space")
    expect(own <= left < held, f"the child holds {own} bytes of its own, {left} are told")
    unknown = [int(text.split("=")[1]) for text in profile.comments if text.startswith("heap_unknown_frees=")]
    expect(sum(unknown) >= HELD[0], f"{HELD[0]} inherited blocks are freed, {unknown} frees counted as unknown")
    return f"{HELD[0]} inherited blocks freed, {OWN[0]} of its own"


def comments_of(profile):
    return dict(text.split("=", 1) for text in profile.comments if "=" in text)


def values_at(profile, pid, place):
    samples = [sample for sample in profile.samples
               if sample.labels.get("process.pid") == pid and place in sample.names]
    return [sum(sample.values[kind] for sample in samples) for kind in TYPES]


def brief(bench):
    """Hundreds of processes one after another: those that wait for their probes are told to the byte, those that do not
    are counted, and none takes the place of another."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/x.pb.gz"
        with programs(bench, "first") as (_, _, first), \
                recording(bench, path, "--exe", "*/heap_brief", "--exe", "*/first", symbolize=True) as recorder:
            if not wait_for_probes(first[0], recorder):
                return NO_LINKS
            waiting = [subprocess.Popen(bench.workload("heap_brief", "waits"), stdout=subprocess.PIPE)
                       for _ in range(3)]
            for i in range(BRIEF):
                subprocess.run(bench.workload("heap_brief", "nothing" if i % 3 == 0 else "ends"), check=True,
                               stdout=subprocess.DEVNULL)
            truths = [json.loads(process.communicate(timeout=TIMEOUT)[0]) for process in waiting]
            time.sleep(LOOKS_SECONDS)
            if not finish(recorder):
                return NO_LINKS
        profile = Profile.read(path)
    if not all(truth["probed"] for truth in truths):
        raise Undecided("the probes came too late for a program")
    counters = comments_of(profile)
    if lost := [f"{name}={counters[name]}" for name in LOST if int(counters.get(name, 0))]:
        raise Undecided(" ".join(lost))
    for process, truth in zip(waiting, truths):
        seen = values_at(profile, process.pid, "briefly")
        expect(seen == 2 * truth["values"], f"{seen} seen, {truth['values']} true, and all of it held at the end")
    expect("heap_processes_refused" not in counters, "ended processes took the places of others")
    missed = int(counters.get("heap_processes_missed", 0))
    met = {sample.labels.get("process.pid") for sample in profile.samples} - {process.pid for process in waiting}
    expect(0.8 * BRIEF <= missed + len(met) and missed <= BRIEF, f"of {BRIEF} short programs {missed} were missed, "
                                                                f"{len(met)} seen")
    return f"{missed} of {BRIEF} short programs were missed and counted"


def leaderless(bench):
    """Main threads end while others go on, before the recording and within it: what was seen stays, and it is said that no
    more is."""
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        path = f"{directory}/x.pb.gz"
        late, early = (stack.enter_context(Program(bench.workload("heap_brief", how), stdin=subprocess.PIPE,
                                                   stdout=subprocess.PIPE, text=True))
                       for how in ("leaderless", "headless"))
        with recording(bench, path, "--pid", late.pid, "--pid", early.pid, symbolize=True) as recorder:
            truth = json.loads(late.stdout.readline())
            time.sleep(5)
            recorder.send_signal(signal.SIGINT)
            _, errors = recorder.communicate(timeout=TIMEOUT)
        for program in (late, early):
            program.stdin.close()
            expect(program.wait(timeout=TIMEOUT) == 0, f"the program ended with {program.returncode}")
        if lacks_links(errors):
            return NO_LINKS
        expect_ended(recorder, errors)
        profile = Profile.read(path)
    if not truth["probed"]:
        raise Undecided("the probes came too late for the program")
    counters = comments_of(profile)
    expect(counters.get("heap_processes_leaderless") == "2", f"both are counted: {counters}")
    expect(errors.count("its main thread has ended") == 2, f"it is said: {errors}")
    seen = values_at(profile, late.pid, "briefly")
    expect(seen[:2] == truth["values"], f"{seen} seen, {truth['values']} allocated before that")
    return "2 processes"


if __name__ == "__main__":
    main([by_pid, by_comm, by_executable, by_cgroup, young, bounded, turns, forked, brief, leaderless],
         keeps_awake=False)
