# SPDX-License-Identifier: Apache-2.0
"""
What three tools say of the same program's allocations, brought to one form: bytes and objects of each site. A site is the
innermost calls outside the allocator, each as (file, offset of the call in it): names and inlining do not matter then.

heaptrack   its raw text file (libheaptrack's format 3): `m` modules, `t` frames, `+` allocations, `c` the time in ms
jemalloc    its heap_v2 text dump with prof_accum, made right per site as jeprof does (PROFILING_INTERNALS.md)
Bolometer   the pprof file
"""

import bisect
import collections
import math
import os
import pathlib
import struct

DEPTH = 4 # calls that make a site
# Between the program and whoever counts: no tool's frames in these files count.
ALLOCATORS = ("libc.so", "libjemalloc.so", "libheaptrack_preload.so", "libstdc++.so")
LOADED_SEGMENT = 1


class Sites:
    """Site -> [objects, bytes]."""

    def __init__(self):
        self.values = collections.defaultdict(lambda: [0, 0])

    def add(self, calls, objects, bytes_):
        outside = [call for call in calls if not call[0].startswith(ALLOCATORS)]
        value = self.values[tuple(outside[:DEPTH])]
        value[0] += objects
        value[1] += bytes_

    def total(self):
        return [sum(value[at] for value in self.values.values()) for at in (0, 1)]

    def share(self, site):
        return self.values[site][1] / max(self.total()[1], 1) if site in self.values else 0.0

    def top(self, count):
        return sorted(self.values, key=lambda site: -self.values[site][1])[:count]


def of_profile(profile):
    sites = Sites()
    for sample in profile.samples:
        calls = [(pathlib.Path(frame.mapping.file).name, frame.address - frame.mapping.start + frame.mapping.offset)
                 for frame in sample.frames if frame.mapping and not frame.inlined]
        sites.add(calls, sample.values["alloc_objects"], sample.values["alloc_space"])
    return sites


# ---- jemalloc ------------------------------------------------------------------------------------


class Maps:
    """Address -> (file, offset), of lines of /proc/PID/maps."""

    def __init__(self, lines):
        self.areas = []
        for line in lines:
            fields = line.split()
            if len(fields) > 5 and "x" in fields[1]:
                start, end = (int(part, 16) for part in fields[0].split("-"))
                self.areas.append((start, end, int(fields[2], 16), pathlib.Path(fields[5]).name))
        self.areas.sort()

    def call(self, address):
        at = bisect.bisect_right(self.areas, (address, 1 << 64)) - 1
        if at < 0 or address >= self.areas[at][1]:
            return "?", address
        start, _, offset, name = self.areas[at]
        return name, address - start + offset


def of_jemalloc(path):
    sites, stack = Sites(), None
    text = pathlib.Path(path).read_text(encoding="ascii", errors="replace")
    head, _, mapped = text.partition("MAPPED_LIBRARIES:")
    lines, maps = head.splitlines(), Maps(mapped.splitlines())
    interval = int(lines[0].split("/")[1])
    for line in lines[1:]:
        fields = line.split()
        if line.startswith("@"):
            stack = [maps.call(int(field, 16) - 1) for field in fields[1:]]
        elif stack and fields and fields[0] == "t*:":
            objects, bytes_ = int(fields[3].strip("[:")), int(fields[4].strip("]"))
            scale = 1 / -math.expm1(-bytes_ / objects / interval) if objects else 0
            sites.add(stack, objects * scale, bytes_ * scale)
            stack = None
    return sites


# ---- heaptrack -----------------------------------------------------------------------------------


def segments(path):
    """(virtual address, size, file offset) of what is loaded of a 64-bit little-endian ELF file."""
    try:
        data = pathlib.Path(path).read_bytes()
    except OSError:
        return
    table, = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    for at in range(table, table + size * count, size):
        kind, _, offset, address, _, _, memory = struct.unpack_from("<IIQQQQQ", data, at)
        if kind == LOADED_SEGMENT:
            yield address, memory, offset


class Modules:
    """As Maps, of `m` lines."""

    def __init__(self):
        self.areas = []

    def clear(self):
        self.areas = []

    def add(self, path, base):
        real = os.path.realpath(path)
        self.areas += [(base + address, base + address + size, offset, pathlib.Path(real).name)
                       for address, size, offset in segments(real)]
        self.areas.sort()

    call = Maps.call


def of_heaptrack(path, from_ms):
    """What was allocated since so many ms after its start."""
    sites, frames, counted, modules, now, executable = Sites(), [None], collections.Counter(), Modules(), 0, ""
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            kind = line[0]
            if kind == "+":
                if now >= from_ms:
                    _, size, frame, _ = line.split()
                    counted[int(size, 16), int(frame, 16)] += 1
            elif kind == "t":
                _, address, parent = line.split()
                frames.append((int(address, 16), int(parent, 16)))
            elif kind == "c":
                now = int(line[2:], 16)
            elif kind == "x":
                executable = line.split(maxsplit=2)[2].strip()
            elif kind == "m":
                fields = line.split()
                if fields[2] == "-":
                    modules.clear()
                else:
                    modules.add(executable if fields[2] == "x" else fields[2], int(fields[3], 16))
    stacks = {}
    for (size, frame), count in counted.items():
        if frame not in stacks:
            stacks[frame] = stack_of(frames, frame, modules)
        sites.add(stacks[frame], count, count * size)
    return sites


def stack_of(frames, at, modules):
    calls = []
    while at:
        address, at = frames[at]
        calls.append(modules.call(address)) # one less than where it returns to, already
    return calls
