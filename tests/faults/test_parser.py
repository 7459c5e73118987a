#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The parser child killed and stopped during a recording. (One that lies, crashes, hangs or hoards memory
is played by the unit test of the parser.)

    test_parser.py BOLOMETER WORKLOADS HOSTILE
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time

from faults import Stopwatch, Undecided, count, expect, jit, main, mark
from profile_reader import Profile

# Of children that work on the same file one less than those after which the file counts as the cause:
# PARSER_MAX_ATTEMPTS of daemon/binary/parser_queue.h.
KILLS_WITHOUT_BLAME = 2
TABLES_AGAIN = 15  # profiles of a second; they are asked for again after five
PATIENCE = 60
KILLING_SECONDS = 15
EXPORTER = "exporters: [{{type: pprof-directory, directory: '{directory}/profiles'}}]\n"
# Few files but the harmless program's are asked for.
DAEMON = ("--set log.level=debug --set selection.comm=split --set sampling.frequency=199 --set interval=1s "
          "--set spool.directory= --set cache.enabled=false "
          "--set http.socket={directory}/socket --set http.health_address= -c {directory}/bolometer.yaml")


def wait_for(condition):
    watch, deadline = Stopwatch(), time.monotonic() + PATIENCE
    while not condition():
        watch.expect(time.monotonic() < deadline, "what was waited for does not come")
        time.sleep(0.1)


def came(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def children_of(pid):
    """Parsers that live."""
    with contextlib.suppress(OSError, ValueError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split() if is_parser(int(child))]
    return []


def is_parser(pid):
    """A process that has ended has no command line."""
    with contextlib.suppress(OSError):
        return b"parser-child" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


class Tormentor:
    """Sends each child of the recorder a signal, over and over until `limit` were sent or the recorder
    has ended."""

    def __init__(self, number, pause, limit):
        self.number, self.pause, self.limit = number, pause, limit
        self.sent = 0
        self.thread = None

    def start(self, recorder):
        self.thread = threading.Thread(target=self.run, args=(recorder,))
        self.thread.start()

    def run(self, recorder):
        while self.sent < self.limit and pathlib.Path(f"/proc/{recorder}").exists():
            for child in children_of(recorder)[:self.limit - self.sent]:
                with contextlib.suppress(OSError):
                    os.kill(child, self.number)
                    self.sent += 1
            time.sleep(self.pause)


def record_tormented(faults, number, pause, limit, **options):
    tormentor = Tormentor(number, pause, limit)
    result = faults.record("--no-cache", meanwhile=tormentor.start, **options)
    tormentor.thread.join()
    expect(tormentor.sent > 0, "there was no child")
    return result, tormentor.sent


def jit_names(result):
    """How many samples of the JIT code have its names."""
    return count(s for s in result.named("jit") if s.names[:2] == ["jit_inner", "jit_outer"])


def killed_a_few_times(faults):
    """What a killed child was working on is asked again: nothing is lost but time. (More kills in a row
    cost longer and longer pauses, more than the recording lasts.)"""
    with jit(faults):
        result, sent = record_tormented(faults, signal.SIGKILL, 0.02, KILLS_WITHOUT_BLAME)
    expect(result["parser_children_lost"] > 0, "nobody counted")
    expect(result["jit_readings_lost"] == 0, f"{result['jit_readings_lost']} pieces of JIT maps lost")
    expect(jit_names(result) > 0, "no names of JIT code")
    expect(result["binaries_failed"] == 0, f"{result['binaries_failed']} files are blamed")
    return f"{faults.check(result)}, {sent} killed"


def killed_always(faults):
    with jit(faults):
        result, sent = record_tormented(faults, signal.SIGKILL, 0.002, 1 << 30)
    lost = result["parser_children_lost"]
    expect(lost > 0, "nobody counted")
    expect(count(result.named("jit")) > 0, "the program with JIT code is not sampled any more")
    expect(result["jit_readings_lost"] > 0 or jit_names(result) > 0, "a JIT map that was not read, and nobody counted")
    return (f"{faults.check(result, names=False)}, {sent} signals, {lost} lost, {result['jit_readings_lost']} pieces "
            "of JIT maps")


def of_split(profile):
    """How many samples of the harmless program a profile has, and how many of them are whole."""
    own = [s for s in profile.samples if s.labels.get("process.executable.name") == "split"]
    return count(own), count(s for s in own if not mark(s) and "split_leaf" in s.names)


class Daemon:
    """One that runs beside the harmless program, and whose profiles of a second are files."""

    def __init__(self, directory, pid):
        self.directory, self.pid = pathlib.Path(directory), pid

    def has_given_up(self):
        log = (self.directory / "log").read_text(errors="replace")
        return re.search(r"no unwind table for \S*/split", log) is not None

    def files(self):
        return sorted((self.directory / "profiles").glob("*.pb.gz"))

    def profiles(self):
        """One that is being written is of the next call."""
        return [of_split(Profile.read(file)) for file in self.files()]

    @classmethod
    @contextlib.contextmanager
    def running(cls, faults, directory):
        pathlib.Path(directory, "bolometer.yaml").write_text(EXPORTER.format(directory=directory), encoding="ascii")
        with open(f"{directory}/log", "wb") as log, faults.harmless(), subprocess.Popen(
                [faults.bolometer, "daemon", *DAEMON.format(directory=directory).split()],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
            try:
                yield cls(directory, process.pid)
            finally:
                process.terminate()
                process.wait(60)


def kill_until_given_up(daemon):
    """Children are killed as soon as they are there, so that none lives to answer; one that does all the same
    decides nothing. Once children are fruitless there is one a second: where some are killed before they have
    begun and others after, each of the latter gives up one file, and the program's may be far behind. That is no
    fault, and decides nothing either. Returns how many signals it took."""
    tormentor = Tormentor(signal.SIGKILL, 0, 1 << 30)
    tormentor.start(daemon.pid)
    try:
        if not came(lambda: daemon.has_given_up() or any(whole for _, whole in daemon.profiles()), KILLING_SECONDS):
            raise Undecided("the turn of the program's file does not come")
    finally:
        tormentor.limit = 0
        tormentor.thread.join()
    if any(whole for _, whole in daemon.profiles()):
        raise Undecided("a child was quicker than its killer")
    return tormentor.sent


def killed_for_a_while(faults):
    """A daemon that goes on for months asks again for what it could not know while its children were
    killed."""
    with tempfile.TemporaryDirectory() as directory:
        with Daemon.running(faults, directory) as daemon:
            signals = kill_until_given_up(daemon)
            last = len(daemon.files()) + TABLES_AGAIN
            watch = Stopwatch()
            wait_for(lambda: len(daemon.files()) >= last or any(whole for _, whole in daemon.profiles()))
        seen = daemon.profiles()
    watch.expect(any(whole for _, whole in seen), f"no table once the children live: {seen}")
    return f"{signals} signals; samples and whole ones by profile: {seen}"


def stopped(faults):
    """Stopped for good: the recorder notices and starts another."""
    result, sent = record_tormented(faults, signal.SIGSTOP, 0.02, 3, seconds=5)
    expect(result["parser_children_killed"] > 0, "nobody counted")
    return f"{faults.check(result, names=False)}, {sent} stopped"


def stopped_always(faults):
    result, sent = record_tormented(faults, signal.SIGSTOP, 0.002, 1 << 30)
    expect(result["parser_children_killed"] > 0, "nobody counted")
    return f"{faults.check(result, names=False)}, {sent} signals"


if __name__ == "__main__":
    main([killed_a_few_times, killed_always, killed_for_a_while, stopped, stopped_always])
