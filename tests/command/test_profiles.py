#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that read pprof files, against files with known sums: report, flame, diff, convert and
merge; and what they say about a file that is none."""
import gzip
import json
import os
import subprocess
import sys
import tempfile

from harness import expect, main
from pprof_writer import encode, write

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "truth"))
import profile_reader  # noqa: E402

STACKS = {
    ("main", "walk", "walk", "leaf"): (3, 300),
    ("main", "walk"): (5, 100),
    ("main", "idle"): (2, 600),
}


def in_directory(test):
    def run(bolometer):
        with tempfile.TemporaryDirectory() as directory:
            write(directory + "/a.pb.gz", STACKS)
            test(bolometer, directory)
    run.__name__ = test.__name__
    return run


def functions(result):
    return {entry["name"]: entry for entry in json.loads(result.stdout)["functions"]}


@in_directory
def report_counts(bolometer, directory):
    result = bolometer.run("report", "--json", "a.pb.gz", cwd=directory)
    expect(result.returncode == 0 and not result.stderr, "succeeds", result)
    document = json.loads(result.stdout)
    expect((document["sample_type"], document["unit"], document["total"])
           == ("cpu", "nanoseconds", 1000), "cpu is the default", result)
    sums = {name: (entry["flat"], entry["cumulative"]) for name, entry in functions(result).items()}
    expect(sums == {"main": (0, 1000), "walk": (100, 400), "leaf": (300, 300), "idle": (600, 600)},
           f"flat and cumulative, recursion once: {sums}")
    write(directory + "/none.pb.gz", {})
    result = bolometer.run("report", "--json", "none.pb.gz", cwd=directory)
    expect(json.loads(result.stdout)["file_total"] == 0, "a file without samples has a total, too", result)
    result = bolometer.run("report", "--json", "--type", "samples", "a.pb.gz", cwd=directory)
    expect(functions(result)["walk"]["flat"] == 5, "another sample type", result)
    for options, order in (([], ["idle", "leaf", "walk", "main"]),
                           (["--cumulative"], ["main", "idle", "walk", "leaf"])):
        lines = bolometer.run("report", *options, "a.pb.gz", cwd=directory).stdout.decode()
        expect([line.split()[-1] for line in lines.splitlines()[2:]] == order, f"{order}: {lines}")
    write(directory + "/callers.pb.gz", {("zero", "early", "work"): (1, 10), ("zero", "late"): (1, 5)})
    lines = bolometer.run("report", "callers.pb.gz", cwd=directory).stdout.decode()
    expect([line.split()[-1] for line in lines.splitlines()[2:]] == ["work", "late", "zero", "early"],
           f"what costs nothing itself, by what it calls: {lines}")


HEAP_TYPES = (("alloc_objects", "count"), ("alloc_space", "bytes"),
              ("inuse_objects", "count"), ("inuse_space", "bytes"))
ESTIMATED_TYPES = (("inuse_estimated_space", "bytes"), ("inuse_estimated_least_space", "bytes"),
                   ("inuse_watched_samples", "count"), ("inuse_outlived_samples", "count"))
HEAP = {
    ("main", "leak", "malloc"): (2000, 200000, 1990, 199000),
    ("main", "cache", "malloc"): (2, 2000, 2, 2000),
    ("main", "churn", "malloc"): (50000, 5000000, 10, 1000),
    ("main", "gone", "malloc"): (5, 5, 0, 0),
}


def wilson_low(kept, of, z=1.96):
    """The lower end of Wilson's 95 % interval (E. B. Wilson, 1927)."""
    p = kept / of
    spread = z * (p * (1 - p) / of + z * z / (4 * of * of)) ** 0.5
    return (p + z * z / (2 * of) - spread) / (1 + z * z / of)


