# SPDX-License-Identifier: Apache-2.0
"""Writes small pprof files for the tests: plain Python, independent of the product's encoder.

Format: github.com/google/pprof, proto/profile.proto; encoding: protobuf wire format."""
import gzip
import zlib


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def nested(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def packed(field, values):
    return nested(field, b"".join(map(varint, values)))


def encode(stacks, types=(("samples", "count"), ("cpu", "nanoseconds")), period=None, labelled=(), tagged=(), files=None):
    """The message. `stacks`: {("main", "work"): (3, 30)}, frames from the root; a frame is a name or, to say its line and
    not take its length, ("work", 17). `files`: {"work": "/src/work.c"}. `period`: ("space",
    "bytes", 524288). `labelled`: more samples, [(("main", "work"), (3, 30), ("lifetime", 4, "milliseconds"))]; `tagged`:
    the same with labels of numbers and texts, [(("main",), (3, 30), {"process.pid": 7, "thread.name": "worker"})]."""
    strings = [""]

    def text(string):
        if string not in strings:
            strings.append(string)
        return strings.index(string)

    out = b""
    for name, unit in types:
        out += nested(1, number(1, text(name)) + number(2, text(unit)))
    functions = sorted({name for stack in [*stacks, *(sample[0] for sample in tagged)] for name in stack})
    for stack, values in stacks.items():
        ids = [functions.index(name) + 1 for name in reversed(stack)]
        out += nested(2, packed(1, ids) + packed(2, values))
    for stack, values, label in labelled:
        ids = [functions.index(name) + 1 for name in reversed(stack)]
        out += nested(2, packed(1, ids) + packed(2, values) + nested(
            3, number(1, text(label[0])) + number(3, label[1]) + number(4, text(label[2]))))
    for stack, values, labels in tagged:
        message = packed(1, [functions.index(name) + 1 for name in reversed(stack)]) + packed(2, values)
        for key, value in labels.items():
            said = number(3, value) if isinstance(value, int) else number(2, text(value))
            message += nested(3, number(1, text(key)) + said)
        out += nested(2, message)
    for index, frame in enumerate(functions):
        name, at = frame if isinstance(frame, tuple) else (frame, len(frame))
        address = zlib.crc32(name.encode()) + (at if isinstance(frame, tuple) else 0)  # the same in every file, as code is
        line = nested(4, number(1, index + 1) + number(2, at))
        out += nested(4, number(1, index + 1) + number(3, address) + line)
        out += nested(5, number(1, index + 1) + number(2, text(name)) + number(4, text((files or {}).get(name, ""))))
    out += number(9, 1_700_000_000_000_000_000) + number(10, 10_000_000_000)
    if period:
        out += nested(11, number(1, text(period[0])) + number(2, text(period[1])))
        out += number(12, period[2])
    for string in strings:
        out += nested(6, string.encode())
    return out


def write(path, stacks, compress=True, **more):
    data = encode(stacks, **more)
    with open(path, "wb") as file:
        file.write(gzip.compress(data) if compress else data)
    return path
