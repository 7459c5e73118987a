#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Spans: threads say in which span they work, and which function a sample is in says which that was. Every sample
must have that link and no other: in an executable, in a library that came with the program or later, and with
both ways in which code reaches a variable of its thread there. A daemon without OTLP keeps spans apart only for labels.

    test_contexts.py BOLOMETER WORKLOADS
"""

import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "service"))
from profile_reader import Profile, read_fields, read_varint  # noqa: E402
from recording import Program, Stopwatch, Undecided, expect, main  # noqa: E402
from running import running  # noqa: E402

SECONDS = 0.7
FREQUENCY = 1499
SPANS = {"in_span_1": 1, "in_span_2": 2}
OTHERS = ("without_context", "in_unfinished_context", "in_lost_context")
FIRST_SECONDS = 0.9  # the program is looked into a moment after its first sample
DAEMON = """
selection: {{exe: [contexts]}}
exporters: [{{type: pprof-directory, directory: {directory}/recorder}}]
"""
PATIENT_INTERVALS = 30
# The CPUs do not learn of it at the same instant.
LEARNED_NS = 20e6


def fields(message):
    """Of a protobuf message: number -> values, numbers or bytes."""
    found = {}
    for number, _, value in read_fields(message):
        found.setdefault(number, []).append(value)
    return found


def packed(values):
    numbers = []
    for value in values:
        at = 0
        while isinstance(value, bytes) and at < len(value):
            number, at = read_varint(value, at)
            numbers.append(number)
        if isinstance(value, int):
            numbers.append(value)
    return numbers


class Message:
    """An OTLP profiles message, as far as links need it; field numbers are those of proto/otlp.proto."""

    def __init__(self, data):
        top = fields(data)
        tables = fields(top[2][0])
        self.strings = [text.decode() for text in tables[5]]
        self.functions = [fields(f).get(1, [0])[0] for f in tables.get(3, [])]
        self.locations = [fields(entry) for entry in tables.get(2, [])]
        self.links = [fields(entry) for entry in tables.get(4, [])]
        self.attributes = [fields(entry) for entry in tables.get(6, [])]
        self.stacks = [packed(fields(entry).get(1, [])) for entry in tables.get(7, [])]
        self.samples = [fields(sample) for resource in top.get(1, [])
                        for scope in fields(resource).get(2, [])
                        for profile in fields(scope).get(2, [])
                        for sample in fields(profile).get(2, [])]

    def names(self, sample):
        for location in self.stacks[sample.get(1, [0])[0]]:
            for line in self.locations[location].get(3, []):
                yield self.strings[self.functions[fields(line).get(1, [0])[0]]]

    def thread(self, sample):
        for index in packed(sample.get(2, [])):
            attribute = self.attributes[index]
            if self.strings[attribute[1][0]] == "thread.id":
                return fields(attribute[2][0])[3][0]
        return 0

    @staticmethod
    def times(sample):
        """Of its events, ns."""
        times = b"".join(sample.get(5, []))
        return struct.unpack(f"<{len(times) // 8}Q", times)

    def link(self, sample):
        """(trace id, span id), or None."""
        index = sample.get(3, [0])[0]
        return (self.links[index][1][0], self.links[index][2][0]) if index else None


def link_of(thread, span):
    number = thread.to_bytes(4, "big")
    return (b"\xb0\x10" + bytes(9) + number + bytes([span]), bytes([span, 0, 0, 0]) + number)


def record(bench, program, seconds, *arguments, environment=None):
    """The OTLP message, the counters, and what may excuse that they are few."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as directory:
        otlp, pprof = f"{directory}/x.otlp", f"{directory}/x.pb.gz"
        with Program(bench.workload(program, FIRST_SECONDS + 60, *arguments), stdout=subprocess.PIPE,
                     env={**os.environ, **(environment or {})}) as workload:
            result = subprocess.run(
                [bench.bolometer, "record", "-v", "-F", str(FREQUENCY), "-p", str(workload.pid), "-d",
                 f"{seconds + FIRST_SECONDS}s", "-o", otlp, "-o", pprof], capture_output=True, text=True, timeout=90,
                check=False)
            workload.kill()
        expect(result.returncode == 0, f"record: {result.stderr[-800:]}")
        comments = [text.split("=", 1) for text in Profile.read(pprof).comments if "=" in text]
        return Message(pathlib.Path(otlp).read_bytes()), dict(comments), watch


def by_piece(message):
    """Samples in the functions that tell the truth: (function, sample)."""
    for sample in message.samples:
        piece = next((name for name in message.names(sample) if name in SPANS or name in OTHERS), None)
        if piece:
            yield piece, sample


