#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A daemon with a strategy for each of several programs: the weights of what is taken add up to the weights of what was
offered, within the bound of what chance does, and to the byte to what the daemon says of itself; what "never" leaves
out is in no profile; and with what was not taken no tick goes astray. Processes that are left out whole are counted,
and not unwound.

The bound. A sample of weight w that is taken with chance p and then counts w/p has the variance w^2 (1/p - 1): of n
samples the sum's error is 3.89 w sqrt(n (1/p - 1)) at 99.99 %. Where the chance changes its mean is somewhat less
than n/taken says: half as much again is allowed.

    test_strategies.py BOLOMETER WORKLOADS [SECONDS]
"""

import math
import os
import pathlib
import shutil
import subprocess
import sys
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "service"))
from recording import Profile, Program, Undecided, expect, main  # noqa: E402
from running import running  # noqa: E402

SECONDS = float(sys.argv[3]) if len(sys.argv) > 3 else 5
FREQUENCY = 997
NICE = -3  # a busy host leaves them something
FEWEST = 100  # samples of a program, for the bound to mean anything
TICKS = ("samples", "lost_ring_full", "lost_scratch", "unselected", "not_taken", "idle", "missed")
CONFIGURATION = """
selection: {{exe: ["strategy_*"]}}
exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]
strategies:
  - {{name: never, strategy: never, match: {{exe: strategy_never}}}}
  - {{name: quarter, strategy: probabilistic, ratio: 25%, match: {{exe: strategy_quarter}}}}
  - {{name: rate, strategy: rate, samples: 20, match: {{exe: strategy_rate}}}}
  - {{name: half, strategy: probabilistic, ratio: 50%, match: {{exe: strategy_both}}, then_next: true}}
  - {{name: both, strategy: rate, samples: 20, match: {{exe: strategy_both}}}}
  - {{name: adaptive, strategy: adaptive, samples: 18000, match: {{exe: "strategy_*"}}}}
"""
PROGRAMS = ("never", "quarter", "rate", "both", "adaptive")
WHOLE_CONFIGURATION = """
selection: {{exe: ["strategy_*"]}}
exporters: [{{type: pprof-directory, name: recorder, directory: {directory}/recorder}}]
strategies:
  - {{name: all, strategy: always, then_next: true}}
  - {{name: never, strategy: never, match: {{exe: strategy_never}}}}
  - {{name: half, strategy: probabilistic, ratio: 50%, by: process, then_next: true}}
  - {{name: rest, strategy: always}}
