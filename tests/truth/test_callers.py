#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Who called: a stack that skips a caller, or takes the wrong one, has the right leaf and is wrong all the
same. Leaf functions without a frame, calls through the PLT and into the vDSO, signal handlers on an
alternate stack, system calls, functions resolved at their first call, vfork(), and a recursion of which every frame
must be there.

    test_callers.py BOLOMETER WORKLOADS
"""

import platform

from recording import bound_ns, cpu_ns, CLOCK_SHARE, expect, expect_near, main, mark

SECONDS = 8
SLICE_NS = 3e6  # the shortest of the workload
COMPLETE = 0.99
# Of each caller's time. Whether a sample has the right caller is known of every one; what others make uncertain of the time may
# hide less than that one is missing.
LARGEST_ERROR = 0.1
DEPTH = 1000
ENTRY = "_start"


def complete_samples(recording, program):
    """Those that reach the entry; nearly all do."""
    samples = recording.samples_of(program)
    complete = [sample for sample in samples if not mark(sample)]
    share = sum(s.count for s in complete) / max(1, sum(s.count for s in samples))
    recording.watch.expect(share >= COMPLETE, f"{share:.2%} of the stacks are complete")
    return complete


def own_frames(sample):
    """Function names, leaf first, without the inlined ones."""
    return [frame.name for frame in sample.frames if not frame.inlined]


def count(samples):
    return sum(sample.count for sample in samples)


def expect_all(what, samples, condition, least=1000):
    """Every one of at least so many samples: one wrong caller is an error."""
    expect(count(samples) >= least, f"{what}: only {count(samples)} samples")
    wrong = [sample for sample in samples if not condition(own_frames(sample))]
    expect(not wrong, f"{what}: {count(wrong)} of {count(samples)} are wrong, such as "
           f"{';'.join(own_frames(wrong[0])[:8]) if wrong else ''}")


def called_by(leaf, caller):
    """Is the frame above `leaf` (with or without the C library's prefixes) of the caller?"""
    def check(names):
        at = max(i for i, name in enumerate(names) if name.endswith(leaf))
        return at + 1 < len(names) and names[at + 1].startswith(caller)
    return check


def leaves(bench):
    recording = bench.record_workload("callers", SECONDS)
    samples = complete_samples(recording, "callers")
    for leaf, caller in recording.truth["leaves"].items():
        matching = [sample for sample in samples
                    if any(name.endswith(leaf) for name in own_frames(sample))]
        if leaf == "clock_gettime":  # the workload's own reading between its slices, and at its ends
            caller = (caller, "thread_cpu_ns", "process_cpu_ns", "main")
        expect_all(f"callers of {leaf}", matching, called_by(leaf, caller))
    functions = recording.truth["functions"]
    total = sum(functions.values())
    for caller, true_ns in functions.items():
        share = min(1, 2 * true_ns / total)
        seen = cpu_ns(sample for sample in samples if caller in own_frames(sample))
        hidden_ns = (cpu_ns(recording.samples_of("callers")) - cpu_ns(samples)) * share
        expect_near(caller, seen, true_ns,
                    bound_ns(share * (total / SLICE_NS + recording.truth["switches"]))
                    + CLOCK_SHARE * true_ns, recording, share, hidden_ns, LARGEST_ERROR)
    in_plt = [sample for sample in samples
              if own_frames(sample)[0].startswith("[callers+") or "@plt" in own_frames(sample)[0]]
    expect_all("callers of the PLT", in_plt,
               lambda names: names[1].startswith(("plt_caller_", "vdso_caller_", "thread_cpu_ns")), 100)
    in_vdso = [sample for sample in samples
               if sample.frames[0].mapping and "vdso" in sample.frames[0].mapping.file]
    expect_all("callers of the vDSO", in_vdso,
               lambda names: any(name.startswith(("vdso_caller_", "thread_cpu_ns"))
                                 for name in names))
    expect_all("names in the vDSO", in_vdso, lambda names: not names[0].startswith("[vdso+"))
    return f"{count(samples)} samples, {count(in_vdso)} in the vDSO, {count(in_plt)} in the PLT"


def alternate_signal_stack(bench):
    recording = bench.record_workload("signals", 2)
    samples = complete_samples(recording, "signals")
    handlers = [sample for sample in samples if "handler_work" in own_frames(sample)
                and "handler" in own_frames(sample)]
    expect_all("handler of handler_work", handlers, called_by("handler_work", "handler"))
    expect_all("entry below the handler", handlers, lambda names: names[-1] == ENTRY)
    interrupted = [sample for sample in handlers if "interrupted_leaf" in own_frames(sample)]
    expect(count(interrupted) >= 0.98 * count(handlers),
           f"{count(interrupted)} of {count(handlers)} handlers interrupted the leaf")
    expect_all("caller of the interrupted leaf", interrupted,
               called_by("interrupted_leaf", "interrupted_caller"))
    return f"{count(handlers)} samples in the handler"


def system_calls(bench):
    samples = complete_samples(bench.record_workload("syscalls", 1), "syscalls")
    for call, caller in (("read_zero", "reading_caller"), ("__x64_sys_pwrite64", "writing_caller")):
        inside = [sample for sample in samples if call in own_frames(sample)]
        expect_all(f"caller of {call}", inside, lambda names: names.count(caller) == 1
                   and names.index(call) < names.index(caller) and names[-1] == ENTRY)
    return f"{count(samples)} samples"


def check_recursion(bench, *arguments):
    samples = complete_samples(bench.record_workload("recursion", 1, DEPTH, *arguments), "recursion")
    inside = [sample for sample in samples if "bottom" in own_frames(sample)]
    expect_all("frames of the recursion", inside, lambda names: names.count("descend") == DEPTH
               and names[names.index("bottom") + 1:names.index("bottom") + 1 + DEPTH]
               == ["descend"] * DEPTH and names[-1] == ENTRY)
    return f"{count(inside)} stacks with exactly {DEPTH} frames of it"


def recursion(bench):
    return check_recursion(bench)


def recursion_below_a_system_call(bench):
    return check_recursion(bench, "kernel")


def is_in_loader_for(sample, caller):
    """Is the function's next frame one of the loader?"""
    at = sample.names.index(caller)
    mapping = sample.frames[at - 1].mapping if at else None
    return bool(mapping) and mapping.file.rpartition("/")[2].startswith("ld-")


def first_calls(bench):
    """The loader's own frames lead to the call that it resolves, from each of their instructions."""
    library = bench.workload("liblazy_library.so")[0]
    samples = complete_samples(bench.record_workload("lazy", 1, library), "lazy")
    inside = [sample for sample in samples if "lazy_caller" in own_frames(sample)]
    calling = [sample for sample in inside if own_frames(sample)[0] != "lazy_caller"]
    expect_all("callers of resolved functions", calling,
               lambda names: names[names.index("lazy_caller") - 1:][:3] == ["call_all", "lazy_caller", "main"]
               and names[-1] == ENTRY, 300)
    resolving = [sample for sample in calling if is_in_loader_for(sample, "call_all")]
    expect(count(resolving) >= count(inside) / 2, f"{count(resolving)} of {count(inside)} in the loader")
    return f"{count(resolving)} samples resolve a function"


def vforks(bench):
    """Parent and child: the return address is in a register, and the stack pointer is the caller's."""
    samples = complete_samples(bench.record_workload("vforks", 1), "vforks")
    inside = [sample for sample in samples if any(name.endswith("vfork") for name in own_frames(sample))]
    expect_all("callers of vfork", inside, called_by("vfork", "vfork_caller"), 300)
    return f"{count(inside)} samples"


def undescribed_code(bench):
    """Code without unwind information, too large to be followed, that keeps frame pointers."""
    if platform.machine() != "x86_64":
        return "other machines have none of it"
    samples = complete_samples(bench.record_workload("undescribed", 1), "undescribed")
    inside = [sample for sample in samples if "described_work" in own_frames(sample)]
    expect_all("callers through undescribed code", inside,
               lambda names: names[names.index("described_work"):][:4]
               == ["described_work", "undescribed", "described_caller", "main"] and names[-1] == ENTRY)
    return f"{count(inside)} samples"


def jit_code_without_frame_pointers(bench):
    """Nobody can say who called it, least of all that nobody did: the frame pointer is 0 there."""
    samples = bench.record_workload("jit", 1, "bare").samples_of("jit")
    inside = [sample for sample in samples
              if own_frames(sample)[0].startswith(("[jit+", "jit_outer"))]
    expect(count(inside) >= 0.9 * count(samples), f"{count(inside)} of {count(samples)} in JIT code")
    expect_all("stacks of bare JIT code", inside, lambda names: len(names) <= 2)
    whole = [sample for sample in inside if mark(sample) != "[broken frame pointer chain]"]
    expect(not whole, f"{count(whole)} of {count(inside)} are called complete")
    return f"{count(inside)} samples"


def safe_mode(bench):
    """No user stack is read below the kernel, every one in user mode is, and no sample goes astray."""
    recording = bench.record_workload("recursion", 1, DEPTH, "kernel", options=["--safe-mode"])
    kernel = user = 0
    expect(recording["safe_mode.kernel_ticks"] == 1, f"{recording.counters}")
    for sample in recording.samples_of("recursion"):
        in_kernel = any(frame.mapping and "kernel" in frame.mapping.file for frame in sample.frames)
        is_cut = mark(sample) == "[not read in safe mode]"
        below = [frame for frame in sample.frames if not frame.inlined and not frame.is_mark
                 and not (frame.mapping and "kernel" in frame.mapping.file)]
        if not below or (mark(sample) and not is_cut):
            continue
        expect(is_cut == in_kernel and (len(below) == 1 or not is_cut),
               f"{len(below)} user frames, {'in' if in_kernel else 'outside'} the kernel: "
               f"{';'.join(frame.name for frame in sample.frames[:8])} … {mark(sample)}")
        kernel += sample.count * in_kernel
        user += sample.count * (not in_kernel)
    expect(kernel > 1000, f"only {kernel} samples in the kernel")
    return f"{kernel} samples in the kernel without the user's callers, {user} in user mode"


if __name__ == "__main__":
    main([leaves, alternate_signal_stack, system_calls, recursion, recursion_below_a_system_call, first_calls, vforks,
          undescribed_code, jit_code_without_frame_pointers, safe_mode])
