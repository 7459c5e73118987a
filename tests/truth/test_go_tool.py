#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What others make of our files: `go tool pprof` reads them and finds the same functions and sums, and
addr2line gives the same functions and lines for every sampled address of a program with DWARF.

    test_go_tool.py BOLOMETER WORKLOADS
"""

import os
import re
import shutil
import subprocess
import tempfile

from recording import Recording, cpu_ns, expect, main


def record(bench, workload, directory):
    path = os.path.join(directory, "x.pb.gz")
    result = subprocess.run([bench.bolometer, "record", "-q", "-F", "2000", "-o", path, "--",
                             *bench.workload(workload, 1)], capture_output=True, text=True,
                            check=True, timeout=60)
    return path, Recording(path, result.stdout, result.stderr, 0)


def pprof(option, path):
    result = subprocess.run(["go", "tool", "pprof", "-symbolize=none", "-unit=ms", option, path],
                            capture_output=True, text=True, check=False, timeout=60,
                            env={**os.environ, "GOTOOLCHAIN": "local"})
    expect(result.returncode == 0, f"go tool pprof {option}: {result.stderr[-400:]}")
    return result.stdout


def go_tool_pprof(bench):
    if not shutil.which("go"):
        return "SKIPPED: no Go toolchain"
    with tempfile.TemporaryDirectory() as directory:
        path, recording = record(bench, "split", directory)
        top, raw, tree = (pprof(option, path) for option in ("-top", "-raw", "-tree"))
    samples = recording.profile.samples
    total_ms = float(re.search(r"of ([\d.]+)ms total", top).group(1))
    expect(abs(total_ms - cpu_ns(samples) / 1e6) <= 1, f"{total_ms} ms in -top")
    for function in recording.truth["functions"]:
        line = re.search(r"^ *([\d.]+)m?s? .* ([\d.]+)m?s? +[\d.]+% +" + function + "$", top, re.M)
        expect(line, f"{function} is in -top:\n{top[:600]}")
        seen = cpu_ns(sample for sample in samples if function in sample.names) / 1e6
        expect(abs(float(line.group(2)) - seen) <= 1, f"{line.group(0)}: {seen} ms in the file")
        expect(function in tree, f"{function} is in -tree")
    rows = raw.split("Locations")[0].split("Samples:")[1].splitlines()
    counts = [int(match.group(1)) for match in (re.match(r" +(\d+) +\d+: ", row) for row in rows)
              if match]
    expect(sum(counts) == recording["samples"], f"{sum(counts)} of {recording['samples']} in -raw")
    return f"{total_ms:.0f} ms, {len(counts)} samples in -raw"


def addr2line(path, addresses):
    """[(function, line), ...] of each address, innermost first."""
    output = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", path,
                             *(hex(address) for address in addresses)], capture_output=True,
                            text=True, check=True, timeout=60).stdout.splitlines()
    result, at = {}, 0
    while at < len(output):
        if output[at].startswith("0x"):
            frames = result[int(output[at], 16)] = []
            at += 1
            continue
        line = output[at + 1].rsplit(":", 1)[1].split(" ")[0]
        frames.append((output[at], int(line) if line.isdigit() else 0))
        at += 2
    return result


def lines_of(bench, workload):
    with tempfile.TemporaryDirectory() as directory:
        _, recording = record(bench, workload, directory)
    ours = {}
    for sample in recording.profile.samples:
        for frame in sample.frames:
            if frame.mapping and frame.mapping.file == str(bench.workloads / workload):
                frames = ours.setdefault(frame.address, [])
                if (frame.system_name or frame.function, frame.line) not in frames:
                    frames.append((frame.system_name or frame.function, frame.line))
    expect(len(ours) >= 10, f"only {len(ours)} addresses of {workload} were sampled")
    theirs = addr2line(str(bench.workloads / workload), ours)
    # line 0: what only the symbol table knows, such as _start and the PLT
    different = {hex(address): (ours[address], theirs[address]) for address in ours
                 if ours[address] != theirs[address] and theirs[address][0][1] != 0}
    expect(not different, f"{len(different)} of {len(ours)} addresses differ (ours, addr2line): "
           f"{dict(list(different.items())[:4])}")
    return f"{len(ours)} addresses of {workload}"


def lines_agree_with_addr2line(bench):
    if not shutil.which("addr2line"):
        return "SKIPPED: no addr2line"
    return ", ".join(lines_of(bench, workload) for workload in ("split", "callers", "signals"))


if __name__ == "__main__":
    main([go_tool_pprof, lines_agree_with_addr2line])
