#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer doctor` on this host: text and JSON agree, and so does the exit status."""
import contextlib
import json
import subprocess
import sys

from harness import Undecided, expect, main

# More than CPython gives out itself: it asks the C library.
ALLOCATES = """
import sys, time
print("ready", flush=True)
while True:
    for _ in range(20):
        bytearray(5000)
    time.sleep(0.01)
"""


@contextlib.contextmanager
def allocating():
    process = subprocess.Popen([sys.executable, "-c", ALLOCATES], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        yield process.pid
    finally:
        process.kill()
        process.wait()


def text_and_json_agree(bolometer):
    text, data = bolometer.run("doctor"), bolometer.run("doctor", "--json")
    expect(text.returncode in (0, 3) and text.returncode == data.returncode, "status", text)
    parsed = json.loads(data.stdout)
    expect(parsed["possible"] == (text.returncode == 0), "possible agrees with the status", data)
    lines = text.stdout.decode().splitlines()
    for finding in parsed["findings"]:
        expect(any(line.startswith(finding["level"]) and finding["text"] in line for line in lines),
               f"the text has {finding}", text)
        expect(finding["level"] == "ok" or finding.get("lost"), f"says what is lost: {finding}")
    expect(b"\033" not in text.stdout, "no colours in a pipe", text)


def memory_of_a_process(bolometer):
    with allocating() as pid:
        result = bolometer.run("doctor", "--memory", pid, "--json", "--heap-budget", "2%")
        text = bolometer.run("doctor", "--memory", pid)
    expect(result.returncode == 0 and text.returncode == 0, "status", result)
    seen = json.loads(result.stdout)
    expect(seen["budget"] == 0.02, "the budget", result)
    for trial in ("nop5_damages_red_zone", "return_probe_ends_filtered"):
        expect(seen[trial] in (0, 1, None), "the self-test has a result", result)
    probes = [probe for allocator in seen["allocators"] for probe in allocator["probes"]]
    functions = {probe["function"] for probe in probes}
    expect({"malloc", "free"} <= functions, "malloc and free are found", result)
    for function in functions:
        expect(function in text.stdout.decode(), f"the text has {function}", text)
    if not seen["uprobe_multi"]:
        print("no counting: this kernel, or this user, has no links of many uprobes", flush=True)
        expect("calls_per_second" not in probes[0], "nothing was counted", result)
        return
    if not seen["cpus"]:
        raise Undecided("the process did not run while it was counted")
    called = sum(probe["calls_per_second"] for probe in probes if probe["role"] == "malloc")
    freed = sum(probe["calls_per_second"] for probe in probes if probe["role"] == "free")
    expect(called > 0 and freed > 0, "calls were counted", result)
    if seen["emulated_hit_ns"]:
        expect(seen["stepped_hit_ns"], "both costs were measured", result)
        expect(seen["cost_share"] > 0, "the cost is known", result)
        fits = seen["cost_share"] <= seen["budget"] / 2
        expect((seen["tier"] == "always") == fits, "the tier follows from the cost", result)


def memory_without_a_process(bolometer):
    gone = subprocess.Popen(["true"])
    gone.wait()
    result = bolometer.run("doctor", "--memory", gone.pid)
    expect(result.returncode == 1 and b"there is none" in result.stderr, "no such process", result)
    result = bolometer.run("doctor", "--memory", 1, "--heap-budget", "much")
    expect(result.returncode == 2, "a wrong budget", result)
    with allocating() as pid:
        result = bolometer.run("doctor", "--memory", pid, unprivileged=True)
    expect(result.returncode == 3 and b"Run as its user, as root" in result.stderr, "no right to look", result)


if __name__ == "__main__":
    main([text_and_json_agree, memory_of_a_process, memory_without_a_process])