@in_directory
def report_leaks(bolometer, directory):
    write(directory + "/heap.pb.gz", HEAP, types=HEAP_TYPES)
    result = bolometer.run("report", "--leaks", "--json", "heap.pb.gz", cwd=directory)
    expect(result.returncode == 0 and not result.stderr, "succeeds", result)
    seen = json.loads(result.stdout)
    sites = [(s["stack"][1], s["kept_bytes"], s["kept_objects"], s["allocated_objects"])
             for s in seen["sites"]]
    expect(sites == [("leak", 199000, 1990, 2000), ("cache", 2000, 2, 2), ("churn", 1000, 10, 50000)],
           f"what keeps most first, what keeps nothing not: {sites}")
    expect((seen["kept_bytes"], seen["kept_objects"]) == (202000, 2002), "sums", result)
    for site in seen["sites"]:
        low = wilson_low(site["kept_objects"], site["allocated_objects"])
        expect(abs(site["survival_low"] - low) < 1e-4, f"the interval of {site}: {low}")
    write(directory + "/kept.pb.gz", {("main", "malloc"): (1, 1, 0, 0)}, types=HEAP_TYPES)
    text = bolometer.run("report", "--leaks", "kept.pb.gz", cwd=directory).stdout.decode()
    expect("kept: 0 B" in text and "nothing was in use" in text, f"an empty table is explained: {text}")
    text = bolometer.run("report", "--leaks", "-n", "1", "heap.pb.gz", cwd=directory).stdout.decode()
    expect("leak" in text and "cache" not in text and "2 more places" in text, f"rows: {text}")
    expect("estimated" not in text, f"nothing is estimated: {text}")
    # Through windows: of what is left of `slow` nothing says that it is there, of `grows` the process's memory does.
    write(directory + "/windows.pb.gz",
          {("main", "slow", "malloc"): (9000, 9 << 20, 0, 0, 3 << 20, 0, 50, 50),
           ("main", "turns", "malloc"): (90000, 90 << 20, 0, 0, 2 << 20, 1 << 20, 500, 20),
           ("main", "grows", "malloc"): (900, 2 << 20, 0, 0, 2 << 20, 1 << 20, 20, 19)},
          types=(*HEAP_TYPES, *ESTIMATED_TYPES))
    text = bolometer.run("report", "--leaks", "windows.pb.gz", cwd=directory).stdout.decode()
    expect("estimated: 2.0 MiB to 7.0 MiB more" in text and "19 of 20 samples, certain" in text
           and text.count("certain") == 1, f"what windows saw is not nothing: {text}")
    seen = json.loads(bolometer.run("report", "--leaks", "--json", "windows.pb.gz", cwd=directory).stdout)
    sites = [(s["stack"][1], s["estimated_bytes"], s["least_bytes"], s["watched_samples"], s["outlived_samples"],
              s["is_certain"]) for s in seen["sites"]]
    expect(sites == [("grows", 2 << 20, 1 << 20, 20, 19, True), ("turns", 2 << 20, 1 << 20, 500, 20, False),
                     ("slow", 3 << 20, 0, 50, 50, False)], f"what is certain first: {sites}")
    expect(abs(seen["sites"][0]["survival_low"] - wilson_low(19, 20)) < 1e-4, f"of the watched samples: {seen}")
    # Sampled once in 20,000 bytes: 200,000 bytes were looked at ten times, whatever objects they were.
    write(directory + "/sampled.pb.gz", HEAP, types=HEAP_TYPES, period=("space", "bytes", 20000))
    result = bolometer.run("report", "--leaks", "--json", "sampled.pb.gz", cwd=directory)
    low = json.loads(result.stdout)["sites"][0]["survival_low"]
    expect(abs(low - wilson_low(9.95, 10)) < 1e-4, f"a sampled profile is less sure: {low}", result)
    result = bolometer.run("report", "--leaks", "a.pb.gz", cwd=directory)
    expect(result.returncode == 1 and b"heap profile" in result.stderr, "not a heap profile", result)


@in_directory
def report_lifetimes(bolometer, directory):
    freed = (("freed_objects", "count"), ("freed_space", "bytes"))
    write(directory + "/heap.pb.gz", {
        ("main", "leak", "malloc"): (2000, 200000, 2000, 200000, 0, 0),
        ("main", "mixed", "malloc"): (100, 10000, 20, 2000, 0, 0),
        ("main", "churn", "malloc"): (50000, 5000000, 0, 0, 0, 0),
    }, types=(*HEAP_TYPES, *freed), labelled=[
        (("main", "churn", "malloc"), (0, 0, 0, 0, 50000, 5000000), ("lifetime", 1, "milliseconds")),
        (("main", "mixed", "malloc"), (0, 0, 0, 0, 30, 3000), ("lifetime", 16, "milliseconds")),
        (("main", "mixed", "malloc"), (0, 0, 0, 0, 50, 5000), ("lifetime", 4096, "milliseconds"))])
    result = bolometer.run("report", "--lifetimes", "--json", "heap.pb.gz", cwd=directory)
    expect(result.returncode == 0 and not result.stderr, "succeeds", result)
    seen = json.loads(result.stdout)
    expect((seen["allocated_bytes"], seen["freed_within_second_bytes"]) == (5210000, 5003000), "sums", result)
    sites = [(s["stack"][1], s["median_below_ms"], s["within_millisecond"], s["within_second"], s["within_minute"],
              s["held"], s["unseen"]) for s in seen["sites"]]
    expect(sites == [("churn", 1, 1, 1, 1, 0, 0), ("mixed", 4096, 0, 0.3, 0.8, 0.2, 0),
                     ("leak", None, 0, 0, 0, 1, 0)], f"what is kept for a moment first: {sites}")
    expect(seen["bounds_ms"][:3] == [1, 4, 16] and seen["bounds_ms"][-1] is None
           and [len(site["freed_bytes"]) for site in seen["sites"]] == [len(seen["bounds_ms"])] * 3, "classes", result)
    expect(seen["sites"][1]["freed_bytes"][2] == 3000, "a class of its own", result)
    text = bolometer.run("report", "--lifetimes", "-n", "2", "heap.pb.gz", cwd=directory).stdout.decode()
    expect("<1 ms   100.0%" in text and "<4 s     0.0%    30.0%    80.0%    20.0%" in text and "leak" not in text
           and "1 more place (" in text, f"rows: {text}")
    result = bolometer.run("merge", "-o", "sum.pb.gz", "heap.pb.gz", "heap.pb.gz", cwd=directory)
    expect(result.returncode == 0, "merges", result)
    seen = json.loads(bolometer.run("report", "--lifetimes", "--json", "sum.pb.gz", cwd=directory).stdout)
    expect(seen["sites"][1]["freed_bytes"][2] == 6000 and seen["sites"][1]["within_second"] == 0.3, f"adds up: {seen}")
    write(directory + "/old.pb.gz", HEAP, types=HEAP_TYPES)
    result = bolometer.run("report", "--lifetimes", "old.pb.gz", cwd=directory)
    expect(result.returncode == 1 and b"freed_objects" in result.stderr, "no lifetimes in it", result)


