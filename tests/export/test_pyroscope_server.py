#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Pyroscope's own handler and schema make of a daemon's pushes: a series for each program, named, whose
samples add up to what the daemon says it sent.

The receiver is built from Pyroscope's Go module, so that is asked for: make collector-test.

Usage: test_pyroscope_server.py BOLOMETER WORKLOAD RECEIVER"""
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SKIPPED = 77
SECONDS = 6
CONFIGURATION = """
interval: 2s
memory: {{growth: true}}
spool: {{directory: {top}/spool}}
cache: {{directory: {top}/cache}}
http: {{socket: {top}/socket, health_address: ""}}
exporters:
  - type: pyroscope-push
    endpoint: http://{address}
    labels: {{region: eu}}
"""
BOLOMETER, WORKLOAD, RECEIVER = (os.path.abspath(path) for path in sys.argv[1:4])


@contextlib.contextmanager
def running(*command, **options):
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def push(top):
    """The receiver's lines and the daemon's messages."""
    with running(RECEIVER, "127.0.0.1:0", stdout=subprocess.PIPE) as receiver:
        address = receiver.stdout.readline().split()[1]
        path = Path(top, "bolometer.yaml")
        path.write_text(CONFIGURATION.format(top=top, address=address))
        with running(WORKLOAD, str(SECONDS + 30), stdout=subprocess.DEVNULL), \
                running(BOLOMETER, "daemon", "--config", path, stderr=subprocess.PIPE) as daemon:
            try:
                daemon.wait(SECONDS)
            except subprocess.TimeoutExpired:
                daemon.send_signal(signal.SIGTERM)
            messages = daemon.communicate(timeout=60)[1]
        receiver.send_signal(signal.SIGTERM)
        return [json.loads(line) for line in receiver.stdout], messages


class Pushes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(prefix="bolometer-pyroscope-") as top:
            cls.series, cls.messages = push(top)
        cls.cpu = [one for one in cls.series if one["labels"]["__name__"] == "process_cpu"]

    def test_nothing_is_refused_or_lost(self):
        sent = int(re.search(r"samples taken=\d+ .*?sent=(\d+)", self.messages)[1])
        self.assertGreater(sent, 100, self.messages)
        self.assertIn("dropped=0", self.messages)
        self.assertEqual(sum(one["sums"][one["types"].index("samples/count")] for one in self.series), sent)

    def test_a_program_is_a_series(self):
        program = os.path.basename(WORKLOAD)
        mine = [one for one in self.cpu if one["labels"].get("process_executable_name") == program]
        self.assertTrue(mine, self.series)
        for one in mine:
            self.assertEqual(one["labels"]["region"], "eu")
            self.assertEqual(one["labels"]["service_name"], "unknown_service:" + program)
            self.assertEqual(one["types"], ["samples/count", "cpu/nanoseconds"])
        self.assertTrue(any("split_leaf" in one["functions"] for one in mine), mine)

    def test_every_series_has_its_name_once_an_interval(self):
        self.assertFalse([one for one in self.series if not one["labels"].get("service_name")])
        self.assertIn("memory", {one["labels"]["__name__"] for one in self.series})
        for one in self.series:
            self.assertNotIn("process_pid", one["labels"])


if __name__ == "__main__":
    if not os.access(RECEIVER, os.X_OK):
        print("SKIPPED: needs Pyroscope's receiver: make collector-test")
        sys.exit(SKIPPED)
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        sys.exit(SKIPPED)
    unittest.main(argv=sys.argv[:1], verbosity=2)
