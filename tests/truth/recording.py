# SPDX-License-Identifier: Apache-2.0
"""
Runs workloads under the built `bolometer record` and says how far a right profile may be from the truth.

The bound. Ticks come at a fixed distance T. A piece of work that lasts nT + f without a break is hit by n
or n + 1 ticks, n + 1 with probability f/T when the piece begins anywhere within a period: its error is
bounded by T and zero in the mean. For k such pieces Hoeffding's inequality gives

    P(|error| >= t) <= 2 exp(-2 t^2 / (k T^2)),  so  t = T sqrt(k ln(2/p) / 2).

A piece ends where the scheduler switches away, or where another function begins. P_FALSE is for one
comparison; a run of all tests makes about a hundred, together <= 1e-4. Each comparison refuses to judge
(and fails) when its bound is so wide that an error of 3 % could pass.
"""

import contextlib
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

from profile_reader import Profile

SKIPPED = 77
P_FALSE = 1e-6
FREQUENCY = 10000
PERIOD_NS = 1e9 / FREQUENCY
LARGEST_ERROR = 0.03
# Outside of what a workload says of itself: starting before main() and ending after its last line.
OUTSIDE_NS = 15e6
# The workloads read their clock between slices, in the caller of what they measure.
CLOCK_SHARE = 0.003
WARM_UP_SECONDS = 0.1
STACK_ENDS_WHOLE = ("complete", "exiting", "starting a program")


class Failure(Exception):
    """What was seen is not what is true."""


def expect(condition, what):
    if not condition:
        raise Failure(what)


def bound_ns(pieces, period_ns=PERIOD_NS):
    return period_ns * math.sqrt(max(pieces, 1) * math.log(2 / P_FALSE) / 2)


def expect_near(what, seen_ns, true_ns, allowed_ns, lost_ns=0):
    """seen = true within `allowed`; the profile may also lack what it says it lost."""
    expect(allowed_ns <= LARGEST_ERROR * true_ns,
           f"{what}: {true_ns / 1e6:.1f} ms are too little to see an error of 3 %: the bound is "
           f"{allowed_ns / 1e6:.2f} ms")
    expect(true_ns - allowed_ns - lost_ns <= seen_ns <= true_ns + allowed_ns,
           f"{what}: {seen_ns / 1e6:.2f} ms seen, {true_ns / 1e6:.2f} ms true "
           f"({seen_ns / true_ns - 1:+.2%}), {allowed_ns / 1e6:.2f} ms allowed, "
           f"{lost_ns / 1e6:.2f} ms lost")


class Recording:
    """A profile with its counters and, for a workload, what the workload said of itself."""

    def __init__(self, path, output, errors, stolen):
        self.profile = Profile.read(path)
        self.output, self.errors, self.stolen_ns = output, errors, stolen
        lines = output.strip().splitlines()
        self.truth = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
        comments = [text.split("=", 1) for text in self.profile.comments if "=" in text]
        self.counters = {name: int(value) for name, value in comments if value.isdigit()}

    def __getitem__(self, counter):
        return self.counters.get(counter, 0)

    def samples_of(self, program):
        """Of the run that told the truth."""
        pids = {self.truth["pid"], *map(int, self.truth.get("children", {}))}
        return [sample for sample in self.profile.samples
                if sample.labels.get("process.executable.name") == program
                and sample.labels.get("process.pid") in pids]

    def complete_share(self):
        ends = {name[4:]: value for name, value in self.counters.items() if name.startswith("end.")}
        whole = sum(ends.get(name, 0) for name in STACK_ENDS_WHOLE)
        return whole / max(sum(ends.values()), 1)

    def unsure_ns(self):
        """Time of these tasks that may be lacking: samples lost, ticks in which no program ran (no CPU
        idles here, so they may all be theirs), and what the host's other guests took."""
        return self["lost_ns"] + self["missed_ns"] + self.stolen_ns


def stolen_ns():
    """Time other guests of the machine took from this one since boot, all CPUs."""
    with open("/proc/stat", encoding="ascii") as stat:
        return int(stat.readline().split()[8]) * 1e9 / os.sysconf("SC_CLK_TCK")


def cpu_ns(samples):
    return sum(sample.cpu for sample in samples)


def last_frame(sample):
    return sample.frames[-1]


def mark(sample):
    """Why the stack ends early, or ""."""
    return last_frame(sample).function if last_frame(sample).is_mark else ""


class Bench:
    """The built program and the workloads."""

    def __init__(self, bolometer, workloads):
        self.bolometer = os.path.abspath(bolometer)
        self.workloads = pathlib.Path(workloads).resolve()

    def has(self, workload):
        return (self.workloads / workload).exists()

    def workload(self, name, *arguments):
        return [str(self.workloads / name), *map(str, arguments)]

    def record(self, *arguments, frequency=FREQUENCY, command=(), timeout=60, meanwhile=None):
        """A Recording. `meanwhile` is called with the process id of the recorder once it runs."""
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/x.pb.gz"
            stolen_before = stolen_ns()
            with subprocess.Popen(
                    [self.bolometer, "record", "-F", str(frequency), "-o", path,
                     *map(str, arguments), *(["--", *command] if command else [])],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    text=True) as process:
                if meanwhile:
                    meanwhile(process.pid)
                output, errors = process.communicate(timeout=timeout)
            expect(process.returncode == 0,
                   f"bolometer record: status {process.returncode}: {errors[-600:]}")
            return Recording(path, output, errors, stolen_ns() - stolen_before)

    def record_workload(self, name, seconds, *arguments, **options):
        """Runs it briefly first, so that the tables of its binaries are ready; the truth is that of the
        second run."""
        script = f'"$0" {WARM_UP_SECONDS} "$@" >/dev/null && "$0" {seconds} "$@" && exit'
        return self.record(command=["sh", "-c", script, *self.workload(name, *arguments)], **options)


SPIN = ("import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0));"
        " os.sched_setaffinity(0, {{{}}})\nwhile True: pass")


@contextlib.contextmanager
def no_idle_cpu():
    """Keeps every CPU awake with a task that gives way to any other. On an idle CPU without a scheduler
    tick the kernel throttles the clock event after a while and wakes it only with the next tick: time
    that counts as missed, rightly, but makes the bounds here too narrow."""
    spinners = [subprocess.Popen([sys.executable, "-c", SPIN.format(cpu)])
                for cpu in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def main(tests):
    """Runs tests(bench): test BOLOMETER WORKLOADS. Ends the process."""
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        sys.exit(SKIPPED)
    bench = Bench(sys.argv[1], sys.argv[2])
    with no_idle_cpu():
        failed = sum(not run_test(bench, test) for test in tests)
    sys.exit(1 if failed else 0)


def run_test(bench, test):
    """Prints how it went; returns whether it passed."""
    name = test.__name__
    try:
        said = test(bench)
        print(f"ok     {name}{': ' + said if said else ''}", flush=True)
        return True
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"FAILED {name}: {failure}", flush=True)
        return False