@in_directory
def report_selects(bolometer, directory):
    for options, names in ((["--focus", "lea."], {"main", "walk", "leaf"}),
                           (["--ignore", "^walk$"], {"main", "idle"}),
                           (["--focus", "walk", "--ignore", "leaf"], {"main", "walk"}),
                           (["--focus", "nothing"], set()),
                           (["-n", "1"], {"idle"})):
        result = bolometer.run("report", "--json", *options, "a.pb.gz", cwd=directory)
        expect(set(functions(result)) == names, f"{options}: {names}", result)
    text = bolometer.run("report", "-n", "1", "a.pb.gz", cwd=directory).stdout
    expect(b"3 more functions" in text, f"what is not shown is said: {text}")


@in_directory
def report_tree(bolometer, directory):
    text = bolometer.run("report", "--tree", "a.pb.gz", cwd=directory).stdout.decode()
    rows = [line[36:] for line in text.splitlines()[2:]]
    expect(rows == ["  all", "   main", "    idle", "    walk", "     walk", "      leaf"],
           f"each below its caller, the largest first: {text}")
    nodes = json.loads(bolometer.run("report", "--tree", "--json", "a.pb.gz",
                                     cwd=directory).stdout)["nodes"]
    leaf = next(node for node in nodes if node["name"] == "leaf")
    path = []
    while leaf["parent"] >= 0:
        path.append(leaf["name"])
        leaf = nodes[leaf["parent"]]
    expect(path == ["leaf", "walk", "walk", "main"], f"parents lead to the root: {path}")


@in_directory
def report_neighbours(bolometer, directory):
    result = bolometer.run("report", "--function", "^walk$", "--json", "a.pb.gz", cwd=directory)
    entry = functions(result)["walk"]
    callers = {caller["name"]: caller["value"] for caller in entry["callers"]}
    callees = {callee["name"]: callee["value"] for callee in entry["callees"]}
    expect(callers == {"main": 400, "walk": 300} and callees == {"walk": 300, "leaf": 300},
           f"{callers} {callees}", result)
    text = bolometer.run("report", "--function", "^idle$", "a.pb.gz", cwd=directory).stdout
    expect(b"from main" in text and b"(600 ns of its own)" in text, f"as text: {text}")
    result = bolometer.run("report", "--function", "nobody", "a.pb.gz", cwd=directory)
    expect(result.returncode == 1 and b"no function matches 'nobody'" in result.stderr, "none", result)


@in_directory
def report_takes_lines_and_labels_apart(bolometer, directory):
    result = bolometer.run("report", "--json", "--lines", "a.pb.gz", cwd=directory)
    expect(set(functions(result)) == {"main line:4", "walk line:4", "leaf line:4", "idle line:4"},
           "the writer gives each function the line of its length", result)
    tree = bolometer.run("report", "--tree", "--by", "process,thread", "a.pb.gz", cwd=directory)
    rows = [line[36:] for line in tree.stdout.decode().splitlines()[2:5]]
    expect(rows == ["  all", "   [no process.executable.name]", "    [no thread.name]"],
           f"the outermost first: {rows}", tree)
    flat = bolometer.run("report", "--by", "process,thread", "-n", "1", "a.pb.gz", cwd=directory)
    lines = flat.stdout.decode().splitlines()
    expect(lines[1].split() == ["total", "by", "process,thread"] and
           lines[2].endswith("  [no process.executable.name]") and "1 more group (" in lines[3] and
           "function" in lines[5], "the groups stand before the functions", flat)
    document = json.loads(bolometer.run("report", "--json", "--by", "process,thread", "a.pb.gz", cwd=directory).stdout)
    expect(document["groups"] == [{"level": 1, "name": "[no process.executable.name]", "total": 1000},
                                  {"level": 2, "name": "[no thread.name]", "total": 1000}], f"for programs: {document}")
    unknown = bolometer.run("report", "--by", "process,nonsense", "a.pb.gz", cwd=directory)
    expect(unknown.returncode == 2 and b"--by: there is no label 'nonsense'" in unknown.stderr, "a slip", unknown)


