# SPDX-License-Identifier: Apache-2.0
"""What an OTLP profiles message must be: the rules of OpenTelemetry's conformance checker (dictionary,
indices, shapes, duplicates, orphans), of the specification's text, and of what Pyroscope and Parca take.
Written from the specification, over the official schema; knows nothing of how Bolometer encodes.

Each function yields one text for each finding."""
from collections import Counter

TABLES = {"mapping": "mapping_table", "location": "location_table", "function": "function_table",
          "link": "link_table", "string": "string_table", "attribute": "attribute_table",
          "stack": "stack_table"}
BUILD_IDS = [f"process.executable.build_id.{kind}" for kind in ("gnu", "go", "htlhash")]
MAX_REQUEST = 4 << 20


def profiles_of(data):
    for r, resource in enumerate(data.resource_profiles):
        for s, scope in enumerate(resource.scope_profiles):
            for p, profile in enumerate(scope.profiles):
                yield f"resource {r} scope {s} profile {p}", resource, scope, profile


def any_value(value):
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None


def attributes_of(indices, dictionary):
    """Key -> value; indices out of range are others' findings."""
    found = {}
    for index in indices:
        if 0 <= index < len(dictionary.attribute_table):
            entry = dictionary.attribute_table[index]
            if 0 <= entry.key_strindex < len(dictionary.string_table):
                found[dictionary.string_table[entry.key_strindex]] = any_value(entry.value)
    return found


class References:
    """Which entries are referred to, and which references lead nowhere."""

    def __init__(self, dictionary):
        self.size = {name: len(getattr(dictionary, field)) for name, field in TABLES.items()}
        self.used = {name: {0} for name in TABLES}
        self.problems = []

    def add(self, where, table, *indices):
        for index in indices:
            if 0 <= index < self.size[table]:
                self.used[table].add(index)
            else:
                self.problems.append(f"{where}: {table} {index} of {self.size[table]}")

    def orphans(self):
        for table, used in self.used.items():
            for index in set(range(self.size[table])) - used:
                yield f"{table} {index} is not referred to"


def collect_references(data):
    dictionary = data.dictionary
    references = References(dictionary)
    for where, _, _, profile in profiles_of(data):
        for value_type in (profile.sample_type, profile.period_type):
            references.add(where, "string", value_type.type_strindex, value_type.unit_strindex)
        references.add(where, "attribute", *profile.attribute_indices)
        for i, sample in enumerate(profile.samples):
            at = f"{where} sample {i}"
            references.add(at, "stack", sample.stack_index)
            references.add(at, "link", sample.link_index)
            references.add(at, "attribute", *sample.attribute_indices)
    for i, stack in enumerate(dictionary.stack_table):
        references.add(f"stack {i}", "location", *stack.location_indices)
    for i, location in enumerate(dictionary.location_table):
        references.add(f"location {i}", "mapping", location.mapping_index)
        references.add(f"location {i}", "attribute", *location.attribute_indices)
        references.add(f"location {i}", "function", *(line.function_index for line in location.lines))
    for i, mapping in enumerate(dictionary.mapping_table):
        references.add(f"mapping {i}", "string", mapping.filename_strindex)
        references.add(f"mapping {i}", "attribute", *mapping.attribute_indices)
    for i, function in enumerate(dictionary.function_table):
        references.add(f"function {i}", "string", function.name_strindex,
                       function.system_name_strindex, function.filename_strindex)
    for i, attribute in enumerate(dictionary.attribute_table):
        references.add(f"attribute {i}", "string", attribute.key_strindex, attribute.unit_strindex)
    return references


def index_findings(data):
    references = collect_references(data)
    yield from references.problems
    yield from references.orphans()


def unique_key_findings(data):
    dictionary = data.dictionary

    def check(where, indices):
        keys = [dictionary.attribute_table[i].key_strindex for i in indices
                if 0 <= i < len(dictionary.attribute_table)]
        for key, count in Counter(keys).items():
            if count > 1:
                yield f"{where}: {count} attributes of key {key}"

    for where, _, _, profile in profiles_of(data):
        yield from check(where, profile.attribute_indices)
        for i, sample in enumerate(profile.samples):
            yield from check(f"{where} sample {i}", sample.attribute_indices)
    for i, mapping in enumerate(dictionary.mapping_table):
        yield from check(f"mapping {i}", mapping.attribute_indices)
    for i, location in enumerate(dictionary.location_table):
        yield from check(f"location {i}", location.attribute_indices)


