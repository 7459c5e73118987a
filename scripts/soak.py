#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the truth tests over and over and counts failures by test: what fails once in a hundred runs
shows here.

Usage: soak.py BUILD-DIRECTORY [MINUTES]"""
import json
import subprocess
import sys
import time
from collections import Counter

SUITES = {"truth", "faults"}
SKIPPED = 77


def soaked(test):
    return any(suite.split(":")[-1] in SUITES for suite in test["suite"])


def run(test):
    try:
        return subprocess.run(test["cmd"], cwd=test["workdir"], timeout=test["timeout"] or None,
                              stdout=subprocess.DEVNULL, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def main():
    directory = sys.argv[1] if len(sys.argv) > 1 else "build"
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    listed = subprocess.run(["meson", "introspect", "--tests", directory],
                            stdout=subprocess.PIPE, check=True).stdout
    tests = [test for test in json.loads(listed) if soaked(test)]
    end = time.monotonic() + minutes * 60
    runs, failures, rounds = 0, Counter(), 0
    while tests and time.monotonic() < end:
        rounds += 1
        for test in tests:
            status = run(test)
            runs += 1
            if status not in (0, SKIPPED):
                failures[test["name"]] += 1
                print(f"round {rounds}: {test['name']} ended with {status}", flush=True)
    for name, count in failures.most_common():
        print(f"{name}: {count} of {rounds} runs failed")
    print(f"{rounds} rounds, {runs} runs, {sum(failures.values())} failures")
    return 1 if failures or not runs else 0


if __name__ == "__main__":
    sys.exit(main())
