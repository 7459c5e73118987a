#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Is a budget kept, seen from outside? A storm on every CPU (deep C++ stacks, programs that start and end,
memory that comes and goes) is recorded with a budget, and three costs are added up that the recorder does not
tell of itself: the CPU time of its cgroup, which has its children too; the run time of its programs in the
kernel, as the kernel tells of each in fdinfo; and the interrupts, as many as ticks came, at the price the
recorder measures at its start (`bench_interrupt` measures the same). What the kernel's accounting of the
programs costs is among them. The dearest minute while it samples is held against the budget. The names and
the file that a recording makes at its end come after that, and are told apart.

    bench_budget.py BOLOMETER CHAIN [SECONDS [SHARE]]

With ALLOCATE there are 5 M allocations a second besides, and the heap is recorded, too: in windows, since probes on
all calls would take more than the program. What a probe's breakpoint takes beyond its program is the allocating
program's, under a budget of its own (bench_heap.py), and not counted here.

    bench_budget.py BOLOMETER CHAIN SECONDS SHARE ALLOCATE

Is the cost that it accounts for what the host loses? With a budget of 5 %, fixed work on every CPU is counted
while the clocks are switched off and on by turns within one recording; what is lost while they are on, and the
CPU time of the recorder's cgroup, are held against what the controller took for the cost of the same time.

    bench_budget.py BOLOMETER CHAIN agree SPIN
"""

import contextlib
import mmap
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from bench_cost import clocks_of, slices, trimmed_mean  # noqa: E402
from bench_record import CPUS, bpf_statistics, counters, end_load_when_stopped, load  # noqa: E402
from own_cost import Cgroup, program_ns  # noqa: E402

FORKS = """
import os, time
due = time.monotonic()
while True:
    os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
    due = max(due + 0.002, time.monotonic() - 0.1)
    time.sleep(max(0, due - time.monotonic()))
"""
ALLOCATE = "while True: [bytes(100 + i) for i in range(5000)]; bytearray(1 << 20)"
ALLOCATIONS = "5000000"  # a second of the allocating program's CPU time
MIN_SECONDS = 60
START_SECONDS, BURST_SECONDS = 5, 2
AGREE_SHARE = 0.05
AGREE_WARM = 12  # seconds, after which the rate has come to rest
AGREE_PAIRS = 150  # of slices of 0.1 s
AGREE_WITHIN = 0.2
PRICE = re.compile(r"an interrupt costs (\d+) ns")
STEP = re.compile(r"budget: a step of ([\d.]+) s cost ([\d.]+) %, ticks ([\d.]+) %")


@contextlib.contextmanager
def storm(chain, allocate=None):
    allocating = [allocate, ALLOCATIONS, "600"] if allocate else [sys.executable, "-c", ALLOCATE]
    with load([chain, "600"]), contextlib.ExitStack() as stack:
        for command in ([sys.executable, "-c", FORKS], allocating):
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
        yield


def measure(bolometer, chain, seconds, share, allocate=None):
    cgroup = Cgroup()
    with tempfile.TemporaryDirectory() as name, bpf_statistics(), storm(chain, allocate):
        events = ["cpu", "heap"] if allocate else ["cpu"]
        with open(f"{name}/errors", "w+", encoding="utf-8") as errors, subprocess.Popen(
                [bolometer, "record", "-vv", "-F", "999", "--max-cpu", f"{share:.2%}", "-d", f"{seconds}s",
                 "-e", ",".join(events), "-o", f"{name}/%e.pb.gz"], stdin=subprocess.DEVNULL, stderr=errors, preexec_fn=cgroup.enter) as process:
            began, seen = time.monotonic(), []
            while process.poll() is None:
                seen.append((time.monotonic() - began, cgroup.ns() + program_ns(process.pid)))
                time.sleep(0.5)
            wall = time.monotonic() - began
            errors.seek(0)
            price = PRICE.search(errors.read())
        own = cgroup.ns()
        cgroup.remove()
        said = counters(f"{name}/cpu.pb.gz")
        said["heap"] = counters(f"{name}/heap.pb.gz") if allocate else {}
    if not price:
        sys.exit("the recorder does not say what an interrupt costs")
    interrupts = said["ticks"] * int(price[1])
    sampling = [(when, ns) for when, ns in seen if when <= seconds]
    return sampling, own, interrupts, wall, said


def dearest_share(sampling, interrupts, width=MIN_SECONDS):
    """Of all CPUs, of the minutes (or so many seconds, or of all, when that is less) that end with a reading.
    Interrupts are taken to be spread evenly."""
    last = sampling[-1][0]
    width = min(width, last)
    costs = []
    for end, ns in sampling:
        begin = max((reading for reading in sampling if reading[0] <= end - width), default=None)
        if begin:
            costs.append((ns - begin[1] + interrupts * (end - begin[0]) / last) / ((end - begin[0]) * 1e9 * CPUS))
    whole = (sampling[-1][1] + interrupts) / (last * 1e9 * CPUS)
    return max(costs, default=whole)


def show(share, sampling, own, interrupts, wall, said):
    dearest = dearest_share(sampling, interrupts)
    print(f"budget {share:.2%}, {wall:.1f} s on {CPUS} CPUs: {dearest:.3%} in the dearest minute, seen from "
          f"outside (all interrupts {interrupts / 1e9:.3f} s, programs in the kernel {said['bpf_ns'] / 1e9:.3f} s); itself "
          f"says {said['budget_minute_cost_ppm'] / 1e4:.3f} % of its last minute; "
          f"start {said['load_cpu_ns'] / 1e9:.3f} s, until the end of sampling {said['capture_cpu_ns'] / 1e9:.3f} s, with names and file {own / 1e9:.3f} s; "
          f"{said['samples']} samples, {said['budget_frequency_hz']} Hz at the end, "
          f"infeasible={said['budget_infeasible']}")
    rest = [(when, ns) for when, ns in sampling if when > START_SECONDS]
    if rest:
        print(f"    after the first {START_SECONDS} s: {dearest_share(rest, interrupts, BURST_SECONDS):.3%} in the dearest "
              f"{BURST_SECONDS} s")
    if said["heap"]:
        heap = said["heap"]
        print(f"    heap: {heap['heap_windows']} windows, one in {heap['heap_window_period_ms'] / 1e3:g} s a program at "
              f"the end, {heap['heap_promoted']} programs promoted; setting probes took {heap['heap_own_cpu_ns'] / 1e9:.3f} s "
              f"of our CPU time, their hits {heap['heap_cost_ns'] / 1e9:.3f} s of the programs'; "
              f"without {', '.join(sorted(name.split('.')[1] for name in heap if name.startswith('budget_without.')))}")
    return dearest


def steps(path, begin):
    """Shares of all CPUs, in all and for ticks, of the controller's steps since a place in its log."""
    with open(path, encoding="utf-8") as errors:
        errors.seek(begin)
        found = [[float(word) for word in match.groups()] for match in STEP.finditer(errors.read())]
    total = sum(step[0] for step in found)
    return [sum(step[0] * step[i] for step in found) / total / 100 for i in (1, 2)]