def entry_identity(name, entry):
    """What makes an entry of a table itself: of attributes the set, not the order."""
    if name == "string":
        return entry
    if name in ("mapping", "location"):
        sorted_copy = type(entry)()
        sorted_copy.CopyFrom(entry)
        sorted_copy.attribute_indices[:] = sorted(entry.attribute_indices)
        entry = sorted_copy
    return entry.SerializeToString(deterministic=True)


def table_findings(data):
    dictionary = data.dictionary
    if not data.HasField("dictionary"):
        yield "no dictionary"
    for name, field in TABLES.items():
        table = getattr(dictionary, field)
        entries = [entry_identity(name, entry) for entry in table]
        if not entries:
            yield f"the {name} table is empty"
        elif entries[0]:
            yield f"{name} 0 is not the zero value"
        for entry, count in Counter(entries).items():
            if count > 1:
                yield f"{name} table: {count} times {entry!r}"
    for i, mapping in enumerate(dictionary.mapping_table):
        if (mapping.memory_start or mapping.memory_limit) and \
                mapping.memory_start >= mapping.memory_limit:
            yield f"mapping {i}: start {mapping.memory_start} limit {mapping.memory_limit}"
        if i and not any(key in attributes_of(mapping.attribute_indices, dictionary)
                         for key in BUILD_IDS):
            yield f"mapping {i} has no build id"
    for i, link in enumerate(dictionary.link_table):
        if i and (len(link.trace_id), len(link.span_id)) != (16, 8):
            yield f"link {i}: ids of {len(link.trace_id)} and {len(link.span_id)} bytes"
    for i, function in enumerate(dictionary.function_table):
        if function.start_line < 0:
            yield f"function {i} starts at line {function.start_line}"
    for i, location in enumerate(dictionary.location_table):
        if any(line.line < 0 or line.column < 0 for line in location.lines):
            yield f"location {i}: negative line or column"


def shape_of(sample):
    values, times = len(sample.values), len(sample.timestamps_unix_nano)
    if values and times:
        return "both" if values == times else f"{values} values with {times} times"
    if values:
        return "values" if values == 1 else f"{values} values"
    return "times" if times else "neither value nor time"


def sample_findings(data):
    for where, _, _, profile in profiles_of(data):
        end = profile.time_unix_nano + profile.duration_nano
        shapes = {shape_of(sample) for sample in profile.samples}
        if len(shapes) > 1 or not shapes <= {"both", "values", "times"}:
            yield f"{where}: sample shapes {sorted(shapes)}"
        for i, sample in enumerate(profile.samples):
            for time in sample.timestamps_unix_nano:
                if not profile.time_unix_nano <= time < end:
                    yield f"{where} sample {i}: {time} not in [{profile.time_unix_nano}, {end})"
        identities = Counter((sample.stack_index, frozenset(sample.attribute_indices),
                              sample.link_index) for sample in profile.samples)
        for identity, count in identities.items():
            if count > 1:
                yield f"{where}: {count} samples are {identity}"


def structure_findings(data):
    if not data.resource_profiles:
        yield "no resource profiles"
    for r, resource in enumerate(data.resource_profiles):
        if not resource.scope_profiles:
            yield f"resource {r} has no scope"
        for s, scope in enumerate(resource.scope_profiles):
            if not scope.profiles:
                yield f"resource {r} scope {s} has no profile"
    ids = Counter()
    for where, _, _, profile in profiles_of(data):
        ids[profile.profile_id] += 1
        if len(profile.profile_id) != 16 or not any(profile.profile_id):
            yield f"{where}: profile id {profile.profile_id.hex()!r}"
    for profile_id, count in ids.items():
        if count > 1:
            yield f"{count} profiles have id {profile_id.hex()}"


def unknown_findings(message, where="message"):
    """Field numbers that the official schema does not have."""
    from google.protobuf import unknown_fields
    for field in unknown_fields.UnknownFieldSet(message):
        yield f"{where}: unknown field {field.field_number}"
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for child in value if hasattr(value, "append") or hasattr(value, "add") else [value]:
            yield from unknown_findings(child, f"{where}.{field.name}")


