#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
How often the truth lies within the 95 % bounds of heap profiles that were made through windows: a program with 40 places
that knows what they allocated is recorded again and again, at 100,000 and 200,000 allocations in a second of its own CPU
time. Of each run the sums against the bounds in the comments; of each place ("site-run") the bytes and objects against
the bound of docs/memory.md, and by how many points of a hundred its share of the bytes is off.

    bench_heap_bounds.py BOLOMETER HEAP_SITES [RUNS [SECONDS [BURNERS]]]

BURNERS: programs beside it that never sleep, so that windows find the program waiting for a CPU.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "truth"))
from heap_recording import place_bound, window_bounds  # noqa: E402
from profile_reader import Profile  # noqa: E402

WORK_NS = (10_000, 5_000)
# What came before the program was found is in no window's scale.
EARLY = 0.02


def record(bolometer, sites, seconds, work_ns, seed, directory):
    """The profile, its counters, and the truth."""
    path = f"{directory}/x.pb.gz"
    run = subprocess.run([bolometer, "record", "-q", "-e", "heap", "-o", path, "--", sites, str(seconds),
                          str(work_ns), str(seed)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                         check=True, timeout=seconds + 60)
    profile = Profile.read(path)
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    return profile, {name: int(value) for name, value in counters.items() if value.isdigit()}, json.loads(run.stdout)


def judge(profile, counters, truth, totals, places, off):
    """Appends whether each was within its bound; of shares how far they are off."""
    for at, kind in ((0, "alloc_objects"), (1, "alloc_space")):
        true = {place: values[at] for place, values in truth["places"].items()}
        all_true, all_seen = sum(true.values()), profile.total(kind)
        low, high = window_bounds(counters, kind)
        totals.append(low <= all_true and all_true * (1 - EARLY) <= high)
        for place, value in true.items():
            seen = sum(sample.values[kind] for sample in profile.samples if place in sample.names)
            least, most = place_bound(profile, counters, kind, seen, truth["places"][place][1] / max(value, 1))
            places.append(least <= value and value * (1 - EARLY) <= most)
            if kind == "alloc_space":
                off.append(abs(seen / max(all_seen, 1) - value / all_true) * 100)
    return all_seen / all_true, low / all_true, high / all_true


@contextlib.contextmanager
def burners(count):
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in running:
            burner.kill()
            burner.wait()


def main(bolometer, sites, runs="5", seconds="8", beside="0"):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        return 77
    with burners(int(beside)):
        return bench(bolometer, sites, runs, seconds)


def bench(bolometer, sites, runs, seconds):
    for work_ns in WORK_NS:
        totals, places, off, told = [], [], [], []
        with tempfile.TemporaryDirectory() as directory:
            for seed in range(int(runs)):
                profile, counters, truth = record(bolometer, sites, float(seconds), work_ns, seed, directory)
                if not counters["heap_windows"] or counters["heap_promoted"]:
                    continue
                told.append("%.2f (%.2f to %.2f)" % judge(profile, counters, truth, totals, places, off))
        if not totals:
            print(f"work of {work_ns} ns: no run was in windows")
            continue
        print(f"work of {work_ns} ns, {len(told)} runs of {seconds} s: sums within their bound {sum(totals)} of "
              f"{len(totals)}; places {sum(places)} of {len(places)} ({sum(places) / len(places):.1%}); shares off by "
              f"{max(off):.2f} points at most; seen over true: {', '.join(told)}", flush=True)
    return 0


sys.exit(main(*sys.argv[1:]))