def agree(bolometer, spin):
    cgroup = Cgroup()
    seconds = AGREE_WARM + AGREE_PAIRS // 5 + 6
    with tempfile.TemporaryDirectory() as name, bpf_statistics(), contextlib.ExitStack() as stack:
        work = stack.enter_context(subprocess.Popen([spin, f"{name}/counts", str(seconds + 2)]))
        stack.callback(work.kill)
        errors = stack.enter_context(open(f"{name}/errors", "w", encoding="utf-8"))
        run = stack.enter_context(subprocess.Popen(
            [bolometer, "record", "-vv", "-F", "9999", "--max-cpu", f"{AGREE_SHARE:.0%}", "-d", f"{seconds}s",
             "-o", f"{name}/x.pb.gz"], stdin=subprocess.DEVNULL, stderr=errors, preexec_fn=cgroup.enter))
        stack.callback(run.kill)
        time.sleep(AGREE_WARM)
        with open(f"{name}/counts", "r+b") as file, mmap.mmap(file.fileno(), CPUS * 8) as memory, \
                memoryview(memory) as view, view.cast("Q") as counts, clocks_of(run.pid) as fds:
            begin, began, own = os.path.getsize(f"{name}/errors"), time.monotonic(), cgroup.ns()
            loss, half = trimmed_mean(slices(counts, fds, AGREE_PAIRS))
            own = (cgroup.ns() - own) / 1e9 / (time.monotonic() - began) / CPUS
            accounted, ticks = steps(f"{name}/errors", begin)
        run.wait()
        price = int(PRICE.search(pathlib.Path(f"{name}/errors").read_text(encoding="utf-8"))[1])
        said = counters(f"{name}/x.pb.gz")
    cgroup.remove()
    # The clocks were on for half of the time.
    return price, said["budget_frequency_hz"], accounted, ticks, loss / 2, half / 2, own


def show_agreement(price, frequency, accounted, ticks, lost, half, own):
    outside = lost + own
    print(f"budget {AGREE_SHARE:.0%}: accounted {accounted:.3%} (ticks {ticks:.3%}), seen from outside {outside:.3%}: "
          f"fixed work lost {lost:.3%} +- {half:.3%} (95 %), CPU time of the cgroup {own:.3%}; "
          f"accounted is {accounted / outside:.2f} of it; an interrupt costs {price} ns, {frequency} Hz at the end")
    if abs(accounted / outside - 1) > AGREE_WITHIN + half / outside:
        sys.exit("what is accounted is not what is lost")


def main():
    end_load_when_stopped()
    bolometer, chain = sys.argv[1], sys.argv[2]
    if sys.argv[3:4] == ["agree"]:
        show_agreement(*agree(bolometer, sys.argv[4]))
        return
    seconds = int(sys.argv[3]) if len(sys.argv) > 3 else 90
    share = float(sys.argv[4]) if len(sys.argv) > 4 else 0.005
    result = measure(bolometer, chain, seconds, share, *sys.argv[5:6])
    dearest = show(share, *result)
    # What it says it cannot keep is not a broken promise, but said; less than a minute is none.
    if seconds >= MIN_SECONDS and dearest > share and not result[-1]["budget_infeasible"]:
        sys.exit(f"the budget of {share:.2%} is broken")


if __name__ == "__main__":
    main()
