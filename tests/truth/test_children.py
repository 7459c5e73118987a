#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Processes and threads that hardly live, and what is selected: `-- CMD` captures the time of all that a
command starts, under the right names; -p, --comm, --exe and --cgroup take what was asked for and nothing
else.

    test_children.py BOLOMETER WORKLOADS
"""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from recording import (OUTSIDE_NS, Program, bound_ns, cpu_ns, expect, expect_near, main, mark,
                       wait_for_sampling)

SECONDS = 4
COMPLETE = 0.95
CHILD_NS = 5e6
THREAD_NS = 3e6
WANTED = f"split{os.getpid()}"
LAST_CPU = max(os.sched_getaffinity(0))


def check_command(bench, name, kind, pieces_per_second):
    """All of `-- CMD`, its shell and the warm-up included, against what the kernel accounted to it."""
    recording = bench.record(command=bench.workload(name, SECONDS, kind), cpu=LAST_CPU)
    truth = recording.truth
    true_ns = truth["self_ns"] + truth["children_ns"]
    samples = recording.profile.samples
    pieces = truth["switches"] + SECONDS * pieces_per_second
    expect_near("captured CPU time", cpu_ns(samples), true_ns,
                bound_ns(pieces) + OUTSIDE_NS, recording)
    ends = {}
    for sample in samples:
        ends[mark(sample)] = ends.get(mark(sample), 0) + sample.count
    whole = ends.pop("", 0) + ends.pop("[exiting]", 0) + ends.pop("[starting a program]", 0)
    total = recording.profile.total("samples")
    recording.watch.expect(whole >= COMPLETE * total, f"{whole / total:.2%} complete, the others: {ends}")
    return recording, f"{whole / total:.2%} complete {ends or ''}"


def share_of(samples, condition):
    return cpu_ns(sample for sample in samples if condition(sample)) / max(1, cpu_ns(samples))


def children_of_five_ms(bench):
    recording, said = check_command(bench, "children", "exec", 1e9 / CHILD_NS)
    samples = recording.profile.samples
    # a child has its parent's name until it starts the program
    named = share_of(samples, lambda s: s.labels.get("process.executable.name") == "children")
    expect(named >= 0.99, f"{named:.2%} of the time has the executable's name")
    pids = {sample.labels["process.pid"] for sample in samples}
    started = recording.truth["children_started"]
    expect(len(pids) - 1 >= 0.99 * started, f"{len(pids) - 1} of {started} children were seen")
    # the rest is forking, starting the program and ending it
    work = share_of(samples, lambda s: "short_child_work" in s.names)
    recording.watch.expect(work >= 0.60, f"{work:.2%} of the time is in the children's function")
    return f"{said}, {started} children"


def threads_of_three_ms(bench):
    recording, said = check_command(bench, "threads", "short", 1e9 / THREAD_NS)
    samples = recording.profile.samples
    named = share_of(samples, lambda s: s.labels.get("thread.name") == "short-lived")
    expect(named >= 0.95, f"{named:.2%} of the time has the threads' name")
    threads = {sample.labels["thread.id"] for sample in samples}
    started = recording.truth["threads_started"]
    expect(len(threads) - 1 >= 0.99 * started, f"{len(threads) - 1} of {started} threads were seen")
    work = share_of(samples, lambda s: "thread_work" in s.names)
    recording.watch.expect(work >= 0.90, f"{work:.2%} of the time is in the threads' function")
    return f"{said}, {started} threads"


class Running:
    """Two programs side by side, of which one is asked for; no other on this host has its name."""

    def __init__(self, bench):
        self.directory = tempfile.TemporaryDirectory()
        self.executable = shutil.copy(bench.workloads / "split", f"{self.directory.name}/{WANTED}")
        self.wanted = subprocess.Popen([self.executable, "20"], stdout=subprocess.DEVNULL)
        self.other = subprocess.Popen(bench.workload("signals", 20), stdout=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.wanted, self.other):
            process.kill()
            process.wait()
        self.directory.cleanup()


def process_cpu_ns(pid):
    """What the scheduler accounted to the process's only thread."""
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])


