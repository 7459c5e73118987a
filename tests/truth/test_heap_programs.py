#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs that become others, by exec, and that start others, by posix_spawn and fork: what each of them
allocated is its own, to the byte, whatever the others do.

    test_heap_programs.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import pathlib
import select
import signal
import subprocess
import tempfile

from heap_recording import LOST, NO_LINKS, TIMEOUT, TYPES, lacks_links
from profile_reader import Profile
from recording import Failure, Program, Undecided, expect, main

PATIENCE = 45  # programs wait 20 s for probes, those that follow another one 20 s more


class Runs:
    """Programs that run beside each other, and what was recorded of all of them."""

    def __init__(self, bench, lines, *options):
        """`lines`: what to run -> how many lines it says."""
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            path = pathlib.Path(directory) / "x.pb.gz"
            programs = {how: stack.enter_context(
                Program(bench.workload("heap_programs", how), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0))
                for how in lines}
            pids = [option for program in programs.values() for option in ("-p", str(program.pid))]
            recorder = stack.enter_context(Program(
                [bench.bolometer, "record", "-q", "-e", "heap", "--exact", "-d", f"{TIMEOUT}s", "-o", str(path),
                 *pids, *options], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
            self.told = {how: [json.loads(line) for line in lines_of(program, recorder, lines[how])]
                         for how, program in programs.items()}
            recorder.send_signal(signal.SIGINT)
            _, errors = recorder.communicate(timeout=TIMEOUT)
            for program in programs.values():
                program.stdin.close()
            self.status = [program.wait(timeout=TIMEOUT) for program in programs.values()]
            self.has_links = not lacks_links(errors)
            if self.has_links:
                expect(recorder.returncode == 0, f"bolometer record: {recorder.returncode}: {errors}")
                self.profile = Profile.read(path)

    def seen(self, pid, place):
        samples = [sample for sample in self.profile.samples
                   if sample.labels.get("process.pid") == pid and place in sample.names]
        return [sum(sample.values[kind] for sample in samples) for kind in TYPES]

    def expect_exact(self):
        expect(not any(self.status), f"the programs ended with {self.status}")
        counters = dict(text.split("=", 1) for text in self.profile.comments if "=" in text)
        wrong = []
        for how, lines in self.told.items():
            for line in lines:
                if not line["probed"]:
                    raise Undecided(f"{how}: the probes came too late for it")
                seen = self.seen(line["pid"], line["place"])
                if seen != line["values"]:
                    wrong.append(f"{how}, {line['place']}: {seen} seen, {line['values']} true")
        if lost := [f"{name}={counters[name]}" for name in LOST if int(counters.get(name, 0))]:
            raise Undecided(" ".join(lost))
        if wrong:
            raise Failure("; ".join(wrong))
        objects = sum(line["values"][0] for lines in self.told.values() for line in lines)
        return f"{objects} allocations of {', '.join(self.told)}"


def lines_of(program, recorder, count):
    """As many as it says before it waits."""
    lines = []
    while len(lines) < count:
        ready, _, _ = select.select([program.stdout], [], [], PATIENCE)
        if not ready or recorder.poll() is not None:
            return lines
        lines.append(program.stdout.readline())
    return lines


def programs(bench):
    """Two processes that become another program, one that starts one, one that forks."""
    lines = {"exec": 2, "thread_exec": 2, "spawn": 2, "forks": 2}
    runs = Runs(bench, lines, "--children")
    if not runs.has_links:
        return NO_LINKS
    return runs.expect_exact()


main([programs])
