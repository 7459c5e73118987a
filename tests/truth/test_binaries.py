#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
One program as every kind of binary a host may run: linked statically or to musl, stripped, with its
debug information elsewhere or compressed, deleted or replaced while it runs, never in a file system, or
in one that the host does not see. Each time the split of its CPU time, its callers and the names must be
those it says of itself.

    test_binaries.py BOLOMETER WORKLOADS
"""

import collections
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "faults"))
from hanging_mount import mounted  # noqa: E402
from recording import Bench, Program, cpu_ns, expect, main, mark  # noqa: E402

SECONDS = 1.2
# Dozens of standard deviations for some thousand ticks: names are tested here, not the clock.
SHARE_ERROR = 0.05
COMPLETE = 0.99
LARGEST_EARLY = 0.25  # of a binary nobody has seen before
NOT_READY = "[tables not ready]"
LOADER = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
# With and without the names of inlined functions.
WORKERS = ("work_in_parts", "calibrate_part", "main")
CALLERS = {"split_helper": ("split_caller",), "split_caller": WORKERS, "split_leaf": WORKERS,
           "split_memory": WORKERS, "work_in_parts": ("main",)}
# Of a 32-bit program: who calls the leaf, and who makes system calls, down to the entry.
OUT_OF_SIGNAL = ("[vdso]", "__kernel_vsyscall", "compat_call", "compat_signals")
COMPAT_CALLERS = {"compat_leaf": [(), ("compat_variable",), ("compat_aligned",), ("compat_deep",) * 51,
                                  ("compat_handler", *OUT_OF_SIGNAL),
                                  ("compat_handler_with_info", *OUT_OF_SIGNAL)],
                  "__kernel_vsyscall": [("compat_call", "compat_calls"), ("compat_call", "compat_signals")]}


def run(*command):
    subprocess.run([str(word) for word in command], check=True)


def objcopy(*arguments):
    run("objcopy", *arguments)


@contextlib.contextmanager
def directory():
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


def samples_of(recording, program):
    """By name alone: inside another pid namespace a program does not know its number."""
    samples = [sample for sample in recording.profile.samples
               if sample.labels.get("process.executable.name") == program]
    expect(samples, f"no sample of {program}, only of " + ", ".join(sorted(
        {str(s.labels.get("process.executable.name")) for s in recording.profile.samples})))
    return samples


def count(samples):
    return sum(sample.count for sample in samples)


def check_complete(recording, samples, entry):
    """Those that came in time reach the entry, and it has its name."""
    early = [sample for sample in samples if mark(sample) == NOT_READY]
    recording.watch.expect(count(early) <= LARGEST_EARLY * count(samples),
                           f"{count(early)} of {count(samples)} samples before the tables were ready")
    in_time = [sample for sample in samples if mark(sample) != NOT_READY]
    whole = [sample for sample in in_time if sample.frames[-1].function == entry
             or mark(sample) in ("[exiting]", "[starting a program]")]
    others = {sample.names[-1] for sample in in_time if sample not in whole}
    expect(count(whole) >= COMPLETE * count(in_time),
           f"{count(whole)} of {count(in_time)} stacks reach {entry}; others end in {sorted(others)}")
    return [sample for sample in whole if not mark(sample)]


def check_ends(samples):
    """Those that came in time are whole, whatever the outermost function is called."""
    in_time = [sample for sample in samples if mark(sample) != NOT_READY]
    whole = [sample for sample in in_time
             if not mark(sample) or mark(sample) in ("[exiting]", "[starting a program]")]
    others = {mark(sample) for sample in in_time if sample not in whole}
    expect(in_time and count(whole) >= COMPLETE * count(in_time),
           f"{count(whole)} of {count(in_time)} stacks are whole; others end in {sorted(others)}")
    return [sample for sample in whole if not mark(sample)]


def check_split(recording, samples, prefix="split"):
    """The functions' shares of the time are what the program says. Those before the tables were ready are not
    here, and on a busy host they are enough to shift the shares."""
    functions = {name.replace("split", prefix): value
                 for name, value in recording.truth["functions"].items()}
    true_total, seen_total = sum(functions.values()), cpu_ns(samples)
    for function, true_ns in functions.items():
        seen = cpu_ns(sample for sample in samples if function in sample.names) / seen_total
        true = true_ns / true_total
        recording.watch.expect(abs(seen - true) <= SHARE_ERROR,
                               f"{function}: {seen:.1%} seen, {true:.1%} true")


def check_callers(samples):
    """Each of the program's own functions has the caller its source has."""
    for sample in samples:
        names = sample.names
        for callee, caller in zip(names, names[1:]):
            right = CALLERS.get(callee)
            expect(right is None or caller in right, f"{callee} called by {caller}: {names}")


