# SPDX-License-Identifier: Apache-2.0
"""
Records the workload `heap`, which waits for the probes and says what it allocated, and compares the two.
"""

import json
import math
import os
import pathlib
import signal
import subprocess
import tempfile
import time

from profile_reader import Profile
from recording import Failure, Program, Undecided, expect

TYPES = ("alloc_objects", "alloc_space", "inuse_objects", "inuse_space")
FREED_TYPES = ("freed_objects", "freed_space")
ESTIMATED_TYPES = ("inuse_estimated_space", "inuse_estimated_least_space", "inuse_watched_samples",
                   "inuse_outlived_samples")
LOST = ("heap_lost", "heap_sites_full", "heap_live_full", "heap_missed_frees")
TIMEOUT = 120
LOOKS_SECONDS = 4.5 # the recorder looks for ended processes every two
NO_LINKS = "SKIPPED: this kernel has no links of many uprobes"


def lacks_links(errors):
    return "cannot be probed" in errors or "do not load" in errors or "heap profiles need" in errors


def expect_ended(recorder, errors):
    """It has ended as it was asked to. One that has not begun yet takes no signals: that which asks it ends it."""
    if recorder.returncode == -signal.SIGINT:
        raise Undecided("the recorder had not yet begun")
    expect(recorder.returncode == 0, f"bolometer record: {recorder.returncode}: {errors}")


def changed_code(pid, file="libc"):
    """How many bytes of that file's code in the process are not those of the file."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        lines = [line.split() for line in maps]
    code = [(*(int(part, 16) for part in line[0].split("-")), int(line[2], 16), line[5])
            for line in lines if line[1] == "r-xp" and len(line) > 5 and file in line[5]]
    if not code:
        return 0  # it has only begun
    start, end, offset, path = code[0]
    with open(f"/proc/{pid}/mem", "rb") as memory, open(path, "rb") as on_disk:
        memory.seek(start)
        on_disk.seek(offset)
        return sum(a != b for a, b in zip(memory.read(end - start), on_disk.read(end - start)))


def expect_no_probes(pid, file="libc"):
    """The kernel takes probes away a moment after their descriptors are closed."""
    until = time.monotonic() + TIMEOUT
    while (left := changed_code(pid, file)) and time.monotonic() < until:
        time.sleep(0.05)
    expect(left == 0, f"{left} probes are left")


def wrong_places(profile, places):
    """The places of which a profile says something else than the program did."""
    wrong = []
    for place, values in places.items():
        seen = [sum(sample.values[kind] for sample in profile.samples if place in sample.names) for kind in TYPES]
        if seen != values:
            wrong.append(f"{place}: {dict(zip(TYPES, seen))} seen, {values} true")
    return wrong


def window_bounds(counters, kind):
    """Between what a profile through windows says that a sum is, with 95 %."""
    name = {"alloc_objects": "windows_objects_{}_95", "alloc_space": "windows_space_{}_95_bytes"}[kind]
    return counters[name.format("low")], counters[name.format("high")]


def place_bound(profile, counters, kind, seen, size):
    """Between what the value of a place of such a profile is: see docs/memory.md. `size`: its objects' mean."""
    low, high = window_bounds(counters, kind)
    unit = profile.total("alloc_space") / max(counters["heap_samples"], 1)
    if kind == "alloc_objects":
        unit /= max(size, 16)
    off = 1.92 * unit + 1.96 * math.sqrt(seen * unit + 0.96 * unit * unit)
    total = max(profile.total(kind), 1)
    return max(seen - off, 0) * low / total, (seen + off) * high / total


class HeapRun:
    """What was recorded of a command that says its truth; it has ended."""

    def __init__(self, bolometer, command, environment=None, end=signal.SIGINT, file="libc", options=("--exact",),
                 ends_first=False, probes_stay=True):
        with tempfile.TemporaryDirectory() as directory, \
                Program(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                        env={**os.environ, **(environment or {})}) as workload:
            path = pathlib.Path(directory) / "x.pb.gz"
            with Program(
                    [bolometer, "record", "-q", "-e", "heap", *options, "-p", str(workload.pid),
                     "-d", f"{TIMEOUT}s", "-o", str(path)],
                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as recorder:
                try:
                    self.truth = json.loads(workload.stdout.readline())
                    expect(changed_code(workload.pid, file) > 0 or not self.truth["probed"] or not probes_stay,
                           "probes change the code")
                    if ends_first:
                        workload.stdin.close()
                        workload.wait(timeout=TIMEOUT)
                        time.sleep(LOOKS_SECONDS)
                    recorder.send_signal(end)
                    _, self.errors = recorder.communicate(timeout=TIMEOUT)
                    if not ends_first:
                        expect_no_probes(workload.pid, file)
                    workload.stdin.close()
                    self.status = workload.wait(timeout=TIMEOUT)
                finally:
                    recorder.kill()
                    workload.kill()
            self.has_links = not lacks_links(self.errors)
            has_file = end == signal.SIGINT and self.has_links
            if has_file:
                expect_ended(recorder, self.errors)
            self.profile = Profile.read(path) if has_file else None
            self.file = path.read_bytes() if has_file else None

    def expect_probed(self):
        expect(self.status == 0, f"the program ended with {self.status}")
        if not self.truth["probed"]:
            raise Undecided("the probes came too late for the program")

    def expect_exact(self):
        """What was seen is the truth, to the byte. Returns how much that was."""
        self.expect_probed()
        profile, places = self.profile, self.truth["places"]
        counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
        for name in LOST:
            if int(counters.get(name, 0)):
                raise Undecided(f"{name}: {counters[name]}")
        expect(tuple(kind for kind, _ in profile.types) == TYPES + FREED_TYPES, f"sample types {profile.types}")
        wrong = wrong_places(profile, places)
        if wrong:
            raise Failure("; ".join(wrong))
        total = profile.total("alloc_space")
        expect(total == int(counters["heap_bytes"]),
               f"{total} bytes in the file, {counters['heap_bytes']} counted")
        return f"{sum(v[0] for v in places.values())} allocations at {len(places)} places"
