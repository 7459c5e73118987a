# SPDX-License-Identifier: Apache-2.0
"""
What the fault tests share: a recording of the whole host with something hostile on it. Beside it runs a
harmless program, whose profile must be as good as ever, in bounded time and memory.
"""

import contextlib
import itertools
import os
import pathlib
import subprocess
import sys
import tempfile
import time

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "truth")]
from load import no_idle_cpu  # noqa: E402
from recording import SKIPPED, Recording, expect, mark  # noqa: E402
from verdict import ATTEMPTS, Stopwatch, Undecided, run_tests  # noqa: E402

SECONDS = 2
FREQUENCY = 499
COMPLETE = 0.98
# From the end of the capture to the files: what is asked of a healthy host is half a second.
LARGEST_DELAY = 45
LARGEST_OWN = 200 << 20  # bytes of the recorder itself
LARGEST_RSS = 400 << 20  # of it or of a child
NOT_READY = "[tables not ready]"


class Result(Recording):
    """With what the recording cost."""

    def __init__(self, path, errors, watch, memory):
        super().__init__(path, "", errors, 0, watch=watch)
        self.seconds = watch.seconds()
        self.largest_own, self.largest_rss = memory

    def named(self, program):
        return [sample for sample in self.profile.samples
                if sample.labels.get("process.executable.name") == program]


def high_water_mark(pid):
    """Most bytes of memory the process itself had so far."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def finish(process, watch, seconds):
    """Waits for the recorder, which is killed after so long. Returns the most memory it had, and the most
    that it or a child of it had."""
    own = 0
    while watch.seconds() < seconds:
        own = max(own, high_water_mark(process.pid))
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return own, usage.ru_maxrss * 1024
        time.sleep(0.02)
    process.kill()
    process.wait()
    watch.expect_within(seconds, "the recording did not end")
    return None


def count(samples):
    return sum(sample.count for sample in samples)


class Faults:
    def __init__(self, bolometer, workloads, hostile):
        self.bolometer = os.path.abspath(bolometer)
        self.workloads = pathlib.Path(workloads).resolve()
        self.hostile = os.path.abspath(hostile)
        self.attempt = 1

    def record(self, *arguments, meanwhile=None, seconds=SECONDS, recorder=None, delay=LARGEST_DELAY):
        """A Result of the whole host; `meanwhile(pid)` is called when the recorder was started. Each further
        attempt records three times as long."""
        seconds *= 3 ** (self.attempt - 1)
        with tempfile.TemporaryDirectory() as directory:
            path, errors = f"{directory}/x.pb.gz", f"{directory}/errors"
            watch = Stopwatch()
            with open(errors, "wb") as err, self.harmless(), subprocess.Popen(
                    [recorder or self.bolometer, "record", "-F", str(FREQUENCY), "-d", f"{seconds}s",
                     "-o", path, *arguments], stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=err) as process:
                if meanwhile:
                    meanwhile(process.pid)
                memory = finish(process, watch, seconds + delay)
            said = pathlib.Path(errors).read_text(errors="replace")
            expect(process.returncode == 0, f"status {process.returncode}: {said[-800:]}")
            return Result(path, said, watch, memory)

    @contextlib.contextmanager
    def harmless(self):
        """The program whose profile has to stay right."""
        with subprocess.Popen([self.workloads / "split", "1000"], stdout=subprocess.DEVNULL) as split:
            try:
                yield
            finally:
                split.kill()

    @contextlib.contextmanager
    def victim(self, *arguments, seconds=1000):
        """The hostile program, its trap set; yields its process."""
        with subprocess.Popen([self.hostile, *map(str, arguments), str(seconds)],
                              stdout=subprocess.PIPE, text=True) as process:
            try:
                process.ready = process.stdout.readline().split()
                expect(process.ready[:1] == ["ready"], f"{arguments} did not start")
                yield process
            finally:
                process.kill()

    def expect_tables(self, result, whole, what):
        """When the tables come is a matter of load: a longer recording tells whether they come at all."""
        if not whole and self.attempt < ATTEMPTS:
            raise Undecided(what)
        result.watch.expect(whole, what)

    def check(self, result, names=True, largest_rss=LARGEST_RSS):
        """Is the profile of the harmless program right, and was the price bounded? How many samples came
        before the tables is a matter of load, and is not judged."""
        samples = result.named("split")
        result.watch.expect(count(samples) >= 50, f"{count(samples)} samples of the harmless program")
        early = [sample for sample in samples if mark(sample) == NOT_READY]
        whole = [sample for sample in samples if not mark(sample)]
        if names:
            self.expect_tables(result, count(whole), f"all {count(samples)} samples before the tables were ready")
            expect(count(whole) >= COMPLETE * (count(samples) - count(early)),
                   f"{count(whole)} of {count(samples)} complete, {count(early)} early")
            named = [s for s in whole if s.frames[-1].function == "_start"
                     and any(name.startswith("split_") for name in s.names)]
            expect(count(named) >= 0.9 * count(whole), f"{count(named)} of {count(whole)} named")
        expect(result.largest_own <= LARGEST_OWN, f"{result.largest_own >> 20} MiB of memory")
        expect(result.largest_rss <= largest_rss, f"a child with {result.largest_rss >> 20} MiB of memory")
        ticks = sum(result[name] for name in ("samples", "lost_ring_full", "lost_scratch", "unselected",
                                              "idle", "missed"))
        expect(ticks == result["ticks"], f"{ticks} ticks accounted for of {result['ticks']}")
        return (f"{count(samples)} samples, {result.seconds:.1f} s, {result.largest_rss >> 20} MiB")


def patient(faults, test):
    attempts = itertools.count(1)

    def run():
        faults.attempt = next(attempts)
        return test(faults)
    return run


@contextlib.contextmanager
def jit(faults):
    """A process with JIT code, and its perf map."""
    with subprocess.Popen([faults.workloads / "jit", "1000"], stdout=subprocess.DEVNULL) as process:
        path = pathlib.Path(f"/tmp/perf-{process.pid}.map")
        try:
            while not (path.exists() and path.stat().st_size > 0):
                time.sleep(0.01)
            time.sleep(0.05)
            yield path
        finally:
            process.kill()
            path.unlink(missing_ok=True)


def main(tests):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        sys.exit(SKIPPED)
    faults = Faults(*sys.argv[1:4])
    with no_idle_cpu():
        status = run_tests([(test.__name__, patient(faults, test)) for test in tests])
    sys.exit(status)
