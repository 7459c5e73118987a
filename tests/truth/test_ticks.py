#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Not one tick goes astray: those the kernel counted are exactly the samples in the file plus each kind of
loss, at any frequency, while processes come and go, and when the CPUs have more to do than they can.

    test_ticks.py BOLOMETER WORKLOADS
"""

import os
import signal
import subprocess
import time

from recording import expect, main

KINDS = ("samples", "lost_ring_full", "lost_scratch", "unselected", "idle", "missed")
TIMES = ("captured_ns", "lost_ns", "unselected_ns", "idle_ns", "missed_ns")
# One tick per CPU at either end, and a CPU's clock may start late.
EDGE_SECONDS = 0.1


def check(recording, frequency):
    parts = {kind: recording[kind] for kind in KINDS}
    expect(recording["ticks"] == sum(parts.values()),
           f"{recording['ticks']} ticks are not the sum {sum(parts.values())} of {parts}")
    in_file = recording.profile.total("samples")
    expect(in_file == recording["samples"] - recording["dropped_samples"],
           f"{in_file} samples in the file, {recording['samples']} sent, "
           f"{recording['dropped_samples']} dropped")
    expect(recording.profile.total("cpu") == recording["captured_ns"],
           f"{recording.profile.total('cpu')} ns in the file, {recording['captured_ns']} captured")
    ends = sum(value for name, value in recording.counters.items() if name.startswith("end."))
    expect(ends == in_file, f"{ends} ends of stacks for {in_file} samples")
    check_time(recording, frequency)
    return ", ".join(f"{name} {value}" for name, value in [("ticks", recording["ticks"]),
                                                          *parts.items()])


def check_time(recording, frequency):
    """Ticks and times are about all of the time of all CPUs: nothing is left out in front."""
    seconds = recording.profile.duration_ns / 1e9
    cpus = os.cpu_count()
    wanted = seconds * cpus
    edge = EDGE_SECONDS * cpus + 0.01 * wanted
    seen = recording["ticks"] / frequency
    recording.watch.expect(abs(seen - wanted) <= edge, f"{recording['ticks']} ticks are {seen:.2f} s of {wanted:.2f} s")
    total = sum(recording[name] for name in TIMES) / 1e9
    recording.watch.expect(abs(total - wanted) <= edge, f"the ticks' times add up to {total:.2f} s of {wanted:.2f} s")


def with_load(bench, load, *arguments, frequency):
    """Records for two seconds while a workload runs."""
    with subprocess.Popen(load, stdout=subprocess.DEVNULL) as running:
        try:
            return check(bench.record("-d", "2s", *arguments, frequency=frequency), frequency)
        finally:
            running.kill()


def at_99_hz(bench):
    return with_load(bench, bench.workload("split", 10), frequency=99)


def at_10000_hz(bench):
    return with_load(bench, bench.workload("split", 10), frequency=10000)


def two_hundred_forks_a_second(bench):
    return with_load(bench, bench.workload("children", 10, "forks", 200), frequency=997)


def selected_by_name(bench):
    """What the daemon rejects after all counts as unselected."""
    return with_load(bench, bench.workload("split", 10), "--comm", "split", frequency=997)


def suspend(pid):
    """The recorder gets no CPU for a second, as on a host that is far too busy."""
    time.sleep(1)
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1)
    finally:
        os.kill(pid, signal.SIGCONT)


def overload(bench):
    """The ring of a recorder that cannot keep up is too small: samples are lost, and counted."""
    load = bench.workload("recursion", 10)
    with subprocess.Popen(load, stdout=subprocess.DEVNULL) as running:
        try:
            recording = bench.record("-d", "3s", frequency=10000, meanwhile=suspend)
        finally:
            running.kill()
    expect(recording["lost_ring_full"] > 0, "the ring did not fill up: nothing was tried")
    return check(recording, 10000)


if __name__ == "__main__":
    main([at_99_hz, at_10000_hz, two_hundred_forks_a_second, selected_by_name, overload])
