#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
How long blocks live, against a program that knows it of five places: with every allocation, with sampled ones, and through
windows. What is freed adds nothing to what is allocated and held.

    test_heap_lifetimes.py BOLOMETER WORKLOADS
"""

import concurrent.futures
import json
import math
import pathlib
import subprocess
import tempfile

from heap_recording import FREED_TYPES, LOST, NO_LINKS, TYPES, HeapRun
from recording import Stopwatch, Undecided, expect, main

SECONDS = 6.5
STEP_NS = {"exact": 200000, "sampled": 100000, "windows": 20000}
PLACES = ("in_churn", "in_ring", "in_cache", "in_leak", "in_grown")
CLASS = {"in_churn": 0, "in_grown": 3, "in_ring": 4, "in_cache": 6}  # of their usual lifetimes
MOVED = 0.02  # of a place's blocks may seem to have lived a little longer or shorter, in another class
INTERVAL = 2048
WATCHED = 25  # samples of `churn` in windows, at the least


def lifetimes(bench, profile):
    """What `report --lifetimes` says of each place, by its function."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "x.pb.gz"
        path.write_bytes(profile)
        report = subprocess.run([bench.bolometer, "report", "--lifetimes", "--json", "-n", "0", str(path)],
                                capture_output=True, text=True, check=True, timeout=60)
    sites = {}
    for site in json.loads(report.stdout)["sites"]:
        for place in PLACES:
            if place in site["stack"]:
                expect(place not in sites, f"{place} is one site")
                sites[place] = site
    return sites


def recorded(bench, mode, *options):
    """The run, what the report says of each place, and what the program says; None: nothing can be probed here."""
    run = HeapRun(bench.bolometer, bench.workload("heap_lifetimes", SECONDS, STEP_NS[mode]), options=options,
                  probes_stay=mode != "windows")
    if not run.has_links:
        return None
    run.expect_probed()
    counters = dict(text.split("=", 1) for text in run.profile.comments if "=" in text)
    lost = {name: counters[name] for name in LOST if int(counters.get(name, 0)) and mode != "windows"}
    if lost:
        raise Undecided(f"{lost}")
    expect(counters["heap_method"] == mode, f"the method is {counters['heap_method']}")
    expect(tuple(kind for kind, _ in run.profile.types)[:6] == TYPES + FREED_TYPES, f"{run.profile.types}")
    return lifetimes(bench, run.file), run.truth["places"]


def moved(true, seen):
    """How many of the blocks are in another class."""
    return sum(abs(a - b) for a, b in zip(true, seen)) / 2


def exact(bench):
    run = recorded(bench, "exact", "--exact")
    if not run:
        return NO_LINKS
    sites, places = run
    told = []
    for place, true in places.items():
        site = sites[place]
        expect((site["allocated_objects"], site["allocated_bytes"], site["held_objects"])
               == (true["objects"], true["bytes"], true["held"]), f"{place}: {site}, {true}")
        expect(sum(site["freed_objects"]) == sum(true["freed"]), f"{place}: {site['freed_objects']}, {true}")
        off = moved(true["freed"], site["freed_objects"])
        expect(off <= MOVED * true["objects"] + 3, f"{place}: {site['freed_objects']} seen, {true['freed']} true")
        size = true["bytes"] // true["objects"]
        expect(site["freed_bytes"] == [size * n for n in site["freed_objects"]], f"{place}: bytes {site}")
        expect(site["unseen"] == 0, f"{place}: all is seen")
        told.append(f"{place} {off:.0f} of {true['objects']}")
    return "in another class: " + ", ".join(told)


def bound(value, unit):
    """Of one class of one place, as docs/memory.md has it, but exceeded practically never."""
    return 2.6 * (1.92 * unit + 1.96 * math.sqrt(value * unit + 0.96 * unit * unit))


def sampled(bench):
    run = recorded(bench, "sampled", "--heap-budget", "100%", "--heap-interval", str(INTERVAL))
    if not run:
        return NO_LINKS
    sites, places = run
    worst = 0
    for place, true in places.items():
        site, unit = sites[place], INTERVAL * true["objects"] / true["bytes"]
        for number, (a, b) in enumerate(zip(true["freed"], site["freed_objects"])):
            allowed = bound(a, unit) + MOVED * true["objects"]
            worst = max(worst, abs(a - b) / allowed)
            expect(abs(a - b) <= allowed, f"{place}, class {number}: {b} seen, {a} true, {allowed:.0f} allowed")
    return f"at most {worst:.0%} of what is allowed"


def windows(bench):
    """A program that waits for a CPU in its windows frees late what it would have freed in them."""
    watch = Stopwatch()
    run = recorded(bench, "windows")
    if not run:
        return NO_LINKS
    sites, places = run
    if "in_churn" not in sites or sites["in_churn"]["watched_samples"] < WATCHED:
        raise Undecided("the host let too little be seen")
    churn, true = sites["in_churn"], places["in_churn"]
    share = (churn["freed_objects"][0] + churn["freed_objects"][1]) / churn["allocated_objects"]
    right = (true["freed"][0] + true["freed"][1]) / true["objects"]
    off = 4 * math.sqrt(0.25 / churn["watched_samples"]) + 0.05
    watch.expect(abs(share - right) <= off,
                 f"churn: {share:.1%} freed at once, {right:.1%} true: {churn['freed_objects']}")
    for place in ("in_leak", "in_cache", "in_ring", "in_grown"):
        early = sum(sites[place]["freed_objects"][:CLASS.get(place, 13) - 1]) if place in sites else 0
        expect(early <= MOVED * places[place]["objects"], f"{place}: {sites.get(place)} seen, {places[place]} true")
    order = [place for place in sites if place in PLACES]
    watch.expect(order[0] == "in_churn", f"what is kept for a moment comes first: {order}")
    return f"churn {share:.1%} freed at once, {right:.1%} true, {churn['watched_samples']} samples"


def followed(bench):
    """The two need no CPU of their own."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = {run.__name__: pool.submit(run, bench) for run in (exact, sampled)}
        told = {name: run.result() for name, run in runs.items()}
    if NO_LINKS in told.values():
        return NO_LINKS
    return "; ".join(f"{name}: {text}" for name, text in told.items())


main([windows, followed], keeps_awake=False)
