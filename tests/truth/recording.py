# SPDX-License-Identifier: Apache-2.0
"""
Runs workloads under the built `bolometer record` and says how far a right profile may be from the truth.

The bound. Ticks come at a fixed distance T. A piece of work that lasts nT + f without a break is hit by n
or n + 1 ticks, n + 1 with probability f/T when the piece begins anywhere within a period: its error is
bounded by T and zero in the mean. For k such pieces Hoeffding's inequality gives

    P(|error| >= t) <= 2 exp(-2 t^2 / (k T^2)),  so  t = T sqrt(k ln(2/p) / 2).

A piece ends where the scheduler switches away, or where another function begins. P_FALSE is for one
comparison; a run of all tests makes about a hundred, together <= 1e-4. A comparison whose bound is so
wide that an error of 3 % could pass does not pass: it is tried again, and then counts as skipped. On a
quiet host none is.
"""

import contextlib
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from load import Program, group_of_tests, no_idle_cpu, wait_for_sampling  # noqa: E402,F401
from profile_reader import Profile  # noqa: E402
from verdict import SKIPPED, Failure, Stopwatch, Undecided, expect, run_tests  # noqa: E402,F401

P_FALSE = 1e-6
# The higher, the narrower the bounds; but a clock event that comes more than half a period late is a
# missed one, and the hosts of virtual machines delay many by 0.1 ms.
# A prime: at a multiple of the scheduler's tick (250 or 1000 Hz), what that tick sets off would always be
# met in the same phase, and a piece of 6.5 periods counted as 7.
FREQUENCY = 4801
PERIOD_NS = 1e9 / FREQUENCY
LARGEST_ERROR = 0.03
# Outside of what a workload says of itself: starting before main() and ending after its last line.
OUTSIDE_NS = 15e6
# The workloads read their clock between slices, in the caller of what they measure.
CLOCK_SHARE = 0.003
WARM_UP_SECONDS = 0.1
STACK_ENDS_WHOLE = ("complete", "exiting", "starting a program")


def bound_ns(pieces, period_ns=PERIOD_NS):
    return period_ns * math.sqrt(max(pieces, 1) * math.log(2 / P_FALSE) / 2)


def expect_near(what, seen_ns, true_ns, allowed_ns, recording, share=1, hidden_ns=0, largest_error=LARGEST_ERROR):
    """
    seen = true within `allowed`. The profile may also lack what it says it lost (of a part with this
    share of the tasks' time that share) and what lies hidden in stacks that end early, and it may have
    what other guests of the machine took from a task while it ran.
    """
    lost_ns = hidden_ns + recording.unsure_ns() * share
    stolen = recording.stolen_ns * share
    expect(true_ns - allowed_ns - lost_ns <= seen_ns <= true_ns + allowed_ns + stolen,
           f"{what}: {seen_ns / 1e6:.2f} ms seen, {true_ns / 1e6:.2f} ms true "
           f"({seen_ns / true_ns - 1:+.2%}), {allowed_ns / 1e6:.2f} ms allowed, "
           f"{lost_ns / 1e6:.2f} ms lost, {stolen / 1e6:.2f} ms stolen")
    if allowed_ns + max(lost_ns, stolen) > largest_error * true_ns:
        raise Undecided(f"{what}: {true_ns / 1e6:.1f} ms with a bound of {allowed_ns / 1e6:.2f} ms, "
                        f"{lost_ns / 1e6:.2f} ms lost and {stolen / 1e6:.2f} ms stolen: an error of "
                        f"{largest_error:.0%} could hide there")


class Recording:
    """A profile with its counters and, for a workload, what the workload said of itself. `watch` judges what
    a host that was busy meanwhile may have made worse: how much came before the tables were ready."""

    def __init__(self, path, output, errors, stolen, cpu=None, watch=None):
        self.profile = Profile.read(path)
        self.output, self.errors, self.stolen_ns, self.cpu = output, errors, stolen, cpu
        self.watch = watch
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

    def on_cpu(self, cpu, counter):
        """One CPU's part of a counter; the recorder says them when asked to be verbose."""
        for line in self.errors.splitlines():
            if f"CPU {cpu}:" in line:
                found = re.search(rf"\b{counter}=(\d+)", line)
                return int(found[1]) if found else 0
        raise Failure(f"the recorder does not say the counters of CPU {cpu}: {self.errors[-300:]}")

    def unsure_ns(self):
        """Time of these tasks that may be lacking: samples lost, and ticks in which no program ran. No
        CPU idles here, so those of the tasks' CPU (of all CPUs, where they are not bound to one) may
        all be theirs. What other guests of the machine took is among them and not the tasks' own."""
        if self.cpu is None:
            return self["lost_ns"] + self["missed_ns"]
        return self.on_cpu(self.cpu, "lost_ns") + self.on_cpu(self.cpu, "missed_ns")


def stolen_ns(cpu=None):
    """Time other guests of the machine took since boot from one CPU or from all."""
    name = "cpu" if cpu is None else f"cpu{cpu}"
    with open("/proc/stat", encoding="ascii") as stat:
        fields = next(line.split() for line in stat if line.startswith(name + " "))
    return int(fields[8]) * 1e9 / os.sysconf("SC_CLK_TCK")


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

    def record(self, *arguments, frequency=FREQUENCY, command=(), timeout=60, meanwhile=None, cpu=None):
        """A Recording. `meanwhile` is called with the process id of the recorder once it runs. The
        command with all it starts is bound to `cpu`: then it is known which missed ticks may be its."""
        if cpu is not None:
            command = ["taskset", "-c", str(cpu), *command]
        events = arguments[arguments.index("-e") + 1] if "-e" in arguments else "cpu"
        rate = ["-F", str(frequency)] if "cpu" in events else []
        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/x.pb.gz"
            stolen_before, watch = stolen_ns(cpu), Stopwatch()
            # Not a pipe: nobody reads it while `meanwhile` runs, and a verbose recorder would wait.
            with open(f"{directory}/errors", "w+", encoding="utf-8", errors="replace") as errors_file, \
                    Program(
                        [self.bolometer, "record", "-v", *rate, "-o", path, *map(str, arguments),
                         *(["--", *command] if command else [])],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors_file,
                        text=True) as process:
                if meanwhile:
                    meanwhile(process.pid)
                output, _ = process.communicate(timeout=timeout)
                errors_file.seek(0)
                errors = errors_file.read()
            expect(process.returncode == 0,
                   f"bolometer record: status {process.returncode}: {errors[-600:]}")
            return Recording(path, output, errors, stolen_ns(cpu) - stolen_before, cpu, watch)

    def record_workload(self, name, seconds, *arguments, options=(), **more):
        """Runs it briefly first, so that the tables of its binaries are ready; the truth is that of the
        second run."""
        script = f'"$0" {WARM_UP_SECONDS} "$@" >/dev/null && "$0" {seconds} "$@" && exit'
        return self.record(*options, command=["sh", "-c", script, *self.workload(name, *arguments)],
                           cpu=max(os.sched_getaffinity(0)), **more)


def main(tests, keeps_awake=True):
    """Runs tests(bench): test BOLOMETER WORKLOADS. Ends the process. Tests that count events and sample no CPU time
    need none that is awake."""
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        sys.exit(SKIPPED)
    bench = Bench(sys.argv[1], sys.argv[2])
    with no_idle_cpu() if keeps_awake else contextlib.nullcontext():
        status = run_tests([(test.__name__, lambda test=test: test(bench)) for test in tests])
    sys.exit(status)
