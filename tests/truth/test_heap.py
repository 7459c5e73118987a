#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A program that allocates known numbers of objects and bytes at known places: `record -e heap --exact` says the
same, to the byte, allocated and still held.

    test_heap.py BOLOMETER WORKLOADS

The program's code is compared with its file to see that probes are there, and that none is left. They come and
go a few times in this test; BOLOMETER_HEAP_TIMES=1000 does it more often.
"""

import json
import os
import signal
import subprocess
import tempfile

from heap_recording import NO_LINKS, TIMEOUT, HeapRun, expect_no_probes, lacks_links
from profile_reader import Profile
from recording import Undecided, expect, main

TIMES = int(os.environ.get("BOLOMETER_HEAP_TIMES", "5"))


def exact(bench):
    run = HeapRun(bench.bolometer, bench.workload("heap", 2000))
    if not run.has_links:
        return NO_LINKS
    told = run.expect_exact()
    expect(run.profile.default_sample_type == "inuse_space", "inuse_space is the default value")
    return told


def ended(bench):
    """The process is gone before the recording: its objects are no more followed, and stay in use."""
    run = HeapRun(bench.bolometer, bench.workload("heap", 500), ends_first=True)
    if not run.has_links:
        return NO_LINKS
    told = run.expect_exact()
    followed = [text for text in run.profile.comments if text.startswith("heap_followed_objects=")]
    if followed != ["heap_followed_objects=0"]:
        raise Undecided(f"not looked at since it has ended: {followed}")
    return told


def killed(bench):
    """The recorder dies without a word: the program goes on, and ends as it would have."""
    run = HeapRun(bench.bolometer, bench.workload("heap", 200), end=signal.SIGKILL)
    if not run.has_links:
        return NO_LINKS
    run.expect_probed()
    return "the program went on"


def again(bench):
    """Probes come and go under a program that only allocates, and change nothing of what it computes."""
    with tempfile.TemporaryDirectory() as directory, \
            subprocess.Popen(bench.workload("heap", "churn"), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) as workload:
        try:
            for _ in range(TIMES):
                run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "--exact", "--no-symbolize",
                                      "-p", str(workload.pid), "-d", "300ms", "-o", f"{directory}/x.pb.gz"],
                                     stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
                if lacks_links(run.stderr):
                    return NO_LINKS
                expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
            seen = Profile.read(f"{directory}/x.pb.gz").total("alloc_objects")
            expect_no_probes(workload.pid)
            output, _ = workload.communicate(timeout=TIMEOUT)
        finally:
            workload.kill()
    expect(workload.returncode == 0, f"the program ended with {workload.returncode}")
    truth = json.loads(output)
    expect(truth["wrong"] == 0, f"{truth['wrong']} of {truth['blocks']} blocks are damaged")
    if not seen:
        raise Undecided("the last recording was over before its probes were set")
    return f"{TIMES} times, {truth['blocks']} blocks checked"


main([exact, ended, killed, again])
