#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
A process that the kernel kills because its cgroup may have no more memory: its growth, and its stacks on the
CPU, are kept as files beside the recording's, and say where its memory went.

    test_oom.py BOLOMETER WORKLOADS
"""

import contextlib
import json
import pathlib
import signal
import subprocess
import tempfile

from profile_reader import Profile
from heap_recording import NO_LINKS, lacks_links
from recording import Program, Undecided, expect, group_of_tests, main

LIMIT = 48 << 20


def memory_hierarchy():
    """Where groups with a limit can be made: the controller's own hierarchy, or the unified one."""
    for line in pathlib.Path("/proc/mounts").read_text(encoding="ascii").splitlines():
        _, path, kind, options = line.split()[:4]
        if kind == "cgroup" and "memory" in options.split(","):
            return pathlib.Path(path), "memory.limit_in_bytes"
        if kind == "cgroup2":
            with contextlib.suppress(OSError):
                if "memory" in (pathlib.Path(path) / "cgroup.subtree_control").read_text(encoding="ascii"):
                    return pathlib.Path(path), "memory.max"
    return None, None


@contextlib.contextmanager
def limited_group():
    """Enters nothing; yields the file that a process writes itself into."""
    hierarchy, limit = memory_hierarchy()
    if not hierarchy:
        yield None
        return
    with group_of_tests(hierarchy) as group:
        (group / limit).write_text(str(LIMIT), encoding="ascii")
        for swap in ("memory.memsw.limit_in_bytes", "memory.swap.max"):
            with contextlib.suppress(OSError):
                (group / swap).write_text(str(LIMIT if "memsw" in swap else 0), encoding="ascii")
        yield group / "cgroup.procs"


def victim(bench):
    with limited_group() as procs, tempfile.TemporaryDirectory() as directory:
        if procs is None:
            return "SKIPPED: no cgroup hierarchy with a memory controller"
        grow = bench.workload("growth", "small", 512)
        # Once outside the group, so that its tables are ready. The shell stays outside too.
        script = f'"$0" small 4; sh -c \'echo $$ > {procs}; exec "$0" "$@"\' "$0" "$@"; exit 7'
        done = subprocess.run([bench.bolometer, "record", "-e", "cpu,growth", "-o",
                               f"{directory}/%e.pb.gz", "--", "sh", "-c", script, *grow],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        expect(done.returncode == 7, f"status {done.returncode}: {done.stderr}")
        return check_files(pathlib.Path(directory), done.stderr)


def heap(bench):
    """What the victim held is kept too, by the places that allocated it."""
    with limited_group() as procs, tempfile.TemporaryDirectory() as directory:
        if procs is None:
            return "SKIPPED: no cgroup hierarchy with a memory controller"
        script = f'echo $$ > {procs}; exec "$0"'
        with Program(["sh", "-c", script, *bench.workload("heap_steps")], stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE, text=True) as program, \
                Program([bench.bolometer, "record", "-e", "growth,heap", "--exact", "-p", str(program.pid), "-d", "60s",
                         "-o", f"{directory}/%e.pb.gz"],
                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as recorder:
            said = json.loads(program.stdout.readline())
            program.stdin.write("10\n60000\n")  # 180 MB
            program.stdin.flush()
            try:
                expect(program.wait(40) == -signal.SIGKILL, f"{program.returncode}: it is not killed")
            except subprocess.TimeoutExpired as late:
                raise Undecided("the program has not allocated so much") from late
            recorder.send_signal(signal.SIGINT)
            _, errors = recorder.communicate(timeout=50)
        if lacks_links(errors):
            return NO_LINKS
        if not said["probed"]:
            raise Undecided("the probes came too late for the program")
        found = list(pathlib.Path(directory).glob("oom-*-heap.pb.gz"))
        expect(len(found) == 1, f"no heap of the victim: {errors}")
        profile = Profile.read(found[0])
    held = profile.total("inuse_space")
    expect(LIMIT / 2 <= held <= LIMIT, f"{held / 1e6:.1f} MB held of {LIMIT / 1e6:.1f} MB")
    expect(any(text.startswith("oom_victim=") for text in profile.comments), "the victim is named")
    expect(profile.total("alloc_space") > held, "what it gave back was allocated too")
    return f"{held / 1e6:.1f} MB held of {LIMIT / 1e6:.1f} MB"


def check_files(directory, said):
    found = sorted(path.name for path in directory.iterdir())
    growth = next(directory.glob("oom-*-growth-growth.pb.gz"), None)
    if growth is None and any(directory.glob("oom-*-growth-cpu.pb.gz")):
        raise Undecided("others' page faults were so many that none of the victim's was met")
    expect(growth, f"no profile of the victim among {found}: {said}")
    pid = int(growth.name.split("-")[1])
    expect(f"process {pid} (growth) was killed for lack of memory" in said, said)
    profile = Profile.read(growth)
    expect({sample.labels["process.pid"] for sample in profile.samples} == {pid}, "only the victim's samples")
    total = profile.total("growth_space")
    of_function = sum(sample.values["growth_space"] for sample in profile.samples
                      if "touch_small_pages" in sample.names)
    text = f"{total >> 20} MiB of growth of {LIMIT >> 20}, {of_function / max(total, 1):.1%} in touch_small_pages"
    comments = dict(comment.split("=", 1) for comment in profile.comments)
    expect(comments.get("oom_victim") == f"{pid} growth", f"{profile.comments}")
    # A kernel that tells only the victim's number does not tell how much it had.
    if "rss_anonymous_bytes" in comments:
        anonymous = int(comments["rss_anonymous_bytes"])
        text += f", {anonymous >> 20} MiB resident"
        expect(0.7 * LIMIT <= anonymous <= 1.05 * LIMIT, f"{anonymous} bytes of {LIMIT} resident")
    if max(sample.values["growth_space"] / sample.count for sample in profile.samples) > LIMIT / 20:
        raise Undecided(f"{text}: others' page faults make a sample stand for too much")
    expect(of_function >= 0.8 * total, text)
    expect(0.7 * LIMIT <= total <= 1.3 * LIMIT, text)
    cpu = directory / f"oom-{pid}-growth-cpu.pb.gz"
    expect(not cpu.exists() or Profile.read(cpu).total("cpu") > 0, "the CPU profile has samples")
    return f"{text}; {'with' if cpu.exists() else 'without'} a CPU profile"


if __name__ == "__main__":
    main([victim, heap])
