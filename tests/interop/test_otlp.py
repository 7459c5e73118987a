#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OTLP messages against the official schema and the rules of otlp_rules.py: of made profiles in every
shape, of halves of messages, of a real recording beside its pprof file. The rules themselves are tried on
messages broken on purpose.

Usage: test_otlp.py BOLOMETER OTLP_SAMPLES SCHEMA-DIRECTORY"""
import copy
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from pathlib import Path

import otlp_check
import otlp_rules
import otlp_schema

PROFCHECK = "github.com/open-telemetry/sig-profiling/profcheck/cmd/profcheck@latest"
FIND_GO = Path(__file__).parents[2] / "scripts" / "find-go.sh"
SKIPPED = 77
UNSUPPORTED = 3
BOLOMETER = SAMPLES = ""
SCHEMA = None


def findings(*messages):
    return [finding for data in messages for finding in otlp_rules.all_findings(data)]


def events(*messages):
    return sum(otlp_rules.events_of(profile) for data in messages
               for _, _, _, profile in otlp_rules.profiles_of(data))


def stacks(data):
    """Names from leaf to root -> events."""
    dictionary, counts = data.dictionary, Counter()
    for _, _, _, profile in otlp_rules.profiles_of(data):
        for sample in profile.samples:
            names = []
            for index in dictionary.stack_table[sample.stack_index].location_indices:
                for line in dictionary.location_table[index].lines:
                    function = dictionary.function_table[line.function_index]
                    names.append(dictionary.string_table[function.name_strindex])
            counts[tuple(names)] += sum(sample.values) or len(sample.timestamps_unix_nano)
    return counts


class Directory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.directory)


class Made(Directory):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        output = subprocess.run([SAMPLES, str(cls.directory)], check=True, capture_output=True,
                                text=True).stdout
        cls.kinds = {}
        for line in output.splitlines():
            name, count, total = line.split()
            files = [cls.directory / f"{name}-{i}.otlp" for i in range(int(count))]
            cls.kinds[name] = [otlp_check.read(SCHEMA, file) for file in files], int(total)

    def test_rules(self):
        for name, (messages, _) in self.kinds.items():
            with self.subTest(name):
                self.assertEqual(findings(*messages), [])

    def test_sums(self):
        for name, (messages, total) in self.kinds.items():
            with self.subTest(name):
                self.assertEqual(events(*messages), total)

    def test_ids(self):
        for name, (messages, _) in self.kinds.items():
            ids = [profile.profile_id for data in messages
                   for _, _, _, profile in otlp_rules.profiles_of(data)]
            self.assertEqual(len(ids), len(set(ids)), name)

    def test_parts_add_up(self):
        whole = stacks(self.kinds["rest"][0][0])
        for name in "halves", "limit":
            messages = self.kinds[name][0]
            self.assertGreater(len(messages), 3)
            self.assertEqual(sum(map(stacks, messages), Counter()), whole, name)

    def test_losses_stand_once(self):
        for name in "rest", "halves", "limit":
            found = [otlp_rules.attributes_of(profile.attribute_indices, data.dictionary)
                     for data in self.kinds[name][0]
                     for _, _, _, profile in otlp_rules.profiles_of(data)]
            lost = [a["bolometer.lost_ring_full"] for a in found if a]
            self.assertEqual(lost, [3], name)

    def test_damaged_text_is_valid(self):
        data = self.kinds["hostile"][0][0]
        self.assertIn("bad\ufffd\ufffdname", data.dictionary.string_table)
        dropped = sum(profile.dropped_attributes_count
                      for _, _, _, profile in otlp_rules.profiles_of(data))
        self.assertEqual(dropped, 5)


class Original(Directory):
    """OpenTelemetry's own checker, where Go and its module proxy have it."""

    def profcheck(self):
        found = shutil.which("profcheck")
        go = subprocess.run([FIND_GO], capture_output=True, text=True).stdout.strip()
        if found or not go:
            return found
        environment = dict(os.environ, GOBIN=str(self.directory), GOTOOLCHAIN="local")
        try:
            result = subprocess.run([go, "install", PROFCHECK], env=environment, timeout=100,
                                    capture_output=True)
        except subprocess.TimeoutExpired:
            return None
        return str(self.directory / "profcheck") if result.returncode == 0 else None

    def test_made(self):
        checker = self.profcheck()
        if not checker:
            self.skipTest("profcheck is neither installed nor to be had from Go's module proxy")
        subprocess.run([SAMPLES, str(self.directory)], check=True, capture_output=True)
        files = sorted(self.directory.glob("*.otlp"))
        self.assertGreater(len(files), 10)
        for file in files:
            result = subprocess.run([checker, "-check-dupes", "-check-orphans", str(file)],
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stdout)


