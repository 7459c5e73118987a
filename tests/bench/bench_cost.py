#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What sampling costs, piece by piece:

    slope       BPF time of a stack against its depth: what a frame costs, and what every sample does
    tick        BPF time of a tick in a process that was not asked for, against one that was, and against the
                least program that keeps anything at that rate
    cost        what a busy host loses to sampling: accounted (BPF, interrupts, our own CPU), and measured
                by switching the clocks off and on every 100 ms while fixed work is counted
    growth      what a host with few and with many page faults loses to `-e growth`, the same ways, at first and in
                the long run
    memory      of all our processes and BPF maps on this host, under a compiler, and with 400 processes
                that run 300 different binaries
    limit       the same with 2,000 processes and 1,000 binaries under `--max-memory 64MiB`
    tables      the same with 800 binaries that are copies of bash: more tables than there is room for

    bench_cost.py BOLOMETER RECURSION SPIN INTERRUPT LEAST_TICK CHAIN SERVICE [PART...]
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import pathlib
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

from bench_record import CPUS, bpf_statistics, counters, end_load_when_stopped, load, record
from own_cost import Cgroup, program_ns

FREQUENCY = 99
PAIRS = 600
ENABLE, DISABLE = 0x2400, 0x2401  # PERF_EVENT_IOC_*
PIDFD_GETFD = 438


def bpf_us(c, count):
    return c["bpf_ns"] / max(count, 1) / 1e3


def slope(tools, directory):
    points = []
    for depth in (1, 50, 200, 500, 1000):
        with load([tools["recursion"], "60", str(depth)]) as running:
            pids = [word for process in running for word in ("-p", str(process.pid))]
            c = record(tools["bolometer"], directory, 5, "-F", "199", *pids)
        points.append((c["frames"] / c["samples"], bpf_us(c, c["samples"])))
    frames, times = zip(*points)
    a_frame, fixed = statistics.linear_regression(frames, times)
    print("slope   " + "  ".join(f"{f:.0f} frames {t:.2f} us" for f, t in points))
    print(f"        a frame {a_frame * 1e3:.0f} ns, a sample before any frame {fixed:.2f} us"
          f" (as much as {fixed / a_frame:.0f} frames)")


def numbers_of(*command):
    """Those that a program prints."""
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [float(word) for word in run.stdout.split()]


def tick(tools, directory):
    with load([tools["chain"], "600"]):
        empty, least = numbers_of(tools["least_tick"], "6")
        selected = record(tools["bolometer"], directory, 6)
        sleeper = subprocess.Popen(["sleep", "60"])
        unselected = record(tools["bolometer"], directory, 6, "-p", str(sleeper.pid))
        sleeper.kill()
        sleeper.wait()
    ours = bpf_us(unselected, unselected["unselected"]), bpf_us(selected, selected["samples"])
    print(f"tick    unselected {ours[0]:.2f} us, selected {ours[1]:.2f} us, ratio {ours[0] / ours[1]:.3f}; at the"
          f" same rate an empty program {empty / 1e3:.2f} us, the least that keeps a number {least / 1e3:.2f}")


