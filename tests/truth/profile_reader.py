# SPDX-License-Identifier: Apache-2.0
"""
Reads pprof files for the tests: plain Python, independent of the product's own encoder and decoder, so
that a slip in either shows. Strict: an id that names nothing, a string index out of range or a wrong
wire type is an error, as in the Go implementation (profile.CheckValid).

Format: github.com/google/pprof, proto/profile.proto; encoding: protobuf wire format.
"""

import dataclasses
import gzip
import sys

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class BadProfile(ValueError):
    """The file breaks the specification."""


def read_varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise BadProfile("broken varint")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7


def read_fields(data):
    """(field number, wire type, value) of each field of a message."""
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = read_varint(data, at)
        elif wire == BYTES:
            size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        elif wire in (FIXED64, FIXED32):
            size = 8 if wire == FIXED64 else 4
            value, at = data[at:at + size], at + size
        else:
            raise BadProfile(f"wire type {wire}")
        if at > len(data) or number == 0:
            raise BadProfile("field runs over the end of its message")
        yield number, wire, value


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def message(data, names, repeated=()):
    """A message as a dict by `names` {number: name}; varints, or bytes of what is nested."""
    result = {name: ([] if name in repeated else 0) for name in names.values()}
    for number, wire, value in read_fields(data):
        name = names.get(number)
        if name is None:
            continue
        if name not in repeated:
            result[name] = value
        elif wire == BYTES and name in PACKED:
            at = 0
            while at < len(value):
                item, at = read_varint(value, at)
                result[name].append(item)
        else:
            result[name].append(value)
    return result


PACKED = ("location_id", "value", "comment")
PROFILE = {1: "sample_type", 2: "sample", 3: "mapping", 4: "location", 5: "function", 6: "string",
           9: "time", 10: "duration", 11: "period_type", 12: "period", 13: "comment",
           14: "default_sample_type"}
PROFILE_REPEATED = ("sample_type", "sample", "mapping", "location", "function", "string", "comment")
VALUE_TYPE = {1: "type", 2: "unit"}
SAMPLE = {1: "location_id", 2: "value", 3: "label"}
LABEL = {1: "key", 2: "text", 3: "number", 4: "unit"}
MAPPING = {1: "id", 2: "start", 3: "limit", 4: "offset", 5: "file", 6: "build_id",
           7: "has_functions", 8: "has_filenames", 9: "has_line_numbers", 10: "has_inline_frames"}
LOCATION = {1: "id", 2: "mapping_id", 3: "address", 4: "line", 5: "is_folded"}
LINE = {1: "function_id", 2: "line", 3: "column"}
FUNCTION = {1: "id", 2: "name", 3: "system_name", 4: "file", 5: "start_line"}


@dataclasses.dataclass(frozen=True)
class Mapping:
    start: int
    limit: int
    offset: int
    file: str
    build_id: str
    has_functions: bool
    has_filenames: bool
    has_line_numbers: bool
    has_inline_frames: bool


@dataclasses.dataclass(frozen=True)
class Frame:
    """One function activation. An inlined one shares mapping and address with its caller."""
    function: str  # "" when the location is not symbolized
    system_name: str
    file: str
    line: int
    mapping: Mapping  # or None
    address: int
    inlined: bool  # into the frame that follows

    @property
    def is_mark(self):
        """Not code, but the reason why the stack ends here: "[tables not ready]"."""
        return self.function.startswith("[") and self.function.endswith("]")

    @property
    def name(self):
        if self.function:
            return self.function
        return f"[{self.mapping.file if self.mapping else ''}+{self.address:#x}]"


@dataclasses.dataclass
class Sample:
    frames: list  # leaf first
    labels: dict  # key: str or int
    values: dict  # type: int

    @property
    def names(self):
        return [frame.name for frame in self.frames]

    @property
    def count(self):
        return self.values["samples"]

    @property
    def cpu(self):
        return self.values["cpu"]


