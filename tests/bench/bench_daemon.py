#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What the daemon takes in all on a busy host: reading samples, names, profiles and sending them. It samples two
endless compilations at 99 Hz and exports OTLP to a server here, which is not counted. Its CPU time, and
that of its children, is their CPU clocks' over the window, against the time of all CPUs profiled.

The first seconds, in which everything on the host is new, are a row of their own. The BPF programs run in
the time of those they interrupt: bench_cost.py has them.

    bench_daemon.py BOLOMETER [SECONDS]     SECONDS: of the window, default 50
"""

import contextlib
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "service"), str(HERE.parent / "command"), str(HERE.parent / "export")]
from bench_record import load  # noqa: E402
from harness import Bolometer  # noqa: E402
from http_server import HttpServer, answer  # noqa: E402
from running import running  # noqa: E402

WARM_UP = 12
SECONDS = 50
GOAL = 0.2  # % of a CPU for each CPU profiled
CPUS = os.cpu_count()
CPU_CLOCK_SCHEDULED = 2  # CPUCLOCK_SCHED of the kernel's include/linux/posix-timers.h
TICKS = os.sysconf("SC_CLK_TCK")
EXPORTER = """
exporters:
  - {{{{name: it, type: otlp-http, endpoint: '{url}', spool: {{{{size: 64MiB}}}}}}}}
"""
SOURCE = """#include <algorithm>
#include <map>
#include <regex>
#include <string>
std::map<std::string, std::regex> m;
int main() { return m.size(); }
"""


def clock(pid):
    """CPU time of a process with all its threads, those that ended too, in seconds."""
    return time.clock_gettime(~pid << 3 | CPU_CLOCK_SCHEDULED)


def children(pid):
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def waited_for(pid):
    """CPU time of children that ended."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS


def threads(pid):
    """{(id, name): seconds} of the threads that are there."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            ns = int((task / "schedstat").read_text().split()[0])
            found[task.name, (task / "comm").read_text().strip()] = ns / 1e9
    return found


class Reading:
    def __init__(self, daemon):
        pid = daemon.process.pid
        self.time = time.monotonic()
        self.threads = threads(pid)
        self.own = clock(pid)
        self.children = waited_for(pid) + sum(clock(child) for child in children(pid))
        status = daemon.status()
        self.samples = status["sampling"]["samples"]
        self.sent = sum(exporter["samples_sent"] for exporter in status["exporters"])


def share(seconds, elapsed):
    return 100 * seconds / elapsed / CPUS


def show(name, before, after):
    elapsed, samples = after.time - before.time, after.samples - before.samples
    own, theirs = after.own - before.own, after.children - before.children
    print(f"{name}: {share(own + theirs, elapsed):.3f} % of a CPU for each CPU profiled (the daemon"
          f" {share(own, elapsed):.3f}, its children {share(theirs, elapsed):.3f}; goal {GOAL} %),"
          f" {elapsed:.0f} s, {samples} samples, {after.sent - before.sent} sent,"
          f" {(own + theirs) / max(samples, 1) * 1e6:.0f} us a sample")
    spent = {key: seconds - before.threads.get(key, 0) for key, seconds in after.threads.items()}
    largest = sorted(spent.items(), key=lambda item: -item[1])[:5]
    print("    by thread: " + ", ".join(f"{name} {share(seconds, elapsed):.3f}"
                                         for (_, name), seconds in largest))


def main():
    if os.geteuid() != 0:
        print("needs root")
        return 77
    bolometer = Bolometer(sys.argv[1])
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with tempfile.TemporaryDirectory() as directory, \
            HttpServer(lambda request, connection: answer(200)) as server:
        source = pathlib.Path(directory) / "x.cc"
        source.write_text(SOURCE)
        compile_loop = ["sh", "-c", f"while :; do g++ -O2 -c {source} -o /dev/null; done"]
        with load(compile_loop), running(bolometer, extra=EXPORTER.format(url=server.url),
                                         interval="10s") as daemon:
            start = Reading(daemon)
            time.sleep(WARM_UP)
            warm = Reading(daemon)
            time.sleep(seconds)
            end = Reading(daemon)
            show("start    ", start, warm)
            show("steady   ", warm, end)
            steady, first = (share(b.own + b.children - a.own - a.children, b.time - a.time)
                             for a, b in ((warm, end), (start, warm)))
            print(f"    steady against the start: {steady / first:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