SOURCE = """#include "walk.h"

static int leaf(int n)
{
	return n * 7;
}

int walk(int n)
{
	int sum = 0;
	for (int i = 0; i < n; i++)
		sum += leaf(i);



	/* far away */



	return sum;\a
}
"""


@in_directory
def report_lists_source(bolometer, directory):
    os.makedirs(directory + "/checkout/src")
    with open(directory + "/checkout/src/walk.c", "w", encoding="ascii") as file:
        file.write(SOURCE)
    os.utime(directory + "/checkout/src/walk.c", (1, 1))
    stacks = {(("main", 3), ("walk", 12), ("leaf", 5)): (1, 60), (("main", 3), ("walk", 12), ("walk", 12)): (1, 10),
              (("main", 3), ("walk", 20), ("walk", 11)): (1, 30)}
    files = {"walk": "/build/src/walk.c", "leaf": "/build/src/walk.c"}
    write(directory + "/walk.pb.gz", stacks, files=files)
    result = bolometer.run("report", "--source", "walk|leaf", "--json", "walk.pb.gz", cwd=directory)
    seen = [(f["name"], f["file"], f["flat"], f["cumulative"], [tuple(line.values()) for line in f["lines"]])
            for f in json.loads(result.stdout)["functions"]]
    expect(seen == [("walk", files["walk"], 40, 100, [(11, 30, 30), (12, 10, 70), (20, 0, 30)]),
                    ("leaf", files["leaf"], 60, 60, [(5, 60, 60)])], f"sums of lines, recursion once: {seen}", result)
    result = bolometer.run("report", "--source", "^walk$", "--source-path", "checkout", "walk.pb.gz", cwd=directory)
    lines = [line.split() for line in result.stdout.decode().splitlines()]
    expect(result.returncode == 0 and lines[3] == "walk /build/src/walk.c 40 ns of its own, 100 ns with what it calls".split(),
           "the function", result)
    expect(lines[4:] == [["8", "int", "walk(int", "n)"], ["9", "{"], ["10", "int", "sum", "=", "0;"],
                         "30 ns 30.0% 30 ns 30.0% 11 for (int i = 0; i < n; i++)".split(),
                         "10 ns 10.0% 70 ns 70.0% 12 sum += leaf(i);".split(), ["13"], ["14"], ["15"], ["\u2026"],
                         ["17"], ["18"], ["19"], "30 ns 30.0% 20 return sum;?".split(), ["21", "}"]],
           "its lines with what is around them", result)
    expect("  12                  sum += leaf(i);\n" in result.stdout.decode(), "tabs are spaces", result)
    os.utime(directory + "/checkout/src/walk.c", (2_000_000_000, 2_000_000_000))
    result = bolometer.run("report", "--source", "^walk$", "--source-path", "checkout", "walk.pb.gz", cwd=directory)
    expect(b"the source has changed since" in result.stdout, "a newer source", result)
    result = bolometer.run("report", "--source", "^walk$", "walk.pb.gz", cwd=directory)
    expect(b"cannot be read: No such file or directory; --source-path" in result.stdout
           and [line.split()[-1] for line in result.stdout.decode().splitlines()[5:]] == ["11", "12", "20"],
           "without it, the numbers", result)
    write(directory + "/first.pb.gz", {(("leaf", 2),): (1, 10), (("leaf", 0),): (1, 5)}, files=files)
    result = bolometer.run("report", "--source", "leaf", "--source-path", "checkout", "first.pb.gz", cwd=directory)
    lines = [line[38:].split()[:1] for line in result.stdout.decode().splitlines()[5:9]]
    expect(lines == [["?"], ["1"], ["2"], ["3"]], f"no line known, and the beginning of the file: {lines}", result)
    os.mkfifo(directory + "/pipe")
    write(directory + "/pipe.pb.gz", stacks, files={"walk": directory + "/pipe"})
    result = bolometer.run("report", "--source", "walk", "pipe.pb.gz", cwd=directory, timeout=20)
    expect(b"cannot be read" in result.stdout, "what is no file is not waited for", result)
    for pattern, status, message in (("nobody", 1, b"no function with a cost matches 'nobody'"),
                                     ("(", 2, b"--source: '(' is no regular expression")):
        result = bolometer.run("report", "--source", pattern, "walk.pb.gz", cwd=directory)
        expect(result.returncode == status and message in result.stderr, pattern, result)


