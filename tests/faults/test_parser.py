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
import signal
import threading
import time

from faults import expect, main

# Of children that work on the same file one less than those after which the file counts as the cause:
# PARSER_MAX_ATTEMPTS of daemon/binary/parser_queue.h.
KILLS_WITHOUT_BLAME = 2


def children_of(pid):
    """Those that live."""
    with contextlib.suppress(OSError, ValueError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split() if "Z" not in state_of(child)]
    return []


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]


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


def killed_a_few_times(faults):
    """What a killed child was working on is asked again: nothing is lost but time. (More kills in a row
    cost longer and longer pauses, more than the recording lasts.)"""
    result, sent = record_tormented(faults, signal.SIGKILL, 0.02, KILLS_WITHOUT_BLAME)
    expect(result["parser_children_lost"] > 0, "nobody counted")
    expect(result["binaries_failed"] == 0, f"{result['binaries_failed']} files are blamed")
    return f"{faults.check(result)}, {sent} killed"


def killed_always(faults):
    result, sent = record_tormented(faults, signal.SIGKILL, 0.002, 1 << 30)
    expect(result["parser_children_lost"] > 0, "nobody counted")
    return f"{faults.check(result, names=False)}, {sent} signals, {result['parser_children_lost']} lost"


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
    main([killed_a_few_times, killed_always, stopped, stopped_always])
