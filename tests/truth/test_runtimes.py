#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs whose code a runtime makes while it runs, started as the guide says: their stacks go through the
runtime's own code down to the thread's entry, with the names of their functions, and the split of the time is
that which they measured. A runtime that this machine lacks is skipped.

    test_runtimes.py BOLOMETER WORKLOADS
"""

import pathlib
import re
import shutil
import subprocess
import tempfile

from recording import cpu_ns, expect, main, mark

PROGRAMS = pathlib.Path(__file__).resolve().parent / "runtimes"
FREQUENCY = 997
SECONDS = 2
COMPLETE = 0.98
# Of some thousand ticks: dozens of standard deviations. Names and callers are tested here, not the clock.
SHARE_ERROR = 0.05
NOT_READY = "[tables not ready]"


def position(sample, function):
    """Of the frame whose name has the function's, and what a runtime puts around it."""
    word = re.compile(rf"(^|[^A-Za-z_]){function}($|[^A-Za-z_0-9])")
    return next((i for i, name in enumerate(sample.names) if word.search(name)), None)


def check(recording, complete=COMPLETE):
    pid = recording.truth["pid"]
    samples = [sample for sample in recording.profile.samples
               if sample.labels.get("process.pid") == pid and mark(sample) != NOT_READY]
    named = {function: [sample for sample in samples if position(sample, function) is not None]
             for function in ("parts", "large", "small")}
    recording.watch.expect(cpu_ns(named["parts"]) > SECONDS / 2 * 1e9,
                           f"{cpu_ns(samples) / 1e9:.2f} s seen, {cpu_ns(named['parts']) / 1e9:.2f} with names")
    whole = [sample for sample in named["parts"] if not mark(sample)]
    ends = {mark(sample) for sample in named["parts"]} - {""}
    expect(cpu_ns(whole) >= complete * cpu_ns(named["parts"]),
           f"{cpu_ns(whole) / cpu_ns(named['parts']):.1%} of the stacks are whole, others end in {ends}")
    for function in ("large", "small"):
        wrong = [sample for sample in named[function]
                 if position(sample, "parts") is None
                 or position(sample, "parts") <= position(sample, function)]
        expect(cpu_ns(wrong) <= (1 - complete) * cpu_ns(named[function]),
               f"{len(wrong)} of {len(named[function])} stacks have {function} without its caller")
    true = recording.truth["functions"]
    share = cpu_ns(named["large"]) / cpu_ns(named["large"] + named["small"])
    true_share = true["large"] / (true["large"] + true["small"])
    expect(abs(share - true_share) <= SHARE_ERROR, f"large has {share:.1%} of the two, true {true_share:.1%}")
    return f"{sum(s.count for s in whole)} whole stacks, large {share:.1%} of {true_share:.1%}"


def record(bench, *command):
    """In a directory of its own: V8 leaves a log behind."""
    with tempfile.TemporaryDirectory() as directory:
        return bench.record(frequency=FREQUENCY, command=["sh", "-c", 'cd "$0" && exec "$@"', directory,
                                                          *(str(word) for word in command)])


def node(bench):
    program = shutil.which("node") or shutil.which("nodejs")
    if not program:
        return "SKIPPED: no node"
    return check(record(bench, program, "--perf-basic-prof", "--interpreted-frames-native-stack",
                        "--no-turbo-inlining", PROGRAMS / "split.js", SECONDS))


def python(bench):
    names = ("python3", "python3.12", "python3.13", "python3.14")
    ask = "import sys; print(int(sys.version_info >= (3, 12) and getattr(sys, 'is_stack_trampoline_active',"\
          " None) is not None))"
    for program in filter(None, map(shutil.which, names)):
        answer = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == "1":
            return check(record(bench, program, "-X", "perf", PROGRAMS / "split.py", SECONDS))
    return "SKIPPED: no Python of 3.12 or newer"


def java(bench):
    """Its map is written by another command, while it runs. All functions of the program are compiled at once:
    interpreted ones have no names."""
    if not all(map(shutil.which, ("java", "javac", "jcmd"))):
        return "SKIPPED: no JDK"
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["javac", "-d", directory, PROGRAMS / "Split.java"], check=True)
        script = '"$@" & sleep 0.5; jcmd $! Compiler.perfmap >/dev/null; jcmd $! Compiler.perfmap >/dev/null; wait $!'
        return check(record(bench, "sh", "-c", script, "sh", "java", "-XX:+PreserveFramePointer", "-Xcomp",
                            "-XX:CompileCommand=quiet", "-XX:CompileCommand=compileonly,Split.*", "-XX:-Inline",
                            "-cp", directory, "Split", SECONDS))


def erlang(bench):
    if not all(map(shutil.which, ("erl", "erlc"))):
        return "SKIPPED: no Erlang"
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["erlc", "-o", directory, PROGRAMS / "split.erl"], check=True)
        return check(record(bench, "erl", "+JPperf", "true", "-noshell", "-pa", directory, "-run", "split",
                            "main", SECONDS * 1000))


if __name__ == "__main__":
    main([node, python, java, erlang])