@contextlib.contextmanager
def clocks_of(pid):
    """Our own descriptors of all perf events of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            if "[perf_event]" in os.readlink(f"/proc/{pid}/fd/{name}"):
                found.append(libc.syscall(PIDFD_GETFD, pidfd, int(name), 0))
    try:
        yield found
    finally:
        for fd in [*found, pidfd]:
            os.close(fd)


def switch(fds, request):
    for fd in fds:
        fcntl.ioctl(fd, request, 0)


def slices(counts, fds, pairs):
    """Relative loss of each CPU in each pair of slices, one with and one without sampling."""
    def one():
        before, start = list(counts), time.monotonic()
        time.sleep(0.1)
        elapsed = time.monotonic() - start
        return [(now - then) / elapsed for now, then in zip(list(counts), before)]

    losses = []
    for pair in range(pairs):
        speeds = {}
        # Which comes first alternates: a drift of the machine's speed cancels.
        for request in (ENABLE, DISABLE) if pair % 2 else (DISABLE, ENABLE):
            switch(fds, request)
            speeds[request] = one()
        losses += [1 - on / off for on, off in zip(speeds[ENABLE], speeds[DISABLE])]
    switch(fds, ENABLE)
    return losses


def measured(tools, directory, pairs, *options, every=0):
    path = directory / "counts"
    seconds = pairs // 5 + 6
    spin = subprocess.Popen([tools["spin"], path, str(seconds), str(every)])
    run = subprocess.Popen([tools["bolometer"], "record", "-q", *options, "-d", f"{seconds}s", "-o",
                            directory / "x.pb.gz"], stdin=subprocess.DEVNULL)
    try:
        time.sleep(3)
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), CPUS * 8) as memory, \
                memoryview(memory) as view, view.cast("Q") as counts, clocks_of(run.pid) as fds:
            return slices(counts, fds, pairs)
    finally:
        run.wait()
        spin.kill()
        spin.wait()


def trimmed_mean(values):
    """
    Without the tenth at either end (slices in which the machine did something else altogether say
    nothing of us), and half of its 95 % interval: by the winsorized deviation, Tukey and McLaughlin 1963.
    """
    ordered, n = sorted(values), len(values)
    cut = n // 10
    kept = ordered[cut:n - cut]
    winsorized = [kept[0]] * cut + kept + [kept[-1]] * cut
    error = statistics.stdev(winsorized) / ((1 - 2 * cut / n) * n ** 0.5)
    return statistics.mean(kept), 1.96 * error


def cost(tools, directory):
    per_tick, bare = numbers_of(tools["interrupt"])
    seconds = 20
    with bpf_statistics(), load([tools["spin"], directory / "unused", "60"]):
        record(tools["bolometer"], directory, 3)  # what is parsed once, is parsed
        c = record(tools["bolometer"], directory, seconds)
    # What a recording costs at its start and its end has figures of its own.
    our_cpu = c["capture_cpu_ns"] - c["first_complete_cpu_ns"]
    shares = [c["bpf_ns"] / 1e9 / seconds / CPUS, our_cpu / 1e9 / seconds / CPUS,
              per_tick * FREQUENCY / 1e9]
    mean, half = trimmed_mean(measured(tools, directory, PAIRS))
    print(f"cost    accounted {100 * sum(shares):.3f} % of CPU time: BPF {100 * shares[0]:.3f},"
          f" interrupts {100 * shares[2]:.3f} ({per_tick / 1e3:.1f} us each), our processes"
          f" {100 * shares[1]:.3f}")
    print(f"        of them this machine's floor, ticks without any program: {100 * bare * FREQUENCY / 1e9:.3f} %"
          f" ({bare / 1e3:.1f} us each); what is ours, {100 * (shares[0] + shares[1]):.3f}")
    print(f"        measured {100 * mean:.3f} % +- {100 * half:.3f} (95 %, {PAIRS} pairs of"
          f" 100 ms on each CPU, the tenth at either end left out), goal 0.2 %")


def growth_parts(tools, directory, moments):
    """A recording's BPF time and our processes' CPU time, ns, from each of these seconds to the next, and its counters."""
    path, cgroup, seen = directory / "x.pb.gz", Cgroup(), []
    with subprocess.Popen([tools["bolometer"], "record", "-q", "-e", "growth", "-d", f"{moments[-1] + 1}s", "-o", path],
                          stdin=subprocess.DEVNULL, preexec_fn=cgroup.enter) as run:
        begin = time.monotonic()
        for moment in moments:
            time.sleep(max(0, begin + moment - time.monotonic()))
            seen.append((program_ns(run.pid), cgroup.ns()))
    cgroup.remove()
    parts = [[now - before for now, before in zip(*pair)] for pair in zip(seen[1:], seen)]
    return parts, counters(path)


def growth(tools, directory):
    # A CPU is looked at densely for some 14 s: see daemon/collect/growth_pace.h.
    moments, names, pairs = (2, 14, 20, 40), ("at first", "in between", "in the long run"), 40
    # A page in 5,000 rounds of some 0.5 us: a host at work. In 10: most of the time is page faults.
    for load_name, every in (("few faults", 5000), ("many faults", 10)):
        with bpf_statistics(), load([tools["spin"], directory / "unused", "90", str(every)]):
            record(tools["bolometer"], directory, 3, "-e", "growth")  # what is parsed once
            parts, c = growth_parts(tools, directory, moments)
        for name, part, seconds in zip(names, parts, (end - begin for begin, end in zip(moments, moments[1:]))):
            bpf, own = (100 * ns / 1e9 / seconds / CPUS for ns in part)
            print(f"growth  {load_name}, {name}: accounted {bpf + own:.3f} % of CPU time (BPF {bpf:.3f}, our processes"
                  f" {own:.3f}), goal 0.1 %")
        each = moments[-1] * CPUS
        print(f"        {c['growth_faults'] / each:.0f} faults a second and CPU, {c['growth_samples'] / each:.0f} samples")
        mean, half = trimmed_mean(measured(tools, directory, pairs, "-e", "growth", every=every))
        print(f"        measured {100 * mean:.3f} % +- {100 * half:.3f} (95 %, {pairs} pairs of 100 ms on"
              f" each CPU)")


def proportional_set_size(pid):
    """Of a process and its children, bytes."""
    total = 0
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"\nPss:\s+(\d+)", text)[1]) * 1024
        for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            total += proportional_set_size(child)
    return total


def own_memory(tools, directory, seconds, *options):
    """Largest PSS of all our processes and their BPF maps, and those at the end, bytes; while it samples, too."""
    path = directory / "x.pb.gz"
    run = subprocess.Popen([tools["bolometer"], "record", "-q", "-d", f"{seconds}s", "-o", path, *options],
                           stdin=subprocess.DEVNULL)
    sizes, sampling, end = [], 0, time.monotonic() + seconds
    while run.poll() is None:
        sizes.append(proportional_set_size(run.pid))
        maps = 0
        with contextlib.suppress(OSError):
            for info in pathlib.Path(f"/proc/{run.pid}/fdinfo").iterdir():
                text = info.read_text()
                if "map_type:" in text:
                    maps += int(re.search(r"memlock:\s+(\d+)", text)[1])
        sizes[-1] += maps
        if time.monotonic() < end:
            sampling = max(sampling, sizes[-1])
        time.sleep(0.3)
    c = counters(path)
    return {"all": max(sizes), "last": sizes[-2], "sampling": sampling, "own": c["memory_bytes"], **c}


def show_memory(name, m, goal, reference):
    print(f"memory  {name}: PSS of all our processes + BPF maps at most {m['all'] / 1e6:.1f} MB, at the"
          f" end {m['last'] / 1e6:.1f} (goal {goal}), {m['all'] / reference:.2f} times the first"
          f" row; {m['samples']} samples")


def make_copies(directory, program, count):
    """Of a program, each with a build id and an end of its own."""
    original = pathlib.Path(program).resolve().read_bytes()
    at = original.index(b"GNU\0", original.index(struct.pack("<III", 4, 20, 3)))
    copies = []
    for i in range(count):
        data = bytearray(original)
        data[at + 4:at + 8] = struct.pack("<I", i)
        path = directory / f"service-{i}"
        path.write_bytes(bytes(data) + os.urandom(16))
        path.chmod(0o700)
        copies.append(path)
    return copies


@contextlib.contextmanager
def started(directory, program, arguments, processes, binaries):
    """So many processes of so many copies of a program."""
    (directory / "copies").mkdir()
    copies = make_copies(directory / "copies", program, binaries)
    running = [subprocess.Popen([copies[i % binaries], *arguments]) for i in range(processes)]
    try:
        time.sleep(2)
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
        shutil.rmtree(directory / "copies")


def many_processes(directory, processes, binaries):
    """Each sleeps, and works every two seconds: all together about as much as one CPU can."""
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    script = (f"exec 3<>{fifo}; while :; do for ((i = 0; i < {600000 // processes}; i++)); do :; done;"
              " read -t 2 -u 3; done")
    return started(directory, "/bin/bash", ["-c", script], processes, binaries)


def many_services(directory, service, processes, binaries):
    """The same with a small program."""
    return started(directory, service, [str(1600000 // processes), "2000"], processes, binaries)


def memory(tools, directory):
    host = own_memory(tools, directory, 10)
    processes = sum(name.isdigit() for name in os.listdir("/proc"))
    show_memory(f"this host ({processes} processes)", host, "25 MB", host["all"])
    source = directory / "x.cc"
    source.write_text("#include <algorithm>\n#include <map>\n#include <regex>\n#include <string>\n"
                      "std::map<std::string, std::regex> m; int main() { return m.size(); }\n")
    compile_loop = ["sh", "-c", f"while :; do g++ -O2 -c {source} -o /dev/null; done"]
    with load(compile_loop):
        show_memory("busy load", own_memory(tools, directory, 20), "35 MB", host["all"])
    with many_processes(directory, 400, 300):
        show_memory("400 processes, 300 binaries", own_memory(tools, directory, 30), "50 MB",
                    host["all"])


LIMIT_MIB, TIGHT_MIB = 64, 12  # the second is less than what 2,000 processes need


def show_limit(name, tools, directory, limit_mib=LIMIT_MIB):
    """What is kept, and what it takes for that."""
    m = own_memory(tools, directory, 20, "--max-memory", f"{limit_mib}MiB")
    gave_up = {key.partition(".")[2]: value for key, value in m.items() if key.startswith("budget_memory_gave")}
    lost = {key: m[key] for key in ("binaries_arena_full", "binaries_idle", "names_refused", "names_forgotten",
                                    "dropped_samples") if m.get(key)}
    print(f"limit   {name}, {limit_mib} MiB ({limit_mib * 1.048576:.1f} MB): at most"
          f" {m['sampling'] / 1e6:.1f} MB while sampling, {m['budget_memory_peak_bytes'] / 1e6:.1f} by its own"
          f" readings, {m['all'] / 1e6:.1f} with the end:"
          f" {'not kept' if m['budget_memory_infeasible'] else 'kept'}")
    print(f"        {m['samples']} samples, complete {m.get('end.complete', 0) / max(m['samples'], 1):.0%};"
          f" gave up {gave_up or 'nothing'}; {lost or 'nothing lost'}")


def limit(tools, directory):
    with many_services(directory, tools["service"], 2000, 1000):
        show_limit("2,000 processes, 1,000 small binaries", tools, directory)
        show_limit("the same", tools, directory, TIGHT_MIB)


def tables(tools, directory):
    with many_processes(directory, 800, 800):
        show_limit("800 processes, 800 copies of bash", tools, directory)


PARTS = {"slope": slope, "tick": tick, "cost": cost, "growth": growth, "memory": memory, "limit": limit,
         "tables": tables}


def main():
    end_load_when_stopped()
    names = ("bolometer", "recursion", "spin", "interrupt", "least_tick", "chain", "service")
    tools = dict(zip(names, sys.argv[1:]))
    if os.geteuid() != 0:
        print("needs root")
        return 77
    for name in sys.argv[1 + len(names):] or PARTS:
        with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
            if name in ("slope", "tick"):
                stack.enter_context(bpf_statistics())
            PARTS[name](tools, pathlib.Path(directory))
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
