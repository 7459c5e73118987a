#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of the house that a machine can check: a room includes only from itself and the rooms
above it, every source names its licence first, functions keep their length.

Usage: check-includes.py [ROOT]"""
import re
import sys
from pathlib import Path

ROOMS = ["base", "binary", "process", "collect", "profile", "format", "export", "service", "command"]
MAX_FUNCTION_LINES = 100
SOURCES = {".c", ".h", ".py", ".sh", ".rs", ".go", ".cc", ".cpp"}
BPF_LICENCE = "GPL-2.0-only OR BSD-2-Clause"


def room_problems(path, lines):
    room = path.parts[1] if len(path.parts) > 2 else "command"
    if room not in ROOMS:
        yield 1, f"'{room}' is not a room"
        return
    allowed = ROOMS[: ROOMS.index(room) + 1] + ["bpf"]
    for number, line in enumerate(lines, 1):
        include = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not include:
            continue
        first, _, rest = include[1].partition("/")
        if not rest:
            # generated headers (skeletons, protobuf) live in their build directory's root
            if not re.search(r"\.(skel|pb-c)\.h$", include[1]):
                yield number, f'"{include[1]}" does not name its room'
        elif first in ROOMS + ["bpf"] and first not in allowed:
            yield number, f"room {room} includes from {first}, which comes after it"


def licence_problems(path, lines):
    head = "\n".join(lines[:2])
    wanted = BPF_LICENCE if path.parts[0] == "bpf" else "Apache-2.0"
    if f"SPDX-License-Identifier: {wanted}" not in head:
        yield 1, f"the first lines lack 'SPDX-License-Identifier: {wanted}'"


def length_problems(path, lines):
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > MAX_FUNCTION_LINES:
                yield start, f"function of {number - start - 1} lines, at most {MAX_FUNCTION_LINES}"
            start = None


def problems(root, path):
    lines = (root / path).read_text(errors="replace").split("\n")
    yield from licence_problems(path, lines)
    if path.suffix in (".c", ".h"):
        yield from length_problems(path, lines)
    if path.parts[0] == "daemon" and path.suffix in (".c", ".h"):
        yield from room_problems(path, lines)


def sources(root):
    for top in ("daemon", "bpf", "tests", "scripts"):
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and path.suffix in SOURCES and "corpus" not in path.parts:
                yield path.relative_to(root)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    count = found = 0
    for path in sources(root):
        count += 1
        for line, what in problems(root, path):
            print(f"{path}:{line}: {what}")
            found += 1
    print(f"{count} sources, {found} problems")
    return 1 if found or not count else 0


if __name__ == "__main__":
    sys.exit(main())