@in_directory
def some_processes_of_a_host(bolometer, directory):
    def labels(name, pid, thread):
        return {"process.executable.name": name, "process.pid": pid, "thread.name": thread}

    write(directory + "/host.pb.gz", {("main", "kernel"): (1, 1)}, tagged=[
        (("main", "parse"), (1, 10), labels("nginx", 7, "nginx")),
        (("main", "send"), (1, 20), labels("nginx", 8, "worker 1")),
        (("main", "run_plan"), (1, 40), labels("postgres", 9, "worker 2")),
        (("main", "sort"), (1, 80), {"container.id": "4f2a", **labels("sort", 77, "sort")})])
    for options, total in (([], 151),
                           (["--only", "process=nginx"], 30),
                           (["--only", "process=[(]8[)]"], 20),
                           (["--only", "process.pid=^7$"], 10),
                           (["--only", r"process.pid=^\d$"], 70),
                           (["--only", "process=nginx", "--only", "process=postgres"], 70),
                           (["--only", "process=nginx", "--only", "thread=worker"], 20),
                           (["--only=thread=worker", "--without=executable=^postgres$"], 20),
                           (["--without", "process=nginx", "--without", "container=4f"], 41),
                           (["--only", "container=^.no container.id.$", "--focus", "send"], 20),
                           (["--only", "process=apache"], 0)):
        result = bolometer.run("report", "--json", *options, "host.pb.gz", cwd=directory)
        expect(result.returncode == 0 and json.loads(result.stdout)["total"] == total, f"{options}: {total}", result)
        expect(json.loads(result.stdout)["file_total"] == 151, "and of what it is a part", result)
        expect((b"leaves no sample of host.pb.gz" in result.stderr) == (total == 0), f"{options}: said", result)
    for options, part in ((["--only", "process=nginx"], "30 ns (19.9% of 151 ns) in 2 different"), ([], "151 ns in 5 different")):
        result = bolometer.run("report", *options, "host.pb.gz", cwd=directory)
        expect(result.stdout.decode().startswith("cpu: " + part), part, result)
    for command in (["flame", "-o", "-"], ["convert", "--format", "folded"]):
        output = ["-"] if command[0] == "convert" else []
        result = bolometer.run(*command, "--only", "process=nginx", "host.pb.gz", *output, cwd=directory)
        expect(b"send" in result.stdout and b"run_plan" not in result.stdout, f"{command}", result)
    result = bolometer.run("diff", "--json", "--only", "process=nginx", "host.pb.gz", "host.pb.gz", cwd=directory)
    expect(json.loads(result.stdout)["total_b"] == 30, "both sides", result)
    for option, message in ((["--only", "nginx"], "--only: 'nginx' is not WORD=REGEX, such as process=nginx"),
                            (["--only", "=x"], "--only: '=x' is not"), (["--without", "process="], "--without: 'process=' is"),
                            (["--only", "process=("], "--only: '(' is no regular expression"),
                            (["--only", "user=x"], "--only: there is no label 'user'; the profile has these: process.")):
        result = bolometer.run("report", *option, "host.pb.gz", cwd=directory)
        expect(result.returncode == 2 and message in result.stderr.decode(), message, result)


@in_directory
def values_of_other_writers(bolometer, directory):
    """Units of other profilers, and negative values, as `go tool pprof -diff_base … -proto` writes them."""
    for unit, value, shown in (("microseconds", 1_234_567, "1.23 s"), ("milliseconds", 7_325_000, "2h02m05s"),
                               ("kilobytes", 1536, "1.5 MiB"), ("bytes", 1 << 60, "1.0 EiB"),
                               ("seconds", 1 << 62, "5124095h34m33s"), ("count", 1500, "1500"),
                               ("cycles", 1500, "1500 cycles"), ("ms", 20, "20.0 ms"), ("\u00b5s", 20, "20.0 us"),
                               ("MB", 3, "3.0 MiB"), ("B", 77, "77 B")):
        write(directory + "/unit.pb.gz", {("main",): (value,)}, types=(("it", unit),))
        text = bolometer.run("report", "unit.pb.gz", cwd=directory).stdout.decode()
        expect(text.startswith(f"it: {shown} in 1 different sample,"), f"{value} {unit} are {shown}: {text}")
    write(directory + "/ns.pb.gz", {("main", "work"): (1, 3_000_000)})
    write(directory + "/ms.pb.gz", {("main", "work"): (1, 1), ("main", "rest"): (1, 1)},
          types=(("samples", "count"), ("cpu", "ms")), period=("cpu", "ms", 10))
    text = bolometer.run("diff", "ns.pb.gz", "ms.pb.gz", cwd=directory).stdout.decode()
    expect("cpu: 3.0 ms in A, 2.0 ms in B" in text and "-50.00%  100.00%   50.00%  work" in text,
           f"nanoseconds beside milliseconds: {text}")
    bolometer.run("merge", "-o", "both.pb.gz", "ms.pb.gz", "ns.pb.gz", cwd=directory)
    text = bolometer.run("report", "both.pb.gz", cwd=directory).stdout.decode()
    expect(text.startswith("cpu: 5.0 ms in 2 different"), f"their sum: {text}")
    write(directory + "/signs.pb.gz", {("main", "less", "least"): (0, -200), ("main", "less"): (0, -50),
                                       ("main", "more"): (0, 30), ("main", "bit"): (0, 10)})
    text = bolometer.run("report", "signs.pb.gz", cwd=directory).stdout.decode()
    rows = [line.split() for line in text.splitlines()]
    expect("cpu: -210 ns" in text and "shares are of 290 ns" in text and [row[-1] for row in rows[2:]] ==
           ["least", "less", "more", "bit", "main"] and rows[2][:3] == ["-200", "ns", "-69.0%"] and "-0" not in text,
           f"the largest first, whatever its sign: {text}")
    text = bolometer.run("report", "--tree", "-n", "4", "signs.pb.gz", cwd=directory).stdout.decode()
    expect([line.split()[-1] for line in text.splitlines()[2:6]] == ["all", "main", "less", "least"], f"tree: {text}")
    text = bolometer.run("report", "--function", "main", "signs.pb.gz", cwd=directory).stdout.decode()
    expect("-250 ns -86.2%    to   less" in text, f"callees that shrank are told: {text}")