"""
WHOLE_PROGRAMS = ("never", "some", "some", "some", "some")


def start_programs(bench, directory, names, running_programs):
    """Copies of one workload, so that each is an executable of its own."""
    command = bench.workload("split", 60)
    for name in names:
        copy = directory / f"strategy_{name}"
        if not copy.exists():
            shutil.copy(command[0], copy)
        running_programs.append(Program([copy, *map(str, command[1:])], stdout=subprocess.DEVNULL))
        os.setpriority(os.PRIO_PROCESS, running_programs[-1].pid, NICE)


def comments(profile):
    pairs = (comment.split("=", 1) for comment in profile.comments)
    return {name: value for name, value in pairs}


def profiles_of(daemon):
    return [Profile.read(path) for path in sorted((daemon.directory / "recorder").rglob("*.pb.gz"))]


def program_of(sample):
    name = str(sample.labels.get("process.executable.name", "")).removeprefix("strategy_")
    return name if name in PROGRAMS else None


def captured(profiles):
    """Samples and CPU time of each program, over all profiles."""
    sums = {name: [0, 0] for name in PROGRAMS}
    for sample in (sample for profile in profiles for sample in profile.samples):
        name = program_of(sample)
        if name:
            sums[name][0] += sample.count
            sums[name][1] += sample.cpu
    return sums


def left_out_of(profiles):
    """How many samples the profiles say were not taken."""
    for profile in profiles:
        seen = comments(profile)
        expect(seen["strategy.quarter"] == "probabilistic, 25 % by sample", f"{seen}")
    return sum(int(comments(profile).get("not_taken", 0)) for profile in profiles)


def check_ticks(daemon):
    """While no clock ticks."""
    daemon.unix("/api/stop", "POST")
    status = daemon.status()
    seen = {**status["counters"], "not_taken": status["not_taken"]}
    parts = {name: seen[name] for name in TICKS}
    expect(seen["ticks"] == sum(parts.values()), f"{seen['ticks']} ticks are not the sum of {parts}")
    expect(status["sampling"]["samples"] == seen["samples"], f"{status['sampling']} but {parts}")
    return status


def check_bound(strategy, counted):
    name, offered, taken = strategy["name"], strategy["offered"], strategy["taken"]
    if taken < FEWEST / 5 or offered < FEWEST:
        raise Undecided(f"{name}: {offered} samples offered, {taken} taken: the programs hardly ran")
    true = strategy["offered_weight"]
    allowed = 1.5 * 3.89 * true / offered * math.sqrt(offered * (offered / taken - 1))
    expect(abs(counted - true) <= allowed,
           f"{name}: {counted / 1e9:.3f} s counted, {true / 1e9:.3f} s offered, {allowed / 1e9:.3f} s allowed")


def check_strategies(strategies, sums, metrics):
    for name, strategy in strategies.items():
        expect(strategy["offered"] == strategy["taken"] + strategy["not_taken"], f"{strategy}")
        if name not in PROGRAMS:
            continue
        samples, cpu = sums[name]
        expect(samples == strategy["taken"], f"{name}: {samples} in the files, {strategy}")
        expect(abs(cpu - strategy["counted_weight"]) <= samples, f"{name}: {cpu} ns in the files, {strategy}")
        expect(f'bolometer_strategy_taken_samples_total{{strategy="{name}",event="cpu"}} {samples}\n' in metrics,
               f"metrics tell no {samples} samples of {name}")
    expect(sums["never"] == [0, 0] and strategies["never"]["offered"] > 0, f"never: {strategies['never']}")
    for name in PROGRAMS[1:]:
        check_bound(strategies[name], sums[name][1])
    half, both = strategies["half"], strategies["both"]
    expect(half["taken"] == both["offered"] and abs(half["counted_weight"] - both["offered_weight"]) <= half["taken"],
           f"what {half} takes is not what {both} is offered")
    check_bound({**half, "taken": both["taken"]}, sums["both"][1])


def all_at_once(bench):
    programs = []
    with running(types.SimpleNamespace(path=bench.bolometer), extra=CONFIGURATION, frequency=FREQUENCY) as daemon:
        try:
            start_programs(bench, daemon.directory, PROGRAMS, programs)
            time.sleep(SECONDS)
        finally:
            end(programs)
        status = check_ticks(daemon)
        strategies = {strategy["name"]: strategy for strategy in status["strategies"]}
        metrics = daemon.health("/metrics").text
        answer = daemon.unix("/api/reset", "POST").text
        expect(answer == "the statistics of 6 strategies begin anew\n", answer)
        expect(all(strategy["offered"] == 0 for strategy in daemon.status()["strategies"]), "not reset")
        daemon.end()  # then all files are written
        profiles = profiles_of(daemon)
    left_out = left_out_of(profiles)
    expect(left_out == sum(strategy["not_taken"] for strategy in strategies.values()),
           f"{left_out} not taken in the profiles, {strategies}")
    check_strategies(strategies, captured(profiles), metrics)
    return ", ".join(f"{name} {100 * strategy['effective_ratio']:.0f} % of {strategy['offered']}"
                     for name, strategy in strategies.items())


def end(programs):
    for program in programs:
        program.kill()
        program.wait()


def check_not_unwound(daemon):
    """While nothing runs that is not left out whole: each tick that is unwound has a frame in main() at least, and one
    in whoever calls that."""
    before = daemon.status()["counters"]
    time.sleep(2)
    after = daemon.status()["counters"]
    ticks, frames = (after[name] - before[name] for name in ("not_taken", "frames"))
    if ticks < FEWEST:
        raise Undecided(f"{ticks} ticks: the program hardly ran")
    expect(frames < ticks, f"{frames} frames were unwound in {ticks} ticks that are left out")
    return ticks


def left_out_whole(bench):
    programs = []
    with running(types.SimpleNamespace(path=bench.bolometer), extra=WHOLE_CONFIGURATION,
                 frequency=FREQUENCY) as daemon:
        try:
            start_programs(bench, daemon.directory, WHOLE_PROGRAMS, programs)
            time.sleep(2)
            end(programs[1:])
            time.sleep(1)  # what was sampled of them is read
            ticks = check_not_unwound(daemon)
        finally:
            end(programs)
        strategies = {strategy["name"]: strategy for strategy in check_ticks(daemon)["strategies"]}
        daemon.end()
        profiles = [Profile.read(path) for path in sorted((daemon.directory / "recorder").rglob("*.pb.gz"))]
    everything, never, half, rest = (strategies[name] for name in ("all", "never", "half", "rest"))
    left_out = sum(int(comments(profile)["not_taken"]) for profile in profiles)
    expect(everything["offered"] == everything["taken"] == never["offered"] + half["offered"], f"{strategies}")
    expect(never["taken"] == 0 and left_out == never["offered"] + half["not_taken"], f"{left_out} left out, {strategies}")
    expect(half["taken"] == rest["offered"] == rest["taken"], f"{strategies}")
    weights = (half["counted_weight"], rest["counted_weight"], sum(profile.total("cpu") for profile in profiles))
    for weight in weights:  # told with nine digits
        expect(math.isclose(weight, 2 * half["taken_weight"], rel_tol=1e-8), f"{weights}, {strategies}")
    return f"{ticks} ticks left out without their stacks, half of {half['offered']}: {half['taken']}"


if __name__ == "__main__":
    main([all_at_once, left_out_whole])