class Recorded(Directory):
    """A recording writes both formats from one profile: they must tell the same."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.otlp, cls.pprof = cls.directory / "host.otlp", cls.directory / "host.pb.gz"
        spin = "import time\nwhile time.process_time() < 1: pass"
        result = subprocess.run([BOLOMETER, "record", "--no-cache", "-o", str(cls.otlp), "-o",
                                 str(cls.pprof), "--", sys.executable, "-c", spin],
                                capture_output=True, text=True)
        if result.returncode == UNSUPPORTED:
            raise unittest.SkipTest(f"no recording here: {result.stderr.strip()}")
        assert result.returncode == 0, result.stderr
        cls.data = otlp_check.read(SCHEMA, cls.otlp)

    def test_rules(self):
        self.assertEqual(findings(self.data), [])

    def test_same_as_pprof(self):
        converted = self.directory / "converted.otlp"
        subprocess.run([BOLOMETER, "convert", str(self.pprof), str(converted)], check=True)
        other = otlp_check.read(SCHEMA, converted)
        self.assertEqual(findings(other), [])
        self.assertGreater(events(self.data), 20)
        self.assertEqual(stacks(self.data), stacks(other))

    def test_times(self):
        for where, _, _, profile in otlp_rules.profiles_of(self.data):
            self.assertEqual({otlp_rules.shape_of(s) for s in profile.samples}, {"times"}, where)
            self.assertLess(abs(profile.period - 1e9 / 99), 5e6, where)

    def test_resource(self):
        found = {}
        for _, resource, _, _ in otlp_rules.profiles_of(self.data):
            pairs = {p.key: otlp_rules.any_value(p.value) for p in resource.resource.attributes}
            found[pairs["process.executable.name"]] = pairs
        name = Path(sys.executable).resolve().name
        self.assertIn(name, found)
        self.assertEqual(found[name]["service.name"], f"unknown_service:{name}")
        self.assertTrue(found[name]["process.executable.path"].endswith(f"/{name}"))
        self.assertEqual(found[name]["os.type"], "linux")
        self.assertTrue(found[name]["host.name"])

    def test_htlhash_is_that_of_the_file(self):
        import hashlib
        dictionary, checked = self.data.dictionary, 0
        for mapping in dictionary.mapping_table[1:]:
            path = Path(dictionary.string_table[mapping.filename_strindex])
            if not path.is_file():
                continue
            content = path.read_bytes()
            part = min(len(content), 4096)
            digest = hashlib.sha256(content[:part] + content[len(content) - part:] +
                                    len(content).to_bytes(8, "big")).hexdigest()[:32]
            attributes = otlp_rules.attributes_of(mapping.attribute_indices, dictionary)
            self.assertEqual(attributes[otlp_rules.BUILD_IDS[2]], digest, path)
            checked += 1
        self.assertGreater(checked, 0)


class Rules(Directory):
    """Each breaks one thing in a sound message; the rules must see it."""

    def broken(self, change):
        data = copy.deepcopy(self.data)
        profile = data.resource_profiles[0].scope_profiles[0].profiles[0]
        change(data, data.dictionary, profile)
        return findings(data)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([SAMPLES, str(cls.directory)], check=True, capture_output=True)
        cls.data = otlp_check.read(SCHEMA, cls.directory / "times-0.otlp")

    def test_each(self):
        def duplicate(table):
            return lambda data, d, p: getattr(d, table).append(getattr(d, table)[1])

        changes = {
            "no resources": lambda data, d, p: data.ClearField("resource_profiles"),
            "no dictionary": lambda data, d, p: data.ClearField("dictionary"),
            "no stack table": lambda data, d, p: d.ClearField("stack_table"),
            "link 0 set": lambda data, d, p: setattr(d.link_table[0], "trace_id", bytes(16)),
            "short span": lambda data, d, p: setattr(d.link_table[1], "span_id", b"x"),
            "string 0 set": lambda data, d, p: d.string_table.insert(0, "x"),
            "stack out of range": lambda data, d, p: setattr(p.samples[0], "stack_index", 99999),
            "negative index": lambda data, d, p: setattr(p.samples[0], "link_index", -1),
            "time too early": lambda data, d, p: setattr(p, "time_unix_nano", 2**62),
            "time too late": lambda data, d, p: setattr(p, "duration_nano", 1),
            "two shapes": lambda data, d, p: p.samples[0].values.extend(
                [1] * len(p.samples[0].timestamps_unix_nano)),
            "values with times": lambda data, d, p: p.samples[0].values.append(1),
            "no value": lambda data, d, p: p.samples[0].ClearField("timestamps_unix_nano"),
            "sample twice": lambda data, d, p: p.samples.append(p.samples[0]),
            "key twice": lambda data, d, p: p.samples[0].attribute_indices.append(
                p.samples[0].attribute_indices[0]),
            "mapping upside down": lambda data, d, p: setattr(d.mapping_table[1],
                                                              "memory_start", 2**60),
            "no build id": lambda data, d, p: d.mapping_table[1].ClearField("attribute_indices"),
            "no frame type": lambda data, d, p: d.location_table[1].ClearField(
                "attribute_indices"),
            "negative line": lambda data, d, p: setattr(d.location_table[1].lines[0], "line", -1),
            "zero id": lambda data, d, p: setattr(p, "profile_id", bytes(16)),
            "no id": lambda data, d, p: p.ClearField("profile_id"),
            "no period type": lambda data, d, p: p.ClearField("period_type"),
            "no samples": lambda data, d, p: p.ClearField("samples"),
            "no scope": lambda data, d, p: data.resource_profiles[0].scope_profiles[0].ClearField(
                "scope"),
            "no service": lambda data, d, p: data.resource_profiles[0].ClearField("resource"),
            "reference in resource": lambda data, d, p: setattr(
                data.resource_profiles[0].resource.attributes[0], "key_strindex", 1),
            "orphan": lambda data, d, p: d.string_table.append("nobody refers to this"),
            **{f"duplicate in {table}": duplicate(table)
               for table in otlp_rules.TABLES.values()},
        }
        self.assertEqual(findings(self.data), [])
        for name, change in changes.items():
            with self.subTest(name):
                self.assertNotEqual(self.broken(change), [])

    def test_order_of_attributes(self):
        """A mapping with another's attributes in another order is that one again."""
        def turned_around(data, d, p):
            again = d.mapping_table.add()
            again.CopyFrom(next(m for m in d.mapping_table if len(m.attribute_indices) > 1))
            again.attribute_indices[:] = reversed(again.attribute_indices)

        self.assertTrue([finding for finding in self.broken(turned_around) if "mapping table: 2 times" in finding])

    def test_unknown_field(self):
        raw = self.data.SerializeToString() + b"\x9a\x06\x01x"
        data = SCHEMA.ProfilesData()
        data.ParseFromString(raw)
        self.assertEqual(findings(data), ["message: unknown field 99"])


if __name__ == "__main__":
    BOLOMETER, SAMPLES, directory = sys.argv[1:4]
    del sys.argv[1:4]
    try:
        SCHEMA = otlp_schema.load(directory)
    except otlp_schema.Unavailable as reason:
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)
    unittest.main()