@in_directory
def names_cannot_steer_a_terminal(bolometer, directory):
    write(directory + "/evil.pb.gz", {("a\033[2Jb\nc", "\u009b31m"): (1, 1)})
    for options in ([], ["--tree"], ["--function", "b"]):
        text = bolometer.run("report", *options, "evil.pb.gz", cwd=directory).stdout
        expect(b"\033" not in text and b"\xc2\x9b" not in text and b"a?[2Jb?c" in text, str(text))
    write(directory + "/type.pb.gz", {("main",): (1, 1)}, types=(("samples", "count"), ("c\033[2Jpu", "nanoseconds")))
    refused = bolometer.run("report", "--type", "other", "type.pb.gz", cwd=directory)
    expect(refused.returncode == 2 and b"\033" not in refused.stderr and b"c?[2Jpu" in refused.stderr,
           "nor what an error message tells", refused)


@in_directory
def flame_pages(bolometer, directory):
    result = bolometer.run("flame", "a.pb.gz", cwd=directory)
    expect(result.returncode == 0 and b"wrote a.html" in result.stderr, "says where", result)
    with open(directory + "/a.html", encoding="utf-8") as file:
        page = file.read()
    expect(page.startswith("<!DOCTYPE html>") and '"idle"' in page, "a page with the functions")
    expect("http://" not in page.replace("http://www.w3.org/", "") and 'src="' not in page,
           "nothing is loaded from elsewhere")
    result = bolometer.run("flame", "-o", "-", "--ignore", "idle", "a.pb.gz", cwd=directory)
    expect(b"</html>" in result.stdout and b'"idle"' not in result.stdout and not result.stderr,
           "to a pipe, filtered", result)
    result = bolometer.run("flame", "-o", "-", "--by", "process,binary", "a.pb.gz", cwd=directory)
    expect(b'"group_levels":2' in result.stdout and b'"[no binary]"' in result.stdout, "groups are no marks", result)
    bolometer.run("convert", "a.pb.gz", "own.html", cwd=directory)
    with open(directory + "/own.html", encoding="utf-8") as file:
        expect('"title":"own.html"' in file.read(), "a page says which it is")
    result = bolometer.run("flame", "-o", "x.txt", "a.pb.gz", cwd=directory)
    expect(result.returncode == 2 and not os.path.exists(directory + "/x.txt"), "only .html", result)
    result = bolometer.run("flame", "-o", "x.svg", "a.pb.gz", cwd=directory)
    expect(result.returncode == 2 and not os.path.exists(directory + "/x.svg"), "and no picture", result)
    result = bolometer.run("flame", "-o", "/dev/null", "a.pb.gz", cwd=directory)
    expect(result.returncode == 0, "what is no file has no ending", result)


@in_directory
def difference(bolometer, directory):
    grown = dict(STACKS)
    grown[("main", "fresh")] = (1, 1000)
    write(directory + "/b.pb.gz", grown)
    result = bolometer.run("diff", "--json", "a.pb.gz", "b.pb.gz", cwd=directory)
    changes = {name: round(entry["change"], 6) for name, entry in functions(result).items()}
    expect(changes == {"fresh": 0.5, "idle": -0.3, "leaf": -0.15, "walk": -0.05, "main": 0},
           f"shares of each total: {changes}", result)
    text = bolometer.run("diff", "-c", "-n", "1", "a.pb.gz", "b.pb.gz", cwd=directory).stdout
    expect(b"+50.00%" in text and b"fresh" in text and text.startswith(b"cpu: 1.0 us in A, 2.0 us in B\n"), f"table: {text}")
    same = bolometer.run("diff", "--json", "a.pb.gz", "a.pb.gz", cwd=directory)
    expect(all(entry["change"] == 0 for entry in functions(same).values()), "none", same)
    grown[("main", "idle")] = (2, 150)
    write(directory + "/c.pb.gz", grown)
    result = bolometer.run("diff", "--absolute", "a.pb.gz", "c.pb.gz", cwd=directory)
    expect([line.split() for line in result.stdout.decode().splitlines()[2:]] == [
        ["+1.0", "us", "0", "ns", "1.0", "us", "fresh"], ["-450", "ns", "600", "ns", "150", "ns", "idle"],
        ["0", "ns", "300", "ns", "300", "ns", "leaf"], ["0", "ns", "100", "ns", "100", "ns", "walk"],
        ["0", "ns", "0", "ns", "0", "ns", "main"]], "values, not shares", result)
    result = bolometer.run("diff", "--absolute", "--json", "-c", "a.pb.gz", "c.pb.gz", cwd=directory)
    expect({name: entry["change"] for name, entry in functions(result).items()} ==
           {"fresh": 1000, "idle": -450, "main": 550, "walk": 0, "leaf": 0}, "for programs", result)
    page = bolometer.run("diff", "-o", "d.html", "a.pb.gz", "b.pb.gz", cwd=directory)
    expect(page.returncode == 0 and os.path.getsize(directory + "/d.html") > 1000, "page", page)
    write(directory + "/heap.pb.gz", {("main",): (1,)}, types=(("space", "bytes"),))
    result = bolometer.run("diff", "a.pb.gz", "heap.pb.gz", cwd=directory)
    expect(result.returncode == 1 and b"choose one that both have" in result.stderr, "kinds", result)


