#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Disks that are full, read-only or damaged: under the cache of parsed binaries and under the outputs. The
recorder gets file systems of its own.

    test_disk.py BOLOMETER WORKLOADS HOSTILE
"""

import contextlib
import os
import pathlib
import random
import subprocess
import tempfile
import threading

from faults import SECONDS, expect, main
from hanging_mount import mounted

CACHE = "/var/cache/bolometer"
HELD_SECONDS = 8
SEED = 20240522


@contextlib.contextmanager
def recorder_with(faults, commands):
    """Path of a recorder that runs shell commands in a mount namespace of its own first."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory) / "recorder"
        path.write_text("#!/bin/sh\nset -e\n[ -n \"$PRIVATE\" ] || exec env PRIVATE=1 unshare -m \"$0\" \"$@\"\n"
                        f"mkdir -p {CACHE}\n{commands}\nexec {faults.bolometer} \"$@\"\n", encoding="ascii")
        path.chmod(0o755)
        yield path


def record_with_cache(faults, commands, **options):
    with recorder_with(faults, commands) as recorder:
        return faults.record(recorder=recorder, **options)


@contextlib.contextmanager
def filled_cache(faults):
    """A directory with the cache a recording leaves."""
    with tempfile.TemporaryDirectory() as directory:
        record_with_cache(faults, f"mount --bind {directory} {CACHE}", seconds=1)
        entries = [path for path in pathlib.Path(directory).rglob("*") if path.is_file()]
        expect(len(entries) > 3, f"the cache has {len(entries)} files")
        yield directory, entries


def cache_full(faults):
    result = record_with_cache(faults, f"mount -t tmpfs -o size=64k,mode=700 tmpfs {CACHE}")
    expect(result["cache_not_stored"] > 0, "nobody counted")
    return f"{faults.check(result)}, {result['cache_not_stored']} not stored"


def cache_read_only(faults):
    result = record_with_cache(faults, f"mount -t tmpfs -o ro,mode=700 tmpfs {CACHE}")
    expect(result["cache_not_stored"] > 0 or "cache" in result.errors, "neither counted nor said")
    return faults.check(result)


def cache_that_hangs(faults):
    """Whoever makes a file there waits, and with it whoever looks for one: threads, and nobody else. What is lost is
    what would have been stored. A recorder ends when the file system lets its threads."""
    try:
        with mounted("entry", b"") as mount:
            timer = threading.Timer(HELD_SECONDS, mount.release)
            timer.start()
            try:
                result = record_with_cache(faults, f"mount --bind {os.path.dirname(mount.path)} {CACHE}")
            finally:
                timer.cancel()
                mount.release()
    except OSError as error:
        return f"not tried, no FUSE file system can be mounted: {error}"
    seconds, asked = result.profile.duration_ns / 1e9, SECONDS * 3 ** (faults.attempt - 1)
    result.watch.expect(seconds < asked + HELD_SECONDS / 3, f"{seconds:.1f} s of capture, {asked} were asked for")
    expect(result["cache_not_stored"] > 0, "nobody counted")
    return f"{faults.check(result)}, {result['cache_not_stored']} not stored"


def cache_of_others(faults):
    result = record_with_cache(faults, f"mount -t tmpfs -o uid=65534,mode=777 tmpfs {CACHE}")
    expect("cache" in result.errors, "not said")
    return faults.check(result)


def cache_of_garbage(faults):
    """The right names with wrong contents: random bytes, halves, zeros, nothing, a directory."""
    draw = random.Random(SEED)
    with filled_cache(faults) as (directory, entries):
        for number, entry in enumerate(entries):
            good = entry.read_bytes()
            contents = [draw.randbytes(len(good)), good[:len(good) // 2], bytes(len(good)), b"",
                        good[:100] + draw.randbytes(16) + good[116:]][number % 5]
            entry.write_bytes(contents)
        (pathlib.Path(directory) / "garbage").write_bytes(draw.randbytes(1 << 20))
        os.mkfifo(pathlib.Path(directory) / "fifo")
        result = record_with_cache(faults, f"mount --bind {directory} {CACHE}")
    expect(result["cache_damaged"] > 0, "nobody counted")
    return f"{faults.check(result)}, {result['cache_damaged']} of {len(entries)} damaged"


def cache_truncated_while_it_is_read(faults):
    with filled_cache(faults) as (directory, _):
        stop = threading.Event()

        def truncate():
            draw = random.Random(SEED)
            while not stop.wait(0.001):
                for path in pathlib.Path(directory).rglob("*"):
                    with contextlib.suppress(OSError):
                        os.truncate(path, draw.randrange(path.stat().st_size + 1))

        thread = threading.Thread(target=truncate)
        thread.start()
        try:
            result = record_with_cache(faults, f"mount --bind {directory} {CACHE}")
        finally:
            stop.set()
            thread.join()
    return f"{faults.check(result)}, {result['cache_damaged']} damaged"


def output_full(faults):
    """Known before the recording begins."""
    with tempfile.TemporaryDirectory() as directory:
        script = f"mount -t tmpfs -o size=8k tmpfs {directory}; exec {faults.bolometer} record -o {directory}/x"
        done = subprocess.run(["unshare", "-m", "sh", "-c", script + ".pb.gz"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    expect(done.returncode == 1 and "No space left" in done.stderr, f"{done.returncode} {done.stderr}")


def output_becomes_full(faults):
    """An error, no part of a file, and the other output is there."""
    with tempfile.TemporaryDirectory() as directory:
        small, good = f"{directory}/small", f"{directory}/good"
        os.mkdir(small)
        os.mkdir(good)
        listing = f"{directory}/listing"
        script = (f"mount -t tmpfs -o size=300k tmpfs {small}; (sleep 0.5; head -c 1m /dev/zero >{small}/fill)"
                  f" 2>/dev/null & status=0; {faults.bolometer} record -F 499 -d 2s -o {small}/x.html"
                  f" -o {good}/x.pb.gz || status=$?; ls {small} >{listing}; exit $status")
        with faults.harmless():
            done = subprocess.run(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        expect(done.returncode == 1, f"status {done.returncode}: {done.stderr[-500:]}")
        expect("No space left" in done.stderr and "small/x.html" in done.stderr, done.stderr[-500:])
        left = pathlib.Path(listing).read_text(encoding="ascii").split()
        expect(left == ["fill"], f"left behind: {left}")
        subprocess.run([faults.bolometer, "report", f"{good}/x.pb.gz"], check=True,
                       stdout=subprocess.DEVNULL)
    return "an error, no part of a file; the other output is complete"


if __name__ == "__main__":
    main([cache_full, cache_read_only, cache_that_hangs, cache_of_others, cache_of_garbage,
          cache_truncated_while_it_is_read, output_full,
          output_becomes_full])
