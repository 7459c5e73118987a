#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Time in BPF programs that are loaded, run and unloaded again while a profile is taken: each has its name, also where
one lay where the other had been.

    test_generated_code.py BOLOMETER WORKLOADS
"""

import re

from recording import bound_ns, cpu_ns, expect, main

SECONDS = 1.5
PROGRAM = re.compile("bpf_prog_[0-9a-f]{16}_")  # its tag follows; bpf_prog_test_run_skb() is the kernel's
SLICE_NS = 2.5e6
LEAST_SHARE = 0.8  # the rest: what the kernel does between two runs of a program


def short_lived_programs(bench):
    recording = bench.record(command=["sh", "-c", '"$0" "$1" || echo none', *bench.workload("brief_code", SECONDS)],
                             cpu=0)
    if recording.output.strip() == "none":
        return "SKIPPED: BPF programs cannot be loaded or run here"
    samples, seen, text = recording.samples_of("brief_code"), {}, ""
    for name, true_ns in recording.truth["functions"].items():
        seen[name] = cpu_ns(sample for sample in samples if sample.frames[0].function.endswith(f"_{name}"))
        allowed = bound_ns(true_ns / SLICE_NS + recording.truth["switches"])
        text += f"{name}: {seen[name] / 1e6:.1f} ms of {true_ns / 1e6:.1f}, {allowed / 1e6:.1f} allowed; "
        expect(LEAST_SHARE * true_ns - allowed - recording.unsure_ns() <= seen[name] <=
               true_ns + allowed + recording.stolen_ns, text)
    others = {sample.frames[0].function for sample in samples if PROGRAM.match(sample.frames[0].function)
              and not sample.frames[0].function.endswith(tuple(seen))}
    expect(not others, f"{text}; there are others: {others}")
    addresses = [{sample.frames[0].address for sample in samples if sample.frames[0].function.endswith(f"_{name}")}
                 for name in seen]
    return f"{text}{len(addresses[0] & addresses[1])} addresses were of both"


if __name__ == "__main__":
    main([short_lived_programs])
