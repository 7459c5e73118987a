#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A program that allocates known numbers of objects and bytes at known places: `record -e heap --exact` says the
same, to the byte, allocated and still held.

    test_heap.py BOLOMETER WORKLOADS

The program's code is compared with its file to see that probes are there, and that none is left. They come and
go 50 times in this test; BOLOMETER_HEAP_TIMES=1000 does it more often (make soak).
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import tempfile

from heap_recording import NO_LINKS, TIMEOUT, HeapRun, expect_no_probes, lacks_links
from profile_reader import Profile
from recording import Program, Undecided, expect, main, mark

TIMES = int(os.environ.get("BOLOMETER_HEAP_TIMES", "50"))
AT_ONCE = 5  # recorders; each opens a window a second
FREQUENCY = 997
COMPLETE = 0.94
CHURN_HELD = 2 * 64  # blocks; a thread without one has a free place


def exact(bench):
    run = HeapRun(bench.bolometer, bench.workload("heap", 2000))
    if not run.has_links:
        return NO_LINKS
    told = run.expect_exact()
    expect(run.profile.default_sample_type == "inuse_space", "inuse_space is the default value")
    return told


def ended(bench):
    """The process is gone before the recording, which --children keeps from ending with it: its objects are no more
    followed, and stay in use."""
    run = HeapRun(bench.bolometer, bench.workload("heap", 500), ends_first=True, options=("--exact", "--children"))
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


class Visit:
    """A recording of running programs for so long, and its counters."""

    def __init__(self, bench, programs, seconds, *options):
        pids = [option for program in programs for option in ("-p", str(program.pid))]
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/x.pb.gz"
            run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", *options, "--no-symbolize",
                                  *pids, "-d", f"{seconds}s", "-o", path],
                                 stderr=subprocess.PIPE, text=True, timeout=seconds + TIMEOUT, check=False)
            self.has_links = not lacks_links(run.stderr)
            if not self.has_links:
                return
            expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
            self.profile = Profile.read(path)
            self.counters = self.counters_of(self.profile)

    @staticmethod
    def counters_of(profile):
        return dict(text.split("=", 1) for text in profile.comments if "=" in text)

    def __getitem__(self, counter):
        return int(self.counters[counter])

    def of(self, program, kind):
        return sum(sample.values[kind] for sample in self.profile.samples
                   if sample.labels.get("process.pid") == program.pid)


@contextlib.contextmanager
def churning(bench, count):
    """Programs that allocate, and do nothing else. Once they are left they have ended, with nothing wrong."""
    with contextlib.ExitStack() as stack:
        programs = [stack.enter_context(Program(["nice", "-n", "5", *bench.workload("heap", "churn")],
                                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                    for _ in range(count)]
        yield programs
        for program in programs:
            expect_no_probes(program.pid)
            output, _ = program.communicate(timeout=TIMEOUT)
            expect(program.returncode == 0, f"the program ended with {program.returncode}")
            truth = json.loads(output)
            expect(truth["wrong"] == 0, f"{truth['wrong']} of {truth['blocks']} blocks are damaged")


def again(bench):
    """Probes come and go under a program, those of several recorders at a time."""
    with churning(bench, 1) as programs, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        visits = list(pool.map(lambda _: Visit(bench, programs, TIMES // AT_ONCE), range(AT_ONCE)))
    if not all(visit.has_links for visit in visits):
        return NO_LINKS
    times = sum(visit["heap_windows"] for visit in visits)
    if times < TIMES / 2:
        raise Undecided(f"probes came and went {times} times only")
    return f"{times} times"


def joined(bench):
    """Recordings that begin and end while programs allocate: they see what is freed of all that they saw allocated,
    in the moments, too, when some functions are probed and others not."""
    with churning(bench, 4) as programs:
        visit = Visit(bench, programs, 1, "--exact")
    if not visit.has_links:
        return NO_LINKS
    if visit["heap_lost"]:
        raise Undecided(f"{visit['heap_lost']} allocations were lost")
    expect(not visit["heap_missed_frees"], f"{visit['heap_missed_frees']} frees were missed")
    for program in programs:
        in_use = visit.of(program, "inuse_objects")
        expect(in_use <= CHURN_HELD, f"{in_use} blocks are in use, {CHURN_HELD} at most are true")
    if not visit["heap_allocations"]:
        raise Undecided("the recording was over before its probes were set")
    return f"{visit['heap_allocations']} allocations of {len(programs)} programs"


def complete(bench):
    """CPU stacks of a program that hardly leaves its probes: returns that go by way of the kernel hide no caller, nor
    do breakpoints. What is left are moments in which the kernel itself does not know."""
    with churning(bench, 1) as programs, tempfile.TemporaryDirectory() as directory:
        run = subprocess.run([bench.bolometer, "record", "-q", "-e", "cpu,heap", "--exact", "-F", str(FREQUENCY),
                              "-p", str(programs[0].pid), "-d", "3s", "-o", f"{directory}/%e.pb.gz"],
                             stderr=subprocess.PIPE, text=True, timeout=TIMEOUT, check=False)
        if lacks_links(run.stderr):
            return NO_LINKS
        expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
        samples = [s for s in Profile.read(f"{directory}/cpu.pb.gz").samples if "not ready" not in mark(s)]
        counters = Visit.counters_of(Profile.read(f"{directory}/heap.pb.gz"))
    ends = collections.Counter()
    for sample in samples:
        ends[mark(sample) or "complete"] += sample.count
    if ends.total() < 500 or int(counters["heap_allocations"]) < 10000:
        raise Undecided(f"{ends.total()} samples, {counters['heap_allocations']} allocations")
    share = ends["complete"] / ends.total()
    expect(share >= COMPLETE, f"{share:.1%} of the stacks are complete: {dict(ends)}")
    return f"{share:.1%} of {ends.total()} stacks"


main([exact, ended, killed, again, joined, complete], keeps_awake=False)