class Profile:
    def __init__(self, data):
        top = message(data, PROFILE, PROFILE_REPEATED)
        self.strings = [text.decode() for text in top["string"]]
        if not self.strings or self.strings[0]:
            raise BadProfile("string 0 is not empty")
        self.types = [self.value_type(raw) for raw in top["sample_type"]]
        self.period_type = self.value_type(top["period_type"]) if top["period_type"] else ("", "")
        self.period = signed(top["period"])
        self.time_ns, self.duration_ns = signed(top["time"]), signed(top["duration"])
        self.comments = [self.text(index) for index in top["comment"]]
        self.default_sample_type = self.text(top["default_sample_type"])
        self.mappings = self.by_id(top["mapping"], MAPPING, self.mapping)
        self.functions = self.by_id(top["function"], FUNCTION, lambda fields: fields)
        self.locations = self.by_id(top["location"], LOCATION, self.location, ("line",))
        self.samples = [self.sample(raw) for raw in top["sample"]]

    @classmethod
    def read(cls, path):
        with (sys.stdin.buffer if path == "-" else open(path, "rb")) as stream:
            data = stream.read()
        return cls(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)

    def text(self, index):
        if index >= len(self.strings):
            raise BadProfile(f"string {index} of {len(self.strings)}")
        return self.strings[index]

    def value_type(self, raw):
        fields = message(raw, VALUE_TYPE)
        return self.text(fields["type"]), self.text(fields["unit"])

    @staticmethod
    def by_id(raws, names, make, repeated=()):
        result = {}
        for raw in raws:
            fields = message(raw, names, repeated)
            if fields["id"] == 0 or fields["id"] in result:
                raise BadProfile(f"id {fields['id']} is zero or given twice")
            result[fields["id"]] = make(fields)
        return result

    def mapping(self, fields):
        flags = [bool(fields[name]) for name in list(MAPPING.values())[6:]]
        return Mapping(fields["start"], fields["limit"], fields["offset"], self.text(fields["file"]),
                       self.text(fields["build_id"]), *flags)

    def location(self, fields):
        """The frames of one location, innermost inlined one first."""
        mapping = None
        if fields["mapping_id"]:
            mapping = self.lookup(self.mappings, fields["mapping_id"], "mapping")
        lines = [message(raw, LINE) for raw in fields["line"]]
        frames = []
        for number, line in enumerate(lines):
            function = self.lookup(self.functions, line["function_id"], "function")
            frames.append(Frame(self.text(function["name"]), self.text(function["system_name"]),
                                self.text(function["file"]), signed(line["line"]), mapping,
                                fields["address"], number + 1 < len(lines)))
        return frames or [Frame("", "", "", 0, mapping, fields["address"], False)]

    @staticmethod
    def lookup(table, key, kind):
        if key not in table:
            raise BadProfile(f"no {kind} {key}")
        return table[key]

    def sample(self, raw):
        fields = message(raw, SAMPLE, ("location_id", "value", "label"))
        if len(fields["value"]) != len(self.types):
            raise BadProfile(f"{len(fields['value'])} values for {len(self.types)} types")
        frames = [frame for key in fields["location_id"]
                  for frame in self.lookup(self.locations, key, "location")]
        labels = {}
        for raw_label in fields["label"]:
            label = message(raw_label, LABEL)
            labels[self.text(label["key"])] = (self.text(label["text"]) if label["text"]
                                               else signed(label["number"]))
        values = {kind: signed(value) for (kind, _), value in zip(self.types, fields["value"])}
        return Sample(frames, labels, values)

    def total(self, kind="cpu"):
        return sum(sample.values[kind] for sample in self.samples)


def main(arguments):
    """Prints a file: one line a stack, root first, as folded stacks with labels."""
    profile = Profile.read(arguments[1])
    for comment in profile.comments:
        print("#", comment)
    for sample in profile.samples:
        print(";".join(reversed(sample.names)), *sample.values.values(), sample.labels)


if __name__ == "__main__":
    main(sys.argv)