@in_directory
def conversions(bolometer, directory):
    for name in ("x.pb", "x.pb.gz", "x.folded", "x.html", "x.speedscope.json", "x.txt"):
        result = bolometer.run("convert", "a.pb.gz", name, cwd=directory)
        expect(result.returncode == 0 and os.path.getsize(f"{directory}/{name}"), name, result)
    with open(directory + "/x.folded", encoding="utf-8") as file:
        folded = dict(line.rsplit(" ", 1) for line in file.read().splitlines())
    expect(folded == {";".join(stack): str(values[1]) for stack, values in STACKS.items()},
           f"folded stacks: {folded}")
    with open(directory + "/x.speedscope.json", encoding="utf-8") as file:
        document = json.load(file)
    frames = [frame["name"] for frame in document["shared"]["frames"]]
    cpu = document["profiles"][document["activeProfileIndex"]]
    seen = {tuple(frames[i] for i in stack): weight
            for stack, weight in zip(cpu["samples"], cpu["weights"])}
    expect(seen == {stack: values[1] for stack, values in STACKS.items()}, f"speedscope: {seen}")
    for options, line in ((["--type", "samples"], "main;walk 5"), (["--by", "process"], "[no process.executable.name];"),
                          (["--focus", "idle"], "main;idle 600")):
        result = bolometer.run("convert", *options, "--format", "folded", "a.pb.gz", "-", cwd=directory)
        expect(result.stdout.decode().startswith(line) or "\n" + line in result.stdout.decode(), f"{options}", result)
    for name in ("x.pb", "x.pb.gz", "x.folded"):
        result = bolometer.run("report", "--json", name, cwd=directory)
        expect(functions(result)["walk"]["cumulative"] == 400, f"{name} reads back", result)
    write(directory + "/none.pb.gz", {})
    result = bolometer.run("convert", "none.pb.gz", "none.otlp", cwd=directory)
    expect(result.returncode == 1 and b"no samples" in result.stderr, "what OTLP cannot hold", result)
    with open(directory + "/a.pb.gz", "rb") as file:
        piped = bolometer.run("convert", "--format", "folded", "-", "-", stdin=file)
    expect(b"main;idle 600\n" in piped.stdout, "from and to a pipe", piped)
    with open(directory + "/x.folded", "rb") as file, gzip.open(directory + "/x.folded.gz", "wb") as compressed:
        compressed.write(file.read())
    result = bolometer.run("report", "--json", "x.folded.gz", cwd=directory)
    expect(result.returncode == 0 and functions(result)["walk"]["cumulative"] == 400, "compressed", result)
    with open(directory + "/x.folded", "rb") as file:
        piped = bolometer.run("report", "--json", "-", stdin=file)
    expect(functions(piped)["walk"]["cumulative"] == 400, "folded stacks are known without a name", piped)


@in_directory
def merging(bolometer, directory):
    write(directory + "/b.pb", {("main", "walk"): (1, 1), ("other",): (4, 4)}, compress=False)
    result = bolometer.run("merge", "-o", "sum.pb.gz", "a.pb.gz", "b.pb", cwd=directory)
    expect(result.returncode == 0, "merges", result)
    profile = profile_reader.Profile.read(directory + "/sum.pb.gz")
    expect(len(profile.samples) == 4, f"equal stacks are one: {len(profile.samples)}")
    sums = functions(bolometer.run("report", "--json", "sum.pb.gz", cwd=directory))
    expect((sums["walk"]["flat"], sums["other"]["flat"]) == (101, 4), f"sums: {sums}")
    write(directory + "/wall.pb.gz", {("main",): (1, 1)}, types=(("samples", "count"), ("wall", "nanoseconds")))
    result = bolometer.run("merge", "-o", "some.pb.gz", "a.pb.gz", "wall.pb.gz", cwd=directory)
    expect(result.returncode == 0 and b"left out, as not every file has it: cpu, wall\n" in result.stderr,
           "what is not added up is told", result)
    write(directory + "/more.pb.gz", {("main",): (1, 1, 1)}, types=(("watched_cpu", "count"), ("cpu", "ns"), ("rest", "count")))
    write(directory + "/rest.pb.gz", {("main",): (1,)}, types=(("rest", "count"),))
    result = bolometer.run("merge", "-o", "some.pb.gz", "more.pb.gz", "rest.pb.gz", cwd=directory)
    expect(b"has it: watched_cpu, cpu\n" in result.stderr, "also what is a part of another's name", result)
    write(directory + "/heap.pb.gz", {("main",): (1,)}, types=(("space", "bytes"),))
    result = bolometer.run("merge", "-o", "x.pb.gz", "a.pb.gz", "heap.pb.gz", cwd=directory)
    expect(result.returncode == 1 and b"no sample type in common" in result.stderr
           and not os.path.exists(directory + "/x.pb.gz"), "nothing in common", result)
    result = bolometer.run("merge", "a.pb.gz", cwd=directory)
    expect(result.returncode == 2, "-o is needed", result)


