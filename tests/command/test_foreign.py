#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files written by Go's runtime, which we did not write: our sums are those of Go's own pprof."""
import json
import os
import re
import subprocess
import sys
import tempfile

from harness import SKIPPED, Failure, expect

PROGRAM = """
package main

import (
	"os"
	"runtime/pprof"
	"sort"
	"time"
)

var keep [][]byte

func fill(values []int, seed int) {
	for i := range values {
		seed = seed*1103515245 + 12345
		values[i] = seed & 0xffff
	}
	keep = append(keep, make([]byte, 100000))
}

func recurse(depth int, values []int) {
	if depth > 0 {
		recurse(depth-1, values)
		return
	}
	sort.Ints(values)
}

func main() {
	cpu, _ := os.Create(os.Args[1])
	pprof.StartCPUProfile(cpu)
	values := make([]int, 50000)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		fill(values, len(keep))
		recurse(20, values)
	}
	pprof.StopCPUProfile()
	cpu.Close()
	heap, _ := os.Create(os.Args[2])
	pprof.WriteHeapProfile(heap)
	heap.Close()
}
"""

ROW = re.compile(r"^\s*(\S+)\s+\S+%\s+\S+%\s+(\S+)\s+\S+%\s+(.*)$")


def run(*command, directory):
    environment = dict(os.environ, GOFLAGS="-mod=mod", GOTOOLCHAIN="local", PPROF_TMPDIR=directory)
    if "HOME" not in environment:
        environment.setdefault("GOCACHE", directory + "/cache")
    result = subprocess.run(command, cwd=directory, env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=170, check=False)
    expect(result.returncode == 0, f"{' '.join(command)}", result)
    return result.stdout.decode()


def go_sums(go, path, sample_type, unit, directory):
    """{function: (flat, cumulative)} of `go tool pprof -top`."""
    text = run(go, "tool", "pprof", "-top", f"-unit={unit}", "-nodefraction=0", "-nodecount=100000",
               "-edgefraction=0", f"-sample_index={sample_type}", path, directory=directory)
    sums = {}
    for row in filter(None, map(ROW.match, text.splitlines())):
        flat, cumulative = (int(re.sub(r"[A-Za-z]+$", "", row[index])) for index in (1, 2))
        name = row[3].replace(" (inline)", "").replace(" (partial-inline)", "")
        sums[name] = (flat, cumulative)
    return sums


def compare(binary, go, path, sample_type, unit, directory):
    theirs = go_sums(go, path, sample_type, unit, directory)
    report = json.loads(run(binary, "report", "--json", "-n", "0", "--type", sample_type, path,
                            directory=directory))
    ours = {entry["name"]: (entry["flat"], entry["cumulative"]) for entry in report["functions"]
            if entry["cumulative"]}
    theirs = {name: sums for name, sums in theirs.items() if sums[1]}
    expect(len(theirs) > 3, f"{sample_type}: Go's pprof printed {len(theirs)} functions")
    different = {name: (ours.get(name), theirs.get(name)) for name in ours.keys() | theirs.keys()
                 if ours.get(name) != theirs.get(name)}
    expect(not different, f"{sample_type}: (ours, Go's) of {different}")
    print(f"ok   {sample_type}: {len(ours)} functions with the same sums")


def main(binary, go):
    with tempfile.TemporaryDirectory() as directory:
        with open(directory + "/program.go", "w", encoding="utf-8") as file:
            file.write(PROGRAM)
        run(go, "build", "-o", "program", "program.go", directory=directory)
        run("./program", "cpu.pb.gz", "heap.pb.gz", directory=directory)
        compare(binary, go, "cpu.pb.gz", "cpu", "ns", directory)
        compare(binary, go, "heap.pb.gz", "alloc_space", "B", directory)
        run(binary, "merge", "-o", "two.pb.gz", "cpu.pb.gz", "cpu.pb.gz", directory=directory)
        one = go_sums(go, "cpu.pb.gz", "cpu", "ns", directory)
        two = go_sums(go, "two.pb.gz", "cpu", "ns", directory)
        expect(two == {name: (2 * flat, 2 * cumulative) for name, (flat, cumulative) in one.items()},
               "merged with itself, Go reads twice the sums")
        print("ok   merge is read by Go's pprof")


if __name__ == "__main__":
    finder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/find-go.sh")
    found = subprocess.run([finder], stdout=subprocess.PIPE, check=False)
    if found.returncode != 0:
        print("there is no Go toolchain here: files of Go's runtime are not tried")
        sys.exit(SKIPPED)
    try:
        main(os.path.abspath(sys.argv[1]), found.stdout.decode().strip())
    except Failure as failure:
        print(f"FAIL {failure}")
        sys.exit(1)