def conformance_findings(data):
    yield from structure_findings(data)
    yield from table_findings(data)
    yield from index_findings(data)
    yield from unique_key_findings(data)
    yield from sample_findings(data)
    yield from unknown_findings(data)


# ---- Backends --------------------------------------------------------------------------------------


def inline_findings(data):
    """No receiver resolves strings of the dictionary in resources and scopes."""
    for where, resource, scope, _ in profiles_of(data):
        for owner in (resource.resource, scope.scope):
            keys = Counter(pair.key for pair in owner.attributes)
            for pair in owner.attributes:
                if not pair.key or pair.key_strindex or pair.value.string_value_strindex:
                    yield f"{where}: attribute {pair.key!r} refers to the dictionary"
                if keys[pair.key] > 1 or any_value(pair.value) is None:
                    yield f"{where}: attribute {pair.key!r} twice, or without a value"


def text(data, index):
    table = data.dictionary.string_table
    return table[index] if 0 <= index < len(table) else ""


def type_of(data, value_type):
    return text(data, value_type.type_strindex), text(data, value_type.unit_strindex)


def pyroscope_findings(data):
    yield from inline_findings(data)
    for where, resource, scope, profile in profiles_of(data):
        if not profile.HasField("sample_type"):
            yield f"{where}: no sample type"
        name, unit = type_of(data, profile.sample_type)
        period = type_of(data, profile.period_type)
        if "-" in name:
            yield f"{where}: sample type {name}"
        if period == ("cpu", "nanoseconds") and profile.period and any(
                len(s.values) > 1 for s in profile.samples):
            yield f"{where}: values and times of CPU samples"
        if not period[0] and (name, unit) != ("off_cpu", "nanoseconds"):
            yield f"{where}: a profile of {name} without a period type has no name"
        labels = [*resource.resource.attributes, *scope.scope.attributes]
        if len(labels) > 30 or any(len(str(any_value(pair.value))) > 2048 for pair in labels):
            yield f"{where}: {len(labels)} labels, or one that is too long"
        if len(profile.samples) > 16000:
            yield f"{where}: {len(profile.samples)} samples"
        if any(len(sample.attribute_indices) > 100 for sample in profile.samples):
            yield f"{where}: more than 100 labels of a sample"
        if not any(pair.key == "service.name" for pair in resource.resource.attributes):
            yield f"{where}: no service.name"
    if any(len(stack.location_indices) > 1024 + 128 for stack in data.dictionary.stack_table):
        yield "a stack deeper than any of ours"


def parca_findings(data):
    yield from inline_findings(data)
    for i, pair in enumerate(data.dictionary.attribute_table):
        if i and (not text(data, pair.key_strindex) or any_value(pair.value) is None):
            yield f"attribute {i} has no key or no value"
    for where, resource, scope, profile in profiles_of(data):
        if not resource.HasField("resource") or not scope.HasField("scope"):
            yield f"{where}: no resource or scope"
        if not scope.scope.name:
            yield f"{where}: the scope has no name"
        if not profile.HasField("sample_type") or not profile.HasField("period_type"):
            yield f"{where}: no sample type or period type"
        if not profile.samples:
            yield f"{where}: no samples"
        if any(len(s.values) > 1 and not s.timestamps_unix_nano for s in profile.samples):
            yield f"{where}: several values without times"


def elastic_findings(data):
    """It makes events of times only, and needs to know each frame's type and file."""
    dictionary = data.dictionary
    for i, location in enumerate(dictionary.location_table):
        if i and "profile.frame.type" not in attributes_of(location.attribute_indices, dictionary):
            yield f"location {i} has no frame type"
    for i, mapping in enumerate(dictionary.mapping_table):
        htlhash = attributes_of(mapping.attribute_indices, dictionary).get(BUILD_IDS[2], "")
        if i and (len(htlhash) != 32 or set(htlhash) - set("0123456789abcdef")):
            yield f"mapping {i}: htlhash {htlhash!r}"


def all_findings(data):
    yield from conformance_findings(data)
    yield from pyroscope_findings(data)
    yield from parca_findings(data)
    yield from elastic_findings(data)


def events_of(profile):
    """How many samples were taken, whatever the shape; of values in ns, their sum."""
    return sum(sum(sample.values) or len(sample.timestamps_unix_nano) for sample in profile.samples)
