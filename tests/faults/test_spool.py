#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real process that exports is killed at random moments, its disk fills up, becomes read-only or is
taken away, its destination refuses, hangs, loses answers or talks nonsense. Each case ends with the
equation: taken + recovered = sent + waiting + dropped, in samples, and with the numbers that arrived.

Usage: test_spool.py EXPORTER_PROCESS [unittest arguments]"""
import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

REASONS = ["queue_full", "disk", "rejected", "too_large", "damaged", "memory", "shutdown"]
KILLS = 40


class Exporter:
    def __init__(self, directory, received, spool=1 << 30, memory=1 << 30):
        self.process = subprocess.Popen(
            [sys.argv_program, directory, received, str(spool), str(memory)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.error = int(self.process.stdout.readline())

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, line):
        self.tell(line)
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError(f"the exporter ended: {self.process.wait()}")
        return answer if answer.startswith("done") else json.loads(answer)

    def statistics(self):
        return self.ask("statistics")

    def stop(self):
        statistics = self.ask("stop")
        self.close()
        return statistics

    def kill(self):
        self.process.kill()
        self.close()

    def close(self):
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def until(self, condition, what):
        """Waits for something that must come; how long it takes is not the matter."""
        for _ in range(3000):
            statistics = self.statistics()
            if condition(statistics):
                return statistics
            time.sleep(0.01)
        raise AssertionError(f"{what} did not come: {statistics}")

    def drain(self):
        return self.until(lambda s: s["waiting"][0] == 0, "an empty queue")


def dropped(statistics):
    return sum(statistics[reason][1] for reason in REASONS)


def numbers(path):
    return [int(line) for line in path.read_text().split()] if path.exists() else []


class Faults(unittest.TestCase):
    def setUp(self):
        self.top = Path(tempfile.mkdtemp(prefix="bolometer-faults-"))
        self.spool = self.top / "spool"
        self.received = self.top / "received"
        self.mounted = False

    def tearDown(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.top / "disk"], check=False)
        shutil.rmtree(self.top)

    def balance(self, s):
        self.assertEqual(s["taken"][1] + s["recovered"][1],
                         s["sent"][1] + s["waiting"][1] + dropped(s), s)

    def mount(self, size):
        """A disk of its own, `size` bytes; the spool is on it."""
        disk = self.top / "disk"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            self.skipTest("needs to mount a tmpfs")
        self.mounted = True
        self.spool = disk / "spool"
        return disk

    # -- kill -9 ------------------------------------------------------------------------------

    def test_killed_at_random_moments(self):
        """What was durable arrives; only what was being sent arrives twice, and is counted."""
        draw = random.Random(os.environ.get("SEED", 4711))
        durable, next_number = self.top / "durable", 1
        lost_tails = 0
        for _ in range(KILLS):
            exporter = Exporter(self.spool, self.received)
            exporter.ask("answer " + draw.choice(["ok", "slow", "refuse", "lose"]))
            exporter.tell(f"durable {next_number} 100000 {draw.choice([100, 5000, 70000])} {durable}")
            time.sleep(draw.uniform(0.005, 0.08))
            exporter.kill()
            before = Counter(numbers(self.received))
            exporter = Exporter(self.spool, self.received)
            exporter.ask("answer ok")
            exporter.drain()
            statistics = exporter.stop()
            self.balance(statistics)
            arrived = numbers(self.received)[sum(before.values()):]
            self.assertEqual(arrived, sorted(arrived))
            twice = [n for n in arrived if before[n]]
            self.assertLessEqual(len(twice), statistics["maybe_repeated"])
            self.assertLessEqual(statistics["maybe_repeated"], 1)
            lost_tails += statistics["damaged"][0]
            next_number = max([*numbers(self.received), *numbers(durable)], default=0) + 2
        missing = set(numbers(durable)) - set(numbers(self.received))
        self.assertEqual(missing, set())
        self.assertGreater(len(numbers(durable)), KILLS)
        print(f"{KILLS} kills: {len(numbers(durable))} durable payloads all arrived, "
              f"{lost_tails} torn tails")

    # -- the disk -----------------------------------------------------------------------------

    def fill(self, disk):
        with open(disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)

    def test_disk_full(self):
        disk = self.mount("2m")
        exporter = Exporter(self.spool, self.received, memory=200000)
        exporter.ask("add 1 10 10000")
        exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
        self.fill(disk)
        exporter.ask("add 11 40 10000")
        statistics = exporter.until(lambda s: s["taken"][0] == 50 and s["in_memory"][0] <= 20,
                                    "the memory's bound")
        self.assertEqual(statistics["disk_error"], -errno.ENOSPC)
        self.assertGreater(statistics["disk"][0], 0)
        self.balance(statistics)
        (disk / "filler").unlink()
        exporter.ask("add 51 1 10000")
        statistics = exporter.until(lambda s: s["in_memory"][0] == 0, "a disk that takes all")
        self.assertEqual(statistics["disk_error"], 0)
        lost = statistics["disk"]
        exporter.kill()  # what was only in memory is on the disk now
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer ok")
        exporter.drain()
        statistics = exporter.stop()
        self.balance(statistics)
        self.assertEqual(statistics["sent"][0], 51 - lost[0])
        self.assertEqual(sum(numbers(self.received)), sum(range(1, 52)) - lost[1])

    def test_disk_full_all_the_time(self):
        """Sending goes on from memory, and from what the disk held."""
        disk = self.mount("1m")
        exporter = Exporter(self.spool, self.received)
        exporter.ask("add 1 10 10000")
        exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
        self.fill(disk)
        exporter.ask("add 11 10 10000")
        exporter.ask("answer ok")
        exporter.drain()
        self.balance(exporter.stop())
        self.assertEqual(numbers(self.received), list(range(1, 21)))

    def test_read_only(self):
        disk = self.mount("4m")
        exporter = Exporter(self.spool, self.received)
        exporter.ask("add 1 10 1000")
        exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
        exporter.kill()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        exporter = Exporter(self.spool, self.received)
        self.assertEqual(exporter.error, 0)
        exporter.ask("add 11 10 1000")
        statistics = exporter.until(lambda s: s["disk_error"] != 0 and s["taken"][0] == 10,
                                    "the refusal")
        self.assertEqual(statistics["disk_error"], -errno.EROFS)
        self.assertEqual(statistics["recovered"][0], 10)
        self.assertEqual(statistics["in_memory"][0], 10)
        exporter.ask("answer ok")
        statistics = exporter.drain()
        self.assertEqual(numbers(self.received), list(range(1, 21)))
        self.assertEqual(statistics["unmarked"], 10)
        # The notes that they are sent are made up for when the disk is back.
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        exporter.ask("add 21 1 1000")
        exporter.until(lambda s: s["waiting"][0] == 0 and s["disk_error"] == 0, "the disk")
        exporter.kill()
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer ok")
        exporter.drain()
        self.balance(exporter.stop())
        self.assertEqual(Counter(numbers(self.received)), Counter(range(1, 22)))

    def bytes_in_spool(self):
        with contextlib.suppress(FileNotFoundError):  # not made again yet, or a file that has gone
            return sum(entry.stat().st_size for entry in os.scandir(self.spool) if entry.is_file())
        return 0

    def test_unmounted(self):
        """The disk goes away under the daemon and an empty directory is left."""
        disk = self.mount("4m")
        exporter = Exporter(self.spool, self.received)
        exporter.ask("add 1 10 1000")
        exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
        subprocess.run(["umount", "-l", disk], check=True)
        self.mounted = False
        exporter.ask("add 11 10 1000")
        # Until it looks at its directory again it goes on writing to the disk that is gone from sight.
        exporter.until(lambda s: s["taken"][0] == 20 and s["in_memory"][0] == 0
                       and self.bytes_in_spool() >= 20 * 1000, "a new directory")
        exporter.kill()
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer ok")
        exporter.drain()
        self.balance(exporter.stop())
        self.assertEqual(numbers(self.received), list(range(1, 21)))

    def test_two_processes(self):
        first = Exporter(self.spool, self.received)
        second = Exporter(self.spool, self.received)
        self.assertEqual(second.error, -errno.EBUSY)
        second.close()
        first.stop()

    # -- the destination ------------------------------------------------------------------------

    def test_spool_full_while_refused(self):
        exporter = Exporter(self.spool, self.received, spool=200000)
        for first in range(1, 1001, 10):
            exporter.ask(f"add {first} 10 1000")
        statistics = exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
        self.balance(statistics)
        self.assertLessEqual(statistics["disk_bytes"], 200000)
        self.assertGreater(statistics["queue_full"][0], 700)
        exporter.ask("answer ok")
        exporter.drain()
        self.balance(exporter.stop())
        arrived = numbers(self.received)
        self.assertEqual(arrived[-1], 1000)
        self.assertEqual(arrived[1:], list(range(arrived[1], 1001)))
        self.assertEqual(sum(arrived), sum(range(1, 1001)) - statistics["queue_full"][1])

    def test_every_way_to_fail(self):
        for answer in ["refuse", "lose", "hang", "nonsense"]:
            with self.subTest(answer):
                self.received.unlink(missing_ok=True)
                exporter = Exporter(self.spool, self.received)
                exporter.ask("answer " + answer)
                exporter.ask("add 1 50 500")
                if answer != "hang":
                    exporter.until(lambda s: s["retries"] > 2, "attempts")
                self.assertLess(exporter.ask("flush 100"), 0)
                statistics = exporter.until(lambda s: s["in_memory"][0] == 0, "the disk's copy")
                self.balance(statistics)
                self.assertEqual(statistics["waiting"][0], 50)
                exporter.ask("answer ok")
                self.assertEqual(exporter.ask("flush 30000"), 0)
                statistics = exporter.stop()
                self.balance(statistics)
                arrived = Counter(numbers(self.received))
                self.assertEqual(set(arrived), set(range(1, 51)))
                self.assertEqual(sum(arrived.values()) - 50, statistics["maybe_repeated"])

    def test_rejected(self):
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer reject")
        exporter.ask("add 1 20 500")
        statistics = exporter.drain()
        exporter.ask("answer ok")
        exporter.ask("add 21 5 500")
        exporter.drain()
        self.balance(exporter.stop())
        self.assertEqual(statistics["rejected"], [20, 210])
        self.assertEqual(numbers(self.received), list(range(21, 26)))

    def test_end_while_the_destination_hangs(self):
        """The process ends at once, and the next one sends all."""
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer hang")
        exporter.ask("add 1 100 500")
        statistics = exporter.stop()
        self.balance(statistics)
        self.assertEqual(statistics["waiting"][0], 100)
        self.assertEqual(statistics["shutdown"][0], 0)
        exporter = Exporter(self.spool, self.received)
        exporter.ask("answer ok")
        exporter.drain()
        self.balance(exporter.stop())
        self.assertEqual(numbers(self.received), list(range(1, 101)))


def main():
    # Mounts are seen by nobody else, and gone with this process.
    if os.geteuid() == 0 and "BOLOMETER_UNSHARED" not in os.environ:
        os.environ["BOLOMETER_UNSHARED"] = "1"
        unshare = shutil.which("unshare")
        if unshare and subprocess.run([unshare, "-m", "true"], check=False).returncode == 0:
            os.execv(unshare, [unshare, "-m", sys.executable, *sys.argv])
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.argv_program = sys.argv.pop(1)
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
