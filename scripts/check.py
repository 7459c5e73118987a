#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds and runs every test, one line a test as it ends, under one deadline. The last line is
"N passed, N failed, N skipped"; the exit status is 1 when anything failed.

Tests come from Meson's list. Those Meson calls serial (is_parallel: false: they measure, load the
host or boot machines) run alone; the others run beside each other. A second build with
AddressSanitizer and UndefinedBehaviorSanitizer runs the unit tests and replays the fuzz corpora.

Each test runs below tests/alone.py, which ends all that it leaves behind. What a passed test could not
decide, and what it left, is said in its line.

A serial test that fails, or one of `truth` and `faults`, is tried once more, because it depends on when this
host lets it run: what it said the first time is printed, and it is counted as unsteady in the line before the
last. More than a few of them are no accident: then the first failure counts.

Usage: check.py [--minutes N] [--only SUBSTRING] [--suite SUITE]... [--no-sanitizers]"""
import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALONE = [sys.executable, str(ROOT / "tests/alone.py")]
LEFT_BEHIND = "left behind: "  # alone.py's last line
UNDECIDED = "undecided "  # how the line of such a comparison begins
END_SECONDS = 15  # alone.py has ten for ending what is left of a test
SKIPPED = 77  # Meson's and automake's status for "this machine lacks what the test needs"
SANITIZED_SUITES = {"unit", "fuzz"}
# Fast and narrow first, so that a mistake shows early; suites not named here come in between.
FIRST = ["style", "unit", "fuzz", "command"]
LAST = ["truth", "faults", "kernels"]
RETRIED = {"truth", "faults", "kernels"}  # on what they meet of this host or of an emulator
TAIL_LINES = 30
MOST_UNSTEADY = 3


class Tally:
    """Counts results and prints them, one line each, from any thread."""

    def __init__(self, colour):
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}
        self.unsteady = []
        self.lock = threading.Lock()
        self.colours = {"ok": "32", "FAIL": "31", "skip": "33"} if colour else {}

    def add(self, result, name, seconds, note="", output=""):
        with self.lock:
            self.counts[result] += 1
            word = f"{result:<4}"
            if result in self.colours:
                word = f"\033[{self.colours[result]}m{word}\033[0m"
            print(f"{word} {name}  {seconds:.1f} s{'  ' + note if note else ''}")
            self.show(output)

    def try_again(self, name, seconds, note, output):
        """Whether a failed test may be; says how it failed."""
        with self.lock:
            if len(self.unsteady) >= MOST_UNSTEADY:
                return False
            self.unsteady.append(name)
            print(f"once more: {name} failed  {seconds:.1f} s  {note}")
            self.show(output)
            return True

    @staticmethod
    def show(output):
        for line in output.splitlines()[-TAIL_LINES:]:
            print("     | " + line)
        sys.stdout.flush()

    def finish(self):
        ok, failed, skipped = (self.counts[k] for k in ("ok", "FAIL", "skip"))
        if self.unsteady:
            print(f"{len(self.unsteady)} unsteady, tried twice: {', '.join(self.unsteady)}")
        print(f"{ok} passed, {failed} failed, {skipped} skipped", flush=True)
        return 1 if failed or not ok else 0


def last_line(output):
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(LEFT_BEHIND)]
    return lines[-1] if lines else "no reason given"


def notes(output):
    """What is said of a test although it passed."""
    return "; ".join(line[:200] for line in output.splitlines() if line.startswith((UNDECIDED, LEFT_BEHIND)))


def run(command, timeout, cwd=None, env=None):
    """Status (None: timed out) and output. Whatever it leaves ends with it."""
    process = subprocess.Popen([*ALONE, *command], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    status = None
    try:
        output, _ = process.communicate(timeout=max(timeout, 0.1))
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            output, _ = process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
    return status, output.decode(errors="replace")


def run_test(test, label, deadline, tally, tries_left=None):
    name = f"{label}{suite_of(test)}/{test['name']}"
    if tries_left is None:
        tries_left = 1 if not test.get("is_parallel", True) or suite_of(test) in RETRIED else 0
    limit = test["timeout"] or float("inf")
    left = deadline - time.monotonic()
    if left <= 1:
        tally.add("FAIL", name, 0, "not run: the time for the whole check is over")
        return
    start = time.monotonic()
    env = dict(os.environ, **test["env"])
    status, output = run(test["cmd"], min(limit, left), test["workdir"], env)
    seconds = time.monotonic() - start
    if status == 0:
        tally.add("ok", name, seconds, notes(output))
    elif status == SKIPPED:
        tally.add("skip", name, seconds, last_line(output))
    elif tries_left and status is not None and deadline - time.monotonic() > 2 * seconds and \
            tally.try_again(name, seconds, describe(status), output):
        run_test(test, label, deadline, tally, tries_left - 1)
    else:
        tally.add("FAIL", name, seconds, describe(status), output)


def describe(status):
    if status is None:
        return "timed out"
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def suite_of(test):
    return test["suite"][0].split(":")[-1] if test["suite"] else "other"


def order(test):
    """By suite; in the last of them those that run alone first, and of the others the longest (by its priority), so
    that the CPUs are not left to one of them at the end."""
    suite = suite_of(test)
    if suite in FIRST:
        return (FIRST.index(suite),)
    if suite in LAST:
        return len(FIRST) + 1 + LAST.index(suite), test.get("is_parallel", True), -test.get("priority", 0)
    return (len(FIRST),)


def build(directory, options, deadline, tally, suites=None):
    """All of it, or what the tests of some suites run."""
    start = time.monotonic()

    def step(command):
        status, output = run(command, deadline - time.monotonic(), ROOT)
        if status != 0:
            tally.add("FAIL", directory.name, time.monotonic() - start, "does not build", output)
        return status == 0

    if not (directory / "build.ninja").exists() and not step(
            ["meson", "setup", str(directory), *options]):
        return False
    # Programs of tests that are new are told by files that are not older than the descriptions.
    if suites and not step(["ninja", "-C", str(directory), "build.ninja"]):
        return False
    if not step(["ninja", "-C", str(directory), *(programs_of(directory, suites) if suites else [])]):
        return False
    tally.add("ok", directory.name, time.monotonic() - start, "builds")
    return True


def introspect_tests(directory):
    return json.loads(subprocess.run(["meson", "introspect", "--tests", str(directory)], cwd=ROOT,
                                     stdout=subprocess.PIPE, check=True).stdout)


def programs_of(directory, suites):
    """The built programs among the commands and arguments of these suites' tests, as ninja's targets."""
    words = {word for test in introspect_tests(directory) if suite_of(test) in suites
             for word in test["cmd"]}
    return sorted(os.path.relpath(word, directory) for word in words
                  if word.startswith(f"{directory}/"))


def tests_of(directory, arguments):
    tests = sorted(introspect_tests(directory), key=order)
    for test in tests:  # commands are relative to the build directory
        test["workdir"] = test["workdir"] or str(directory)
    if arguments.suite:
        tests = [test for test in tests if suite_of(test) in arguments.suite]
    return [test for test in tests if arguments.only in test["name"]]


def run_tests(tests, label, deadline, tally):
    """Keeps the order of suites; within the list, parallel tests share the CPUs."""
    batch = []

    def flush():
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            for test in batch:
                pool.submit(run_test, test, label, deadline, tally)
        batch.clear()

    for test in tests:
        if batch and order(batch[-1])[0] != order(test)[0]:
            flush()
        if test.get("is_parallel", True):
            batch.append(test)
            continue
        flush()
        run_test(test, label, deadline, tally)
    flush()


def run_sanitized(arguments, deadline, tally):
    directory = ROOT / "build-asan"
    options = ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dwerror=false",
               "-Dc_args=-fno-sanitize-recover=all"]
    if not build(directory, options, deadline, tally, SANITIZED_SUITES):
        return
    tests = [test for test in tests_of(directory, arguments)
             if suite_of(test) in SANITIZED_SUITES]
    for test in tests:
        test["timeout"] = (test["timeout"] or 30) * 4
    run_tests(tests, "sanitized ", deadline, tally)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=29)
    parser.add_argument("--only", default="")
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--no-sanitizers", action="store_true")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.minutes * 60
    tally = Tally(sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    if build(ROOT / "build", [], deadline, tally):
        tests = tests_of(ROOT / "build", arguments)
        for suite in sorted({*arguments.suite} - {suite_of(test) for test in introspect_tests(ROOT / "build")}):
            tally.add("FAIL", f"--suite {suite}", 0, "there is no such suite")
        if not tests:
            tally.add("FAIL", f"--only {arguments.only}", 0, "no test of the suites is called so")
        quick = [test for test in tests if suite_of(test) in FIRST]
        run_tests(quick, "", deadline, tally)
        if not arguments.no_sanitizers:
            run_sanitized(arguments, deadline, tally)
        run_tests([test for test in tests if test not in quick], "", deadline, tally)
    return tally.finish()


if __name__ == "__main__":
    sys.exit(main())
