#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A recorder inside a pid namespace, as in a container of its own: processes are chosen, and reported, by
the numbers they have there.

    test_pid_namespace.py BOLOMETER WORKLOADS
"""

import subprocess
import tempfile

from recording import Recording, Stopwatch, cpu_ns, expect, main

LARGEST_ERROR = 0.1  # of the program's CPU time; starting and ending it are outside of its own words
BUSY = '"$split" 1000 >/dev/null & other=$!; '


def record(bench, script):
    """Runs a shell script there that records into $out; the program's own words are its output. Another
    one of the same name, which is never selected, runs beside it."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/x.pb.gz"
        watch = Stopwatch()
        variables = f"bolometer='{bench.bolometer}'; split='{bench.workloads / 'split'}'; out={path}; "
        done = subprocess.run(
            ["unshare", "-m", "-p", "-f", "--mount-proc", "sh", "-c",
             variables + BUSY + script + '; status=$?; kill $other; exit $status'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        expect(done.returncode == 0, f"status {done.returncode}: {done.stderr[-500:]}")
        return Recording(path, done.stdout, done.stderr, 0, watch=watch)


def check(recording):
    """All of the program's time, under its inner number, and nobody else's."""
    truth = recording.truth
    pids = {sample.labels["process.pid"] for sample in recording.profile.samples
            if sample.labels.get("process.executable.name") == "split"}
    expect(truth["pid"] in pids, f"process {truth['pid']} is not among {pids}")
    expect(2 not in pids, "the program that was not selected is in the profile")
    seen = cpu_ns(sample for sample in recording.profile.samples
                  if sample.labels.get("process.pid") == truth["pid"])
    lost = recording["missed_ns"] + recording["lost_ns"]
    true = truth["self_ns"]
    # The recording has an end that the program may not have reached.
    recording.watch.expect(
        (1 - LARGEST_ERROR) * true - lost <= seen <= (1 + LARGEST_ERROR) * true,
        f"{seen / 1e6:.0f} ms seen, {true / 1e6:.0f} ms true")
    return f"{seen / 1e6:.0f} ms seen, {true / 1e6:.0f} ms true, process {truth['pid']}"


def by_number(bench):
    return check(record(bench, '(sleep 1; exec "$split" 0.5) & chosen=$!;'
                               ' "$bolometer" record -q -F 1999 -d 4s -o $out -p $chosen'))


def children(bench):
    return check(record(bench, '(sleep 1; sh -c "\'$split\' 0.5; exit") & chosen=$!;'
                               ' "$bolometer" record -q -F 1999 -d 4s -o $out -p $chosen --children'))


def command(bench):
    return check(record(bench, '"$bolometer" record -q -F 1999 -o $out -- sh -c "\'$split\' 0.5; exit"'))


if __name__ == "__main__":
    main([by_number, children, command])