def check_selection(bench, *options):
    """Only the wanted program, and all of it: options are made from the running pair."""
    with Running(bench) as running:
        arguments = [option(running) if callable(option) else option for option in options]
        used = []

        def watch(pid):
            wait_for_sampling(pid)
            used.append(process_cpu_ns(running.wanted.pid))
            time.sleep(1.5)
            used.append(process_cpu_ns(running.wanted.pid))
            os.kill(pid, signal.SIGINT)

        before = process_cpu_ns(running.wanted.pid)
        recording = bench.record(*arguments, meanwhile=watch)
        at_most = process_cpu_ns(running.wanted.pid) - before
        at_least = used[1] - used[0]
    pids = {sample.labels.get("process.pid") for sample in recording.profile.samples}
    expect(pids == {running.wanted.pid}, f"processes {pids}, wanted {running.wanted.pid}")
    seen = cpu_ns(recording.profile.samples)
    allowed = bound_ns(at_least / 1e6) + recording.unsure_ns()
    recording.watch.expect(at_least - allowed <= seen <= at_most + recording.stolen_ns,
                           f"{seen / 1e6:.0f} ms seen of {at_least / 1e6:.0f} to {at_most / 1e6:.0f} ms, "
                           f"{allowed / 1e6:.0f} ms allowed")
    expect(recording["unselected"] > 0, "the other program was not even there")
    return f"{recording['samples']} samples, {recording['unselected']} unselected"


def by_pid(bench):
    return check_selection(bench, "-p", lambda running: running.wanted.pid)


def by_comm(bench):
    return check_selection(bench, "--comm", WANTED.replace("i", "?"))


def by_executable(bench):
    return check_selection(bench, "--exe", lambda running: running.executable)


def by_two_kinds(bench):
    """Several kinds must all hold."""
    return check_selection(bench, "--comm", "s*", "--exe", WANTED)


def cgroup_root():
    for line in pathlib.Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return pathlib.Path(fields[1])
    return None


def by_cgroup(bench):
    root = cgroup_root()
    if not root:
        return "SKIPPED: no cgroup2 is mounted"
    group = root / f"bolometer-truth-{os.getpid()}"
    inner = group / "inner"
    try:
        inner.mkdir(parents=True)
    except OSError as error:
        return f"SKIPPED: no cgroup can be made: {error}"

    def select(running):
        (inner / "cgroup.procs").write_text(str(running.wanted.pid), encoding="ascii")
        return group
    try:
        return check_selection(bench, "--cgroup", select)
    finally:
        inner.rmdir()
        group.rmdir()


def children_of_a_process(bench):
    """--pid with --children: what it starts from then on."""
    script = 'read go; "$0" 2; read go'
    with Program(["sh", "-c", script, *bench.workload("split")], text=True,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        truth = {}

        def start_and_stop(pid):
            wait_for_sampling(pid)
            time.sleep(0.3)
            shell.stdin.write("go\n")
            shell.stdin.flush()
            truth.update(json.loads(shell.stdout.readline()))
            os.kill(pid, signal.SIGINT)

        try:
            recording = bench.record("-p", shell.pid, "--children", meanwhile=start_and_stop)
        finally:
            shell.kill()
    pids = {sample.labels.get("process.pid") for sample in recording.profile.samples}
    expect(pids <= {shell.pid, truth["pid"]}, f"only the shell and its child, not {pids}")
    seen = cpu_ns(s for s in recording.profile.samples
                  if s.labels.get("process.pid") == truth["pid"])
    expect_near("the child's CPU time", seen, truth["self_ns"],
                bound_ns(truth["switches"] + 1) + 5e6, recording)
    return f"{seen / 1e6:.0f} ms"


if __name__ == "__main__":
    main([children_of_five_ms, threads_of_three_ms, by_pid, by_comm, by_executable, by_two_kinds,
          by_cgroup, children_of_a_process])
