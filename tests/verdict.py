# SPDX-License-Identifier: Apache-2.0
"""
What a test may find: that all is well, that something is wrong (Failure), or that this host does not let
it tell (Undecided). Undecided tests are tried again; what stays undecided is said aloud and never fails.

Time limits are judged by Stopwatch: late on a host that kept its CPUs from the test decides nothing. A test
that hangs is interrupted, so that it says where and the others still run.
"""

import os
import signal
import time
import traceback

SKIPPED = 77
ATTEMPTS = 3
# A file of tests of which more stays open has not shown what it is for.
LARGEST_UNDECIDED = 1 / 3
# Of the CPUs' time, what others may take before a test's own times prove nothing; of its time, the part in
# which somebody waited for a disk.
LARGEST_OTHERS = 0.2
LARGEST_DISK_WAITS = 0.2
# Far more than one attempt of any test takes, and far less than the whole check may; the long forms set it.
# What a test starts does not see it: a daemon refuses a setting it does not know.
HANGS_SECONDS = int(os.environ.pop("BOLOMETER_TEST_SECONDS", "150"))


class Failure(Exception):
    """What was seen is not what is true."""


class Undecided(Exception):
    """The host kept so much from the test that an error could hide there."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


# ---- Time ----------------------------------------------------------------------------------------------


def ticks_to_seconds(fields):
    return sum(map(int, fields)) / os.sysconf("SC_CLK_TCK")


def host_cpu_seconds():
    """Since boot, of all CPUs: all but idling, with what other guests of the machine took."""
    with open("/proc/stat", encoding="ascii") as file:
        fields = file.readline().split()[1:9]
    return ticks_to_seconds(fields[:3] + fields[5:])


def own_cpu_seconds():
    """Of this process and all below it, with those that have ended; from alone.py on where that runs it."""
    used, children = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue  # it has ended
        used[int(entry)] = ticks_to_seconds(fields[11:15])
        children.setdefault(int(fields[1]), []).append(int(entry))
    parent = os.getppid()
    with open(f"/proc/{parent}/cmdline", "rb") as file:
        waiting = [parent if b"alone.py" in file.read() else os.getpid()]
    total = 0
    while waiting:
        process = waiting.pop()
        total += used.get(process, 0)
        waiting += children.get(process, [])
    return total


def disk_wait_seconds():
    """Since boot: time in which a task waited for a disk (pressure stall information); 0 without it."""
    try:
        with open("/proc/pressure/io", encoding="ascii") as file:
            return int(file.readline().rsplit("total=", 1)[1]) / 1e6
    except (OSError, ValueError, IndexError):
        return 0


class Stopwatch:
    """Runs from its making on."""

    def __init__(self):
        self.start = time.monotonic()
        self.others, self.disk = host_cpu_seconds() - own_cpu_seconds(), disk_wait_seconds()

    def seconds(self):
        return time.monotonic() - self.start

    def others_share(self):
        """What others took of the CPUs' time meanwhile."""
        others = host_cpu_seconds() - own_cpu_seconds() - self.others
        return others / (max(self.seconds(), 0.05) * (os.cpu_count() or 1))

    def host_was_busy(self):
        return self.others_share() > LARGEST_OTHERS or \
            disk_wait_seconds() - self.disk > LARGEST_DISK_WAITS * self.seconds()

    def expect(self, condition, what):
        """For what only a busy host may make untrue."""
        if condition:
            return
        if self.host_was_busy():
            raise Undecided(f"{what}; others took {self.others_share():.0%} of the CPUs")
        raise Failure(what)

    def expect_within(self, limit, what):
        """It took less than `limit` seconds, or the host was too busy for that to mean anything."""
        seconds = self.seconds()
        self.expect(seconds < limit, f"{what}: {seconds:.1f} s, at most {limit} s are allowed")


# ---- Running tests --------------------------------------------------------------------------------------


class Hangs(Exception):
    """It does not end."""


def on_alarm(*_):
    raise Hangs(f"no end after {HANGS_SECONDS} s")


def attempt(run):
    """Returns "ok" and what the test says of itself, "FAIL" or "undecided" and why."""
    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(HANGS_SECONDS)
    try:
        return "ok", run()
    except Undecided as why:
        return "undecided", why
    except Failure as why:
        return "FAIL", why
    except Exception:  # pylint: disable=broad-except
        return "FAIL", traceback.format_exc()
    finally:
        signal.alarm(0)


def run_test(name, run):
    """Prints how it went; what is left undecided is tried again."""
    verdict = why = None
    for number in range(1, ATTEMPTS + 1):
        start = time.monotonic()
        verdict, why = attempt(run)
        seconds = time.monotonic() - start
        if verdict != "undecided":
            break
        print(f"     attempt {number} of {name}, {seconds:.1f} s: {why}", flush=True)
    print(f"{verdict:<4} {name}, {seconds:.1f} s{f': {why}' if why else ''}", flush=True)
    return verdict


def run_tests(tests):
    """Runs pairs of a name and a function without arguments. Returns the exit status of the file: 1 after
    a failure, 77 when too much is left undecided, else 0, with what is left undecided said."""
    verdicts = [run_test(name, run) for name, run in tests]
    undecided = verdicts.count("undecided")
    if "FAIL" in verdicts:
        return 1
    if undecided > LARGEST_UNDECIDED * len(verdicts):
        print(f"SKIPPED: {undecided} of {len(verdicts)} comparisons are undecided: other guests or programs "
              "keep this host's CPUs from the test")
        return SKIPPED
    return 0
