#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Processes with too much of something: mappings, names of JIT code, bytes behind a library's end.

    test_processes.py BOLOMETER WORKLOADS HOSTILE
"""

import contextlib
import pathlib
import shutil
import tempfile
import threading
import time

from faults import Undecided, count, expect, jit, main, mark

MAPPINGS = 120000  # more than the recorder reads of one process
MAX_MAP_COUNT = pathlib.Path("/proc/sys/vm/max_map_count")


@contextlib.contextmanager
def many_mappings_allowed():
    """Yields how many mappings a process may have."""
    before = MAX_MAP_COUNT.read_text(encoding="ascii")
    try:
        with contextlib.suppress(OSError):
            MAX_MAP_COUNT.write_text(str(max(int(before), MAPPINGS + 1000)), encoding="ascii")
        yield min(MAPPINGS, int(MAX_MAP_COUNT.read_text(encoding="ascii")) - 1000)
    finally:
        with contextlib.suppress(OSError):
            MAX_MAP_COUNT.write_text(before, encoding="ascii")


def mappings_before_the_recording(faults):
    with many_mappings_allowed() as allowed, \
            faults.victim("mappings", allowed, faults.workloads / "jit") as victim:
        result = faults.record()
    mapped = int(victim.ready[1])
    skipped = result["maps_lines_skipped"]
    expect(mapped <= 100000 or skipped > 0, f"{mapped} mappings, none skipped")
    leaves = [s for s in result.named("hostile") if s.names[0] == "hostile_leaf"]
    expect(count(leaves) > 50, "the process with the mappings has its names too")
    return f"{faults.check(result)}, {mapped} mappings, {skipped} not read"


def mappings_while_recording(faults):
    """As many side-band records in a fraction of a second."""
    with many_mappings_allowed() as allowed, contextlib.ExitStack() as stack:
        def start(_):
            time.sleep(0.5)
            stack.enter_context(faults.victim("mappings", allowed, faults.workloads / "jit"))
        result = faults.record(meanwhile=start)
    return f"{faults.check(result)}, {result['sideband_lost']} records lost"


def check_jit(faults, result):
    """What was read before the file became hostile keeps its name."""
    samples = [s for s in result.named("jit") if not mark(s)]
    named = [s for s in samples if s.names[:2] == ["jit_inner", "jit_outer"]]
    expect(count(samples) > 50 and count(named) >= 0.9 * count(samples),
           f"{count(named)} of {count(samples)} samples of JIT code have their name")
    return faults.check(result)


def sparse_perf_map(faults):
    with jit(faults) as path:
        with open(path, "r+b") as file:
            file.truncate(1 << 30)
        result = faults.record()
    unread = result["jit_bytes_unread"]
    expect(unread > 0, "the bytes not read are not counted")
    return f"{check_jit(faults, result)}, {unread >> 20} MiB not read"


def dense_perf_map(faults):
    with jit(faults) as path:
        with open(path, "ab") as file:
            for block in range(50):
                file.write(b"".join(b"%x 40 function_%d_in_a_long_map\n" % (0x7000000000 + at * 64, at)
                                    for at in range(block * 25000, (block + 1) * 25000)))
        size = path.stat().st_size
        result = faults.record()
    expect(result["jit_bytes_unread"] or result["jit_entries_dropped"], "a loss that nobody counts")
    return (f"{check_jit(faults, result)}, {size >> 20} MiB, {result['jit_bytes_unread'] >> 20} not read, "
            f"{result['jit_entries_dropped']} entries dropped")


def library_that_grows_while_it_runs(faults):
    """Every append makes it another file for whoever looks at size and time."""
    with tempfile.TemporaryDirectory() as directory:
        library = pathlib.Path(directory) / "growing.so"
        shutil.copy(faults.workloads / "libreload_first.so", library)
        stop = threading.Event()

        def grow():
            while not stop.wait(0.0005):
                with open(library, "ab") as file:
                    file.write(b"more")

        thread = threading.Thread(target=grow)
        with faults.victim("library", library, "first_library_work"):
            thread.start()
            try:
                result = faults.record()
            finally:
                stop.set()
                thread.join()
    samples = result.named("hostile")
    expect(count(samples) > 50, f"{count(samples)} samples of it")
    unnamed = count(s for s in samples if mark(s))
    return f"{faults.check(result)}; {unnamed} of {count(samples)} stacks of it end early and say so"


def thread_of_the_kernel(faults):
    """A worker of io_uring has the program's memory and name, and never was in user mode: its stacks have no
    user part, and say so."""
    with faults.victim("worker", "/dev/zero", 64 << 20) as victim:
        if victim.ready[1] != "1":
            raise Undecided("io_uring is not allowed here")
        result = faults.record()
    of_workers = [s for s in result.named("hostile") if (s.labels.get("thread.name") or "").startswith("iou-wrk")]
    result.watch.expect(count(of_workers) > 10, f"{count(of_workers)} samples of io_uring's worker")
    marks = {mark(s) for s in of_workers}
    expect(marks <= {"[user registers not available]"}, f"its stacks end in {marks}")
    return f"{faults.check(result)}, {count(of_workers)} of the worker"


if __name__ == "__main__":
    main([thread_of_the_kernel, mappings_before_the_recording, mappings_while_recording, sparse_perf_map, dense_perf_map,
          library_that_grows_while_it_runs])