def broken_files():
    whole = encode(STACKS)
    yield "empty", b"", "is empty"
    yield "text", b"no profile at all\n", "not a valid pprof file, nor one of folded stacks: "
    yield "perf.data", b"PERFILE2" + bytes(100), "a recording of perf"
    yield "script", b"ld 24692 [000] 72.7: 1 cycles: \n\tffffffff815dd753 work+0x3 (x)\n", "stackcollapse-perf.pl folds"
    yield "jeprof.out", b"heap_v2/524288\n  t*: 1: 2 [3: 4]\n", "jeprof --collapsed"
    yield "page", b"<!DOCTYPE html>\n<html>", "a page for the browser"
    yield "speedscope", b'{"profiles":[]}', "it is JSON"
    yield "cut", whole[:-20], "not a valid pprof file"
    yield "cut.pb.gz", gzip.compress(whole)[:-12], "not a valid pprof file"
    yield "values.pb", whole.replace(b"\x12\x02\x03\x00", b"") + b"\x12\x02\x10\x01", "values"
    yield "index.pb", whole + b"\x12\x06\x0a\x01\x77\x12\x01\x01", "not a valid pprof file"


@in_directory
def broken_files_are_refused(bolometer, directory):
    for name, data, message in broken_files():
        with open(f"{directory}/{name}", "wb") as file:
            file.write(data)
        for command in (["report", name], ["flame", name], ["diff", "a.pb.gz", name],
                        ["convert", name, "x.folded"], ["merge", "-o", "x.pb.gz", name]):
            result = bolometer.run(*command, cwd=directory)
            what = f"{command}"
            expect(result.returncode == 1 and not result.stdout, f"{what}: status 1", result)
            expect(name in result.stderr.decode() and message in result.stderr.decode(),
                   f"{what}: names the file and says '{message}'", result)
            expect(len(result.stderr.splitlines()) == 1, f"{what}: one line", result)
    expect(not any(entry.startswith("x.") for entry in os.listdir(directory)), "no output is left")


@in_directory
def missing_files(bolometer, directory):
    for path, message in (("none.pb.gz", b"No such file"), (".", b"directory")):
        result = bolometer.run("report", path, cwd=directory)
        expect(result.returncode == 1 and message in result.stderr, f"{path}: {message}", result)
    result = bolometer.run("report", "--type", "heap", "a.pb.gz", cwd=directory)
    expect(result.returncode == 2 and b"the profile has samples, cpu" in result.stderr, "type", result)
    for options, said in ((["--focus", "none"], b"has a function that matches 'none'"), (["--ignore", "main"], b"--ignore leaves no"),
                          (["--focus", "none", "--ignore", "idle"], b"--focus and --ignore leave no stack")):
        result = bolometer.run("report", *options, "a.pb.gz", cwd=directory)
        expect(result.returncode == 0 and said in result.stderr, "what left nothing is named", result)
    result = bolometer.run("report", "--focus", "(", "a.pb.gz", cwd=directory)
    expect(result.returncode == 2 and b"regular expression" in result.stderr, "regex", result)


@in_directory
def bomb_is_bounded(bolometer, directory):
    path = directory + "/bomb.pb.gz"
    with gzip.open(path, "wb", 9) as file:
        for _ in range(600):
            file.write(bytes(1 << 20))
    limited = subprocess.run(["prlimit", "--as=2000000000", bolometer.path, "report", path],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
    expect(limited.returncode == 1 and b"bomb.pb.gz" in limited.stderr, "refused", limited)


if __name__ == "__main__":
    main([report_counts, report_leaks, report_lifetimes, report_selects, report_tree, report_neighbours,
          report_takes_lines_and_labels_apart, some_processes_of_a_host,
          report_lists_source, values_of_other_writers, names_cannot_steer_a_terminal, flame_pages,
          difference, conversions, merging,
          broken_files_are_refused, missing_files, bomb_is_bounded])
