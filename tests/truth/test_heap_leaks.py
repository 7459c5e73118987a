#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The leak view of programs that are seen in windows: two places that leak, among two that allocate twenty times as often
and free what they take, come first, for certain, with no more than they keep; where nothing leaks, nothing is certain.

    test_heap_leaks.py BOLOMETER WORKLOADS
"""

import concurrent.futures
import json
import subprocess
import tempfile

from heap_recording import NO_LINKS, lacks_links
from recording import Stopwatch, Undecided, expect, main

SECONDS = 12.5
WORK_NS = 3000
LEAKS = ["leak_large", "leak_small"]
WATCHED = 6 # samples of a place that leaks, at the least: of 6 all, says that it is most
MORE = 1.1 # one interval of forty may miss a little


def recorded(bench, leaks):
    """The sites of the leak view, and the program's truth."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/x.pb.gz"
        run = subprocess.run([bench.bolometer, "record", "-q", "-e", "heap", "-o", path, "--",
                              *bench.workload("heap_leaks", SECONDS, WORK_NS, leaks)],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
        if lacks_links(run.stderr):
            return None
        expect(run.returncode == 0, f"bolometer record: {run.returncode}: {run.stderr}")
        report = subprocess.run([bench.bolometer, "report", "--leaks", "--json", path], capture_output=True, text=True,
                                check=True, timeout=60)
    sites = {}
    for site in json.loads(report.stdout)["sites"]:
        place = next((name for name in ("churn", "ring", *LEAKS) if name in site["stack"]), None)
        if place:
            sites.setdefault(place, site)
    return sites, json.loads(run.stdout.splitlines()[-1])["places"]


def expect_leaks(sites, places, watch):
    few = {name: sites[name]["watched_samples"] if name in sites else 0 for name in LEAKS}
    if min(few.values()) < WATCHED:
        raise Undecided(f"the host let too little be seen: {few} samples were watched")
    told = {name: f"{site['outlived_samples']} of {site['watched_samples']}, {site['least_bytes']} to "
                  f"{site['estimated_bytes']} bytes" for name, site in sites.items()}
    watch.expect(sorted(list(sites)[:2]) == LEAKS, f"what leaks comes first: {told}")
    for name in LEAKS:
        watch.expect(sites[name]["is_certain"], f"{name} leaks for certain: {told}")
        watch.expect(sites[name]["survival_low"] > 0.5, f"{name} keeps what it takes: {told}")
        watch.expect(0 < sites[name]["least_bytes"] <= MORE * places[name][2],
                     f"{name} keeps {places[name][2]} bytes: {told}")
    return "; ".join(f"{name}: {text} ({places[name][2]} true)" for name, text in told.items())


def leaks(bench):
    watch = Stopwatch()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(recorded, bench, leaks) for leaks in (1, 0)]
        with_leaks, without = (run.result() for run in runs)
    if not with_leaks or not without:
        return NO_LINKS
    certain = {name: site for name, site in without[0].items() if site["is_certain"]}
    watch.expect(not certain, f"nothing leaks, yet: {certain}")
    return expect_leaks(*with_leaks, watch)


main([leaks], keeps_awake=False)