def judge(message, watch):
    """Every link is the right one; from the first one on each sample in a span has one, and no other."""
    linked = {}
    for piece, sample in by_piece(message):
        link, thread = message.link(sample), message.thread(sample)
        if link is None:
            continue
        expect(piece in SPANS and link == link_of(thread, SPANS[piece]),
               f"a sample in {piece} of thread {thread} has the link {link[0].hex()} {link[1].hex()}")
        linked.setdefault(piece, []).extend(message.times(sample))
    watch.expect(all(linked.get(piece) for piece in SPANS), f"links in {sorted(linked)} only")
    first = min(min(times) for times in linked.values()) + LEARNED_NS
    missed = [piece for piece, sample in by_piece(message) if piece in SPANS and message.link(sample) is None
              and any(time > first for time in message.times(sample))]
    expect(not missed, f"no link in {missed}, and {sum(map(len, linked.values()))} links elsewhere")


def library(bench, name):
    return str(bench.workloads / f"libcontext_{name}.so")


def of_an_executable(bench):
    message, counters, watch = record(bench, "contexts", SECONDS)
    judge(message, watch)
    watch.expect(int(counters["contexts_unreadable"]) > 0, "contexts that are nowhere are not counted")


def of_a_library_that_came_later(bench):
    for name in ("descriptor", "module"):
        message, _, watch = record(bench, "contexts_of_library", SECONDS, library(bench, name))
        judge(message, watch)


def of_a_library_from_the_start(bench):
    for name in ("descriptor", "module"):
        path = library(bench, name)
        message, _, watch = record(bench, "contexts_of_library", SECONDS, path, environment={"LD_PRELOAD": path})
        judge(message, watch)


def of_processes_that_lie(bench):
    for how in ("silent", "wild"):
        message, counters, watch = record(bench, "contexts", 0, "-", how)
        expect(not any(message.link(sample) for sample in message.samples), f"{how}: links without contexts")
        expect(int(counters["contexts"]) == int(counters["contexts_unreadable"]) == 0, f"{how}: {counters}")
        watch.expect(("contexts_failed" in counters) == (how == "wild"), f"{how}: {counters}")


def in_spans(profile):
    return [(SPANS[piece], sample) for sample in profile.samples for piece in SPANS if piece in sample.names]


def profile_of_daemon(daemon, is_wanted):
    """The first of those that are still to come which is."""
    live, seen = daemon.wait_for_interval(), set((daemon.directory / "recorder").glob("*.pb.gz"))
    for _ in range(PATIENT_INTERVALS):
        for path in sorted(set((daemon.directory / "recorder").glob("*.pb.gz")) - seen):
            seen.add(path)
            profile = Profile.read(path)
            if is_wanted(profile):
                return profile
        live = daemon.wait_for_interval(live["interval"])
    raise Undecided("no such profile")


def has_contexts(profile):
    counters = dict(text.split("=", 1) for text in profile.comments if "=" in text)
    return int(counters.get("contexts", 0)) > 10 and in_spans(profile)


def identity(sample):
    return (tuple((frame.name, frame.address) for frame in sample.frames), frozenset(sample.labels.items()))


def of_a_daemon_with_pprof_alone(bench):
    with Program(bench.workload("contexts", 60, "-", "renewed"), stdout=subprocess.PIPE) as program, \
            running(types.SimpleNamespace(path=bench.bolometer), extra=DAEMON, frequency=499) as daemon:
        profile = profile_of_daemon(daemon, has_contexts)
        expect(not any("span_id" in sample.labels for sample in profile.samples), "labels that nobody asked for")
        expect(len(set(map(identity, profile.samples))) == len(profile.samples), "equal samples stand apart")
        configuration = daemon.directory / "c.yaml"
        configuration.write_text(configuration.read_text().replace("sampling: {", "sampling: {trace_labels: true, "))
        daemon.process.send_signal(signal.SIGHUP)
        profile = profile_of_daemon(daemon, lambda p: has_contexts(p) and any(
            "span_id" in sample.labels for sample in p.samples))
        expect("reloaded: sampling.trace_labels" in daemon.said(), daemon.said())
        program.kill()
    wrong = [(span, sample.labels) for span, sample in in_spans(profile) if
             sample.labels.get("trace_id") != link_of(sample.labels["thread.id"], span)[0].hex() or
             sample.labels["span_id"][:2] != f"{span:02x}" or
             sample.labels["span_id"][8:] != f"{sample.labels['thread.id']:08x}"]
    expect(not wrong, f"labels of other spans: {wrong[:3]}")
    expect(not any("span_id" in sample.labels for sample in profile.samples if "without_context" in sample.names),
           "labels outside of spans")


if __name__ == "__main__":
    main([of_an_executable, of_a_library_that_came_later, of_a_library_from_the_start, of_processes_that_lie,
          of_a_daemon_with_pprof_alone])
