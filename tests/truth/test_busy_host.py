#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A compiler under make: hundreds of short processes, cold code, large binaries nobody prepared. Nearly all
stacks reach the entry of the thread, the others say why.

    test_busy_host.py BOLOMETER WORKLOADS
"""

import pathlib
import shutil
import tempfile

from recording import expect, main, mark

COMPLETE = 0.98
FILES = 32
SOURCE = """#include <algorithm>
#include <map>
#include <string>
#include <vector>
std::map<std::string, std::vector<int>> table_{0};
int look_up_{0}(const std::string &key)
{{
	auto &numbers = table_{0}[key];
	std::sort(numbers.begin(), numbers.end());
	return numbers.empty() ? {0} : numbers.front();
}}
"""
MAKEFILE = """OBJECTS := $(patsubst %.cc,%.o,$(wildcard *.cc))
all: $(OBJECTS)
%.o: %.cc
	g++ -O1 -c -o $@ $<
"""


def compiler_under_make(bench):
    if not shutil.which("g++") or not shutil.which("make"):
        return "SKIPPED: no g++ or no make"
    with tempfile.TemporaryDirectory() as directory:
        for number in range(FILES):
            pathlib.Path(directory, f"f{number}.cc").write_text(SOURCE.format(number),
                                                                encoding="ascii")
        pathlib.Path(directory, "Makefile").write_text(MAKEFILE, encoding="ascii")
        recording = bench.record(command=["make", "-s", "-j2", "-C", directory], frequency=999,
                                 timeout=120)
    ends = {}
    for sample in recording.profile.samples:
        ends[mark(sample)] = ends.get(mark(sample), 0) + sample.count
    total = recording.profile.total("samples")
    whole = ends.pop("", 0) + ends.pop("[exiting]", 0) + ends.pop("[starting a program]", 0)
    expect(total >= 2000, f"only {total} samples")
    recording.watch.expect(whole >= COMPLETE * total,
                           f"{whole / total:.2%} of {total} complete, the others: {ends}")
    names = {sample.labels.get("process.executable.name") for sample in recording.profile.samples}
    expect("cc1plus" in names and "as" in " ".join(filter(None, names)), f"the programs are {names}")
    return f"{whole / total:.2%} of {total} complete {ends}"


if __name__ == "__main__":
    main([compiler_under_make])
