#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Where the CPU time of known programs goes: every function's share, the whole against the kernel's own
accounting, labels and thread names, and that the stacks reach the entry of the thread.

    test_record_split.py BOLOMETER WORKLOADS
"""

from recording import (CLOCK_SHARE, OUTSIDE_NS, bound_ns, cpu_ns, expect, expect_near, main, mark)

SECONDS = 5
# Most slices of a function are longer; calibration makes some dozens of shorter ones.
SLICE_NS = 2.5e6
COMPLETE = 0.99


def check_whole(recording, program):
    """The captured CPU time against what the kernel accounted to the tasks."""
    truth = recording.truth
    true_ns = truth["self_ns"] + truth["children_ns"]
    samples = recording.samples_of(program)
    switches = truth.get("switches", true_ns / SLICE_NS)
    expect_near("captured CPU time", cpu_ns(samples), true_ns, bound_ns(switches + 1) + OUTSIDE_NS,
                recording)
    expect(cpu_ns(recording.profile.samples) == recording["captured_ns"],
           "the file's CPU time is the captured_ns of its comments")


def check_complete(recording, program):
    samples = recording.samples_of(program)
    marks = {}
    for sample in samples:
        marks[mark(sample)] = marks.get(mark(sample), 0) + sample.count
    total = sum(marks.values())
    ended = marks.pop("", 0) + marks.pop("[exiting]", 0) + marks.pop("[starting a program]", 0)
    recording.watch.expect(ended >= COMPLETE * total, f"{ended / total:.2%} complete of {total}; the others: {marks}")
    return f"{ended / total:.2%} complete {marks or ''}", cpu_ns(s for s in samples if mark(s))


def check_functions(recording, program, unmarked_ns):
    """Each function with what it calls. Stacks that end early may hide it."""
    truth = recording.truth
    samples = recording.samples_of(program)
    pieces = (truth["self_ns"] + truth["children_ns"]) / SLICE_NS + truth.get("switches", 0)
    for function, true_ns in truth["functions"].items():
        seen = cpu_ns(sample for sample in samples
                      if any(function in name for name in sample.names))
        # a function of a share p of the time has about that share of the pieces
        share = min(1, 2 * true_ns / (truth["self_ns"] + truth["children_ns"]))
        expect_near(function, seen, true_ns, bound_ns(pieces * share) + CLOCK_SHARE * true_ns,
                    recording, share, unmarked_ns * share)


def check_split(bench, name, *arguments):
    recording = bench.record_workload(name, SECONDS, *arguments)
    check_whole(recording, name)
    share, unmarked_ns = check_complete(recording, name)
    check_functions(recording, name, unmarked_ns)
    threads = {sample.labels.get("thread.name") for sample in recording.samples_of(name)}
    expect(name[:15] in threads, f"thread.name {name} is not among {threads}")
    return f"{share}, {recording['missed']} ticks missed"


def c(bench):
    return check_split(bench, "split")


def cpp(bench):
    return check_split(bench, "split_cpp") if bench.has("split_cpp") else "SKIPPED: no C++ compiler"


def rust(bench):
    return check_split(bench, "split_rust") if bench.has("split_rust") else "SKIPPED: no rustc"


def go(bench):
    return check_split(bench, "split_go") if bench.has("split_go") else "SKIPPED: no Go"


def signal_handler(bench):
    return check_split(bench, "signals")


def system_calls(bench):
    return check_split(bench, "syscalls")


def libraries_at_reused_addresses(bench):
    return check_split(bench, "reload", bench.workloads / "libreload_first.so",
                       bench.workloads / "libreload_second.so")


def jit_code(bench):
    return check_split(bench, "jit")


def named_threads(bench):
    recording = bench.record_workload("threads", 1.2 * SECONDS)
    check_whole(recording, "threads")
    share, _ = check_complete(recording, "threads")
    switches, total_ns = recording.truth["switches"], recording.truth["self_ns"]
    for tid, thread in recording.truth["threads"].items():
        samples = [sample for sample in recording.samples_of("threads")
                   if sample.labels.get("thread.id") == int(tid)]
        named = [sample for sample in samples if sample.labels.get("thread.name") == thread["name"]]
        part = min(1, 2 * thread["ns"] / total_ns)
        expect_near(thread["name"], cpu_ns(named), thread["ns"], bound_ns(part * switches + 1) + 2e6,
                    recording, part)
    return share


def forked_children(bench):
    recording = bench.record_workload("children", 1.2 * SECONDS)
    check_whole(recording, "children")
    share, _ = check_complete(recording, "children")
    switches = recording.truth["switches"]
    for pid, child in recording.truth["children"].items():
        samples = [sample for sample in recording.samples_of("children")
                   if sample.labels.get("process.pid") == int(pid)]
        function = [sample for sample in samples if child["function"] in sample.names]
        hidden = cpu_ns(sample for sample in samples if mark(sample))
        # rusage counts from the fork on, the function only what it does itself
        # and has about its share of the pieces
        part = min(1, 2 * child["ns"] / recording.truth["children_ns"])
        expect_near(child["function"], cpu_ns(function), child["ns"],
                    bound_ns(part * switches + 1) + 5e6, recording, part, hidden)
    return share


if __name__ == "__main__":
    main([c, cpp, rust, go, signal_handler, system_calls, libraries_at_reused_addresses, jit_code,
          named_threads, forked_children])