def check_lines(samples, file="split.c"):
    leaves = [sample.frames[0] for sample in samples if sample.frames[0].function == "split_leaf"]
    expect(leaves and all(frame.file.endswith(file) and frame.line > 0 for frame in leaves),
           f"split_leaf without its line: {leaves[:1]}")


def check(recording, program, entry="_start", lines=True):
    samples = check_complete(recording, samples_of(recording, program), entry)
    check_split(recording, samples)
    check_callers(samples)
    if lines:
        check_lines(samples)
    return f"{count(samples)} samples"


def check_command(bench, command, program, **options):
    """Runs it twice: the first time it is new to the recorder."""
    script = 'seconds=$0; "$@" 0.2 >/dev/null && "$@" $seconds && exit'
    recording = bench.record(command=["sh", "-c", script, str(SECONDS), *map(str, command)])
    return check(recording, program, **options)


def check_script(bench, script, program, *arguments, **options):
    """A shell script with SECONDS as $0 that ends with the program's last words."""
    recording = bench.record(command=["sh", "-c", script, str(SECONDS), *map(str, arguments)])
    return check(recording, program, **options)


# ---- Linked in other ways ---------------------------------------------------------------------------


def check_kind(bench, kind, **options):
    if not bench.has(f"split_{kind}"):
        return "SKIPPED: not built here (no such C library)"
    return check_command(bench, bench.workload(f"split_{kind}"), f"split_{kind}", **options)


def static(bench):
    return check_kind(bench, "static")


def static_pie(bench):
    return check_kind(bench, "static_pie")


def musl(bench):
    return check_kind(bench, "musl")


def musl_static(bench):
    return check_kind(bench, "musl_static")


def musl_static_stripped(bench):
    """Neither call frame information nor the names of functions: only the program's own have a caller to
    compare, so what is told is how many stacks are whole."""
    if not bench.has("split_musl_static"):
        return "SKIPPED: not built here (no musl-gcc)"
    with directory() as here:
        program = here / "bare"
        objcopy("--strip-all", bench.workloads / "split_musl_static", program)
        script = 'seconds=$0; "$1" 0.2 >/dev/null && "$1" $seconds && exit'
        recording = bench.record(command=["sh", "-c", script, str(SECONDS), str(program)])
        samples = samples_of(recording, "bare")
        return f"{count(check_ends(samples))} samples"


def musl_threads(bench, kind="musl", *arguments):
    """Threads end where musl's clone() started them, by whatever name."""
    if not bench.has(f"threads_{kind}"):
        return "SKIPPED: not built here (no musl-gcc)"
    program = f"threads_{kind}"
    script = 'seconds=$0; "$@" 0.2 >/dev/null && p=$1 && shift && "$p" $seconds "$@"'
    recording = bench.record(command=["sh", "-c", script, str(SECONDS),
                                      str(bench.workloads / program), *arguments])
    samples = check_ends(samples_of(recording, program))
    worked = [s for s in samples if "thread_work" in s.names]
    expect(count(worked) >= 0.8 * count(samples), f"{count(worked)} of {count(samples)} in thread_work")
    for sample in worked:
        names = sample.names[sample.names.index("thread_work"):]
        expect(names[1] == "thread_main" and len(names) >= 4, f"thread_work called by {names}")
    return f"{count(samples)} samples"


def musl_static_threads(bench):
    return musl_threads(bench, "musl_static")


def musl_short_threads(bench):
    return musl_threads(bench, "musl", "short")


def through_the_loader(bench):
    loader = LOADER[os.uname().machine]
    return check_command(bench, [loader, *bench.workload("split")], os.path.realpath(loader).split("/")[-1])


# ---- Debug information in other places --------------------------------------------------------------


def with_minidebuginfo(bench):
    """As Fedora ships its binaries: https://sourceware.org/gdb/current/onlinedocs/gdb/MiniDebugInfo.html"""
    with directory() as here:
        program, symbols = here / "mini", here / "symbols"
        objcopy("--strip-debug", "--remove-section", ".comment", bench.workloads / "split", symbols)
        run("xz", "--force", symbols)
        objcopy("--strip-all", bench.workloads / "split", program)
        objcopy("--add-section", f".gnu_debugdata={symbols}.xz", program)
        return check_command(bench, [program], "mini", lines=False)


