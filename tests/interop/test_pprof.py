#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pprof files against their reference implementation, `go tool pprof`: what Bolometer writes is read
there as it was meant, and what Go writes passes through Bolometer without losing anything.

Usage: test_pprof.py BOLOMETER"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

BOLOMETER = ""
SKIPPED = 77
FIND_GO = Path(__file__).parents[2] / "scripts" / "find-go.sh"
GO = ""
FOLDED = """main;work;leaf 30
main;work;work;leaf 10
main;work:x;mid_[i];deep_[i] 5
main;read_[k] 40
[no stack] 15
"""


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise AssertionError(f"{' '.join(command)}: {result.returncode}\n{result.stderr}")
    return result.stdout


def pprof(view, *files):
    """The output without the lines that say when and from which file."""
    # Reading the binaries named in a profile would add what is not in the file.
    output = run(GO, "tool", "pprof", "-symbolize=none", *view, *map(str, files))
    return [line.rstrip() for line in output.splitlines()
            if not re.match(r"(File|Time|Build ID|Main binary filename):", line)]


def top(*files, view=("-top", "-nodecount=0", "-nodefraction=0", "-unit=minimum")):
    """Function -> (flat, cumulative), as printed."""
    rows = {}
    for line in pprof(view, *files):
        match = re.match(r"\s*(\S+)\s+\S+%\s+\S+%\s+(\S+)\s+\S+%\s+(.+)", line)
        if match:
            rows[match[3]] = (match[1], match[2])
    return rows


class Written(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        folded = self.directory / "in.folded"
        folded.write_text(FOLDED)
        self.file = self.directory / "out.pb.gz"
        run(BOLOMETER, "convert", str(folded), str(self.file))

    def test_raw(self):
        text = "\n".join(pprof(["-raw"], self.file))
        samples = text.split("Samples:\n")[1].split("Locations\n")[0].splitlines()
        self.assertEqual(samples[0], "samples/count")
        values = [int(line.split(":")[0]) for line in samples[1:]]
        self.assertEqual(values, [30, 10, 5, 40, 15])
        # The location of work:x has three lines, innermost first.
        self.assertRegex(text, r"deep :0:0 s=0(\(.*\))?\n\s+mid :0:0 s=0(\(.*\))?\n\s+work:x :0:0")

    def test_top(self):
        rows = top(self.file)
        self.assertEqual(rows["leaf"], ("40", "40"))
        self.assertEqual(rows["work"], ("0", "40"), "recursion counts once")
        self.assertEqual(rows["main"], ("0", "85"))
        self.assertEqual(rows["deep (inline)"], ("5", "5"))
        self.assertEqual(rows["read"], ("40", "40"))

    def test_tree(self):
        text = "\n".join(pprof(["-tree", "-nodefraction=0", "-edgefraction=0"], self.file))
        self.assertRegex(text, r"40\s+100% \|\s+work\n\s+40\s+\S+\s+\S+\s+40\s+\S+\s+\| leaf")

    def test_raw_message(self):
        plain = self.directory / "out.pb"
        run(BOLOMETER, "convert", str(self.file), str(plain))
        self.assertEqual(pprof(["-raw"], plain), pprof(["-raw"], self.file))


class GoMade(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = Path(tempfile.mkdtemp())
        source = Path(__file__).with_name("make_profiles.go")
        run(GO, "run", str(source), str(cls.directory))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def convert(self, name):
        theirs, ours = self.directory / f"{name}.pb.gz", self.directory / f"{name}-ours.pb.gz"
        run(BOLOMETER, "convert", str(theirs), str(ours))
        return theirs, ours

    def test_nothing_is_lost(self):
        for name in ("cpu", "heap", "goroutine"):
            theirs, ours = self.convert(name)
            raw = pprof(["-raw"], theirs)
            self.assertGreater(len(raw), 10)
            self.assertEqual(pprof(["-raw"], ours), raw, name)

    def test_same_top_and_tree(self):
        for name in ("cpu", "heap"):
            theirs, ours = self.convert(name)
            for view in ("-top", "-tree"):
                self.assertEqual(pprof([view], ours), pprof([view], theirs), f"{name} {view}")

    def test_labels(self):
        _, ours = self.convert("cpu")
        self.assertIn("slow;one", "\n".join(pprof(["-tags"], ours)))

    def test_report_agrees(self):
        theirs = self.directory / "cpu.pb.gz"
        report = json.loads(run(BOLOMETER, "report", "--json", str(theirs)))
        rows = top(theirs, view=("-top", "-nodecount=0", "-nodefraction=0", "-unit=ns"))
        theirs_burn = [int(value.rstrip("ns")) for value in rows["main.burn"]]
        ours_burn = next(f for f in report["functions"] if f["name"] == "main.burn")
        self.assertGreater(theirs_burn[0], 0)  # how much is a matter of load
        self.assertEqual([ours_burn["flat"], ours_burn["cumulative"]], theirs_burn)
        recurse = next(f for f in report["functions"] if f["name"] == "main.recurse")
        self.assertEqual(f"{recurse['cumulative']}ns", rows["main.recurse"][1])

    def test_merge_agrees(self):
        theirs, ours = self.directory / "cpu.pb.gz", self.directory / "sum.pb.gz"
        run(BOLOMETER, "merge", "-o", str(ours), str(theirs), str(theirs))
        self.assertEqual(top(ours), top(theirs, theirs))


if __name__ == "__main__":
    GO = subprocess.run(FIND_GO, capture_output=True, text=True).stdout.strip()
    if not GO:
        print("skipped: there is no go here")
        sys.exit(SKIPPED)
    os.environ["GO111MODULE"] = "off"
    os.environ["GOTOOLCHAIN"] = "local"
    BOLOMETER = sys.argv.pop(1)
    unittest.main()