def with_compressed_sections(bench):
    with directory() as here:
        program = here / "compressed"
        objcopy("--compress-debug-sections=zlib", bench.workloads / "split", program)
        return check_command(bench, [program], "compressed")


def with_debuglink(bench):
    with directory() as here:
        program, debug = here / "linked", here / ".debug/linked.debug"
        debug.parent.mkdir()
        objcopy("--only-keep-debug", bench.workloads / "split", debug)
        objcopy("--strip-all", "--remove-section", ".note.gnu.build-id",
                f"--add-gnu-debuglink={debug}", bench.workloads / "split", program)
        return check_command(bench, [program], "linked")


def build_id_of(path):
    notes = subprocess.run(["readelf", "-n", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return notes.split("Build ID: ")[1].split()[0]


def with_debug_file_by_build_id(bench):
    """The directory of debug files is the host's, so the recorder gets one of its own."""
    with directory() as here:
        program, debug, recorder = here / "stripped", here / "debug", here / "recorder"
        objcopy("--only-keep-debug", bench.workloads / "split", debug)
        objcopy("--strip-all", bench.workloads / "split", program)
        identity = build_id_of(program)
        place = f"/usr/lib/debug/.build-id/{identity[:2]}"
        recorder.write_text(
            "#!/bin/sh\nset -e\n[ -n \"$HIDDEN\" ] || exec env HIDDEN=1 unshare -m \"$0\" \"$@\"\n"
            "mkdir -p /usr/lib/debug; mount -t tmpfs tmpfs /usr/lib/debug\n"
            f"mkdir -p {place}; cp {debug} {place}/{identity[2:]}.debug\n"
            f"exec {bench.bolometer} \"$@\"\n")
        recorder.chmod(0o755)
        return check_command(Bench(recorder, bench.workloads), [program], "stripped")


# ---- Files that change or hide ----------------------------------------------------------------------


def deleted_while_it_runs(bench):
    with directory() as here:
        program = here / "deleted"
        shutil.copy(bench.workloads / "split", program)
        return check_script(bench, '"$1" $0 & sleep 0.05; rm "$1"; wait', "deleted", program)


def replaced_while_it_runs(bench):
    """By a file with other names and the same build id: each process keeps the names of its own."""
    with directory() as here:
        program, other = here / "replaced", here / "other"
        shutil.copy(bench.workloads / "split", program)
        renames = [f"--redefine-sym=split_{part}=other_{part}"
                   for part in ("leaf", "caller", "memory", "helper")]
        objcopy("--strip-debug", *renames, bench.workloads / "split", other)
        recording = bench.record(command=[
            "sh", "-c", '"$1" 0.6 >/dev/null & old=$!; sleep 0.3; mv "$2" "$1"; "$1" $0; wait; echo',
            str(SECONDS), str(program), str(other)])
        samples = samples_of(recording, "replaced")
        pids = {sample.labels["process.pid"] for sample in samples}
        expect(len(pids) == 2, f"processes {pids}")
        for pid in pids:
            names = {name for sample in samples if sample.labels["process.pid"] == pid
                     for name in sample.names}
            expected, wrong = (("other", "split") if f"{pid}" == f"{recording.truth['pid']}"
                               else ("split", "other"))
            expect(f"{expected}_leaf" in names and f"{wrong}_leaf" not in names,
                   f"{expected}_leaf expected in process {pid}: {sorted(names)}")
        new = [s for s in samples if s.labels["process.pid"] == recording.truth["pid"]]
        check_split(recording, check_complete(recording, new, "_start"), "other")
    return f"{count(samples)} samples"


def in_memory_alone(bench):
    script = ("import os, sys; f = os.memfd_create('hidden'); os.write(f, open(sys.argv[1], 'rb').read());"
              " os.execve(f, ['hidden', sys.argv[2]], os.environ)")
    return check_command(bench, ["python3", "-c", script, *bench.workload("split")], "memfd:hidden")


def in_another_mount_namespace(bench):
    script = ('unshare -m sh -c \'mount -t tmpfs tmpfs /mnt; cp "$1" /mnt/hidden; /mnt/hidden 0.2 >/dev/null;'
              ' /mnt/hidden $0\' "$0" "$1"')
    return check_script(bench, script, "hidden", *bench.workload("split"))


def on_the_vsyscall_page(bench):
    """No file, no mapping, and no code that runs: the callers are there all the same."""
    if "[vsyscall]" not in pathlib.Path("/proc/self/maps").read_text(encoding="utf-8"):
        return "SKIPPED: this kernel has no vsyscall page"
    script = 'seconds=$0; "$1" 0.2 && "$1" $seconds && exit'
    recording = bench.record(command=["sh", "-c", script, str(SECONDS), *bench.workload("vsyscall")])
    page = "[[vsyscall]+0xffffffffff600000]"
    inside = [sample for sample in samples_of(recording, "vsyscall")
              if page in sample.names and mark(sample) != NOT_READY]
    whole = [sample for sample in inside if sample.names[-1] == "_start" and
             sample.names[sample.names.index(page):][1:3] == ["vsyscall_caller", "main"]]
    # At the end of a call the kernel changes one register after the other.
    expect(inside and count(whole) >= 0.95 * count(inside),
           f"{count(whole)} of {count(inside)} stacks are whole: {inside[:1]}")
    expect(not any(name.startswith("[[bpf]") for sample in inside for name in sample.names),
           "a user's address is taken for the kernel's")
    return f"{count(inside)} samples"


def a_32_bit_program(bench):
    """Frames of each kind down to its entry, out of handlers of signals, and out of system calls."""
    program = bench.workloads / "compat"
    with contextlib.ExitStack() as stack:
        try:
            process = stack.enter_context(Program([program]))
        except OSError as error:
            return f"SKIPPED: this kernel runs no 32-bit programs ({error})"
        stack.callback(process.kill)
        recording = bench.record("-p", process.pid, "-d", "1500ms", "-F", "499")
    samples = check_complete(recording, samples_of(recording, "compat"), "_start")
    for name, callers in COMPAT_CALLERS.items():
        seen = collections.Counter()
        for sample in (s for s in samples if name in s.names):
            below = sample.names[sample.names.index(name) + 1:]
            # Where a handler returns to: nobody calls that, so that no name is there.
            seen[tuple(re.sub(r"^\[\[vdso\]\+0x.*", "[vdso]", caller) for caller in below)] += sample.count
        right = [seen[(*ways, "compat_main", "_start")] for ways in callers]
        expect(min(right) >= 1 and sum(right) >= COMPLETE * seen.total(),
               f"{right} of {seen.total()} have the callers of {name}: {seen.most_common(8)}")
    return f"{count(samples)} samples"


def in_a_mount_of_one_user(bench):
    """As an AppImage is: FUSE lets nobody in but who mounted, and the parser is another user."""
    with contextlib.ExitStack() as stack:
        try:
            contents = (bench.workloads / "split").read_bytes()
            mount = stack.enter_context(mounted("inside", contents, options=""))
        except OSError as error:
            return f"SKIPPED: no FUSE here ({error})"
        return check_command(bench, [mount.path], "inside")


def jit_in_a_pid_namespace(bench):
    """It calls itself by another number than the host, and its /tmp is its own."""
    script = ("mount -t tmpfs tmpfs /mnt; cp $0 /mnt; mount -t tmpfs tmpfs /tmp;"
              " /mnt/jit 0.2 >/dev/null; /mnt/jit 2.5")
    recording = bench.record(command=["unshare", "-m", "-p", "-f", "--mount-proc", "sh", "-c", script,
                                      *bench.workload("jit")])
    samples = check_complete(recording, samples_of(recording, "jit"), "_start")
    named = [s for s in samples if s.names[:4] == ["jit_inner", "jit_outer", "jit_driver", "main"]]
    expect(cpu_ns(named) >= 0.85 * cpu_ns(samples),
           f"{cpu_ns(named) / cpu_ns(samples):.1%} of the time has the names of the JIT code")
    return f"{count(samples)} samples"


if __name__ == "__main__":
    main([static, static_pie, musl, musl_static, musl_static_stripped, musl_threads, musl_static_threads,
          musl_short_threads, through_the_loader, with_minidebuginfo, with_compressed_sections,
          with_debuglink, with_debug_file_by_build_id, deleted_while_it_runs, replaced_while_it_runs,
          in_memory_alone, in_another_mount_namespace, in_a_mount_of_one_user,
          on_the_vsyscall_page, a_32_bit_program, jit_in_a_pid_namespace])
