# SPDX-License-Identifier: Apache-2.0
"""What the tests of the whole daemon under faults share: the daemon with real load beside it, the account
that it gives of all samples when it ends, and a backend that counts what arrives."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "command"), str(HERE.parent / "export")]
from harness import SKIPPED, Stopwatch, expect, run_tests  # noqa: E402
from http_server import HttpServer, answer  # noqa: E402,F401

MIB = 1 << 20
PATIENCE = 60  # seconds; only a daemon that hangs takes them
LONGEST_END = 8  # five are promised; the rest is for a host under load
CONFIGURATION = """interval: 1s
log: {{level: {level}}}
sampling: {{frequency: {frequency}}}
spool: {{directory: '{spool}'}}
cache: {{enabled: false}}
http: {{socket: '{directory}/socket', health_address: ''}}
{more}
exporters:
  - {{name: it, type: otlp-http, endpoint: '{endpoint}', timeout: {timeout},
     retry: {{initial: 100ms, max: 500ms}}{exporter}}}
"""


# ---- OTLP, as far as counting goes ------------------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of each field of a protobuf message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


def each(data, *path):
    """The messages at a path of field numbers."""
    for number, value in fields(data):
        if number == path[0]:
            if len(path) == 1:
                yield value
            else:
                yield from each(value, *path[1:])


def events(sample):
    """How many events a Sample stands for: its times, or else its value."""
    count = 0
    for number, value in fields(sample):
        if number == 5:
            return len(value) // 8
        if number == 4:
            count = varint(value, 0)[0]
    return count


def profiles(request):
    """{profile id: samples} of an ExportProfilesServiceRequest."""
    return {next(each(profile, 7)): sum(map(events, each(profile, 2)))
            for profile in each(request, 1, 2, 2)}


def starts(request):
    """When the intervals of its profiles began, ns since 1970."""
    return [int.from_bytes(start, "little") for start in each(request, 1, 2, 2, 3)]


# ---- Both ends -----------------------------------------------------------------------------------------

class Backend(HttpServer):
    """`refuse(request, connection)` returns what to answer instead of taking the request, b"" for
    closing the connection, or None."""

    def __init__(self, refuse=None, **options):
        self.refuse = refuse
        self.received = {}
        self.repeated = 0
        self.lock = threading.Lock()
        super().__init__(self.take, **options)

    def take(self, request, connection):
        refusal = self.refuse and self.refuse(request, connection)
        if refusal is not None:
            return refusal or None
        self.note(request)
        return answer(200, Content_Type="application/x-protobuf")

    def note(self, request):
        arrived = profiles(request.content())
        with self.lock:
            for name, samples in arrived.items():
                self.repeated += name in self.received
                self.received[name] = samples

    @property
    def samples(self):
        with self.lock:
            return sum(self.received.values())


class Daemon:
    """A running daemon. `prefix` is a command that starts it."""

    def __init__(self, bolometer, directory, endpoint, frequency=199, timeout="1s", spool=None, more="",
                 exporter="", level="info", prefix=(), environment=None, arguments=()):
        self.directory, self.path = directory, directory + "/bolometer.yaml"
        self.values = {"directory": directory, "endpoint": endpoint, "frequency": frequency,
                       "timeout": timeout, "spool": spool or directory + "/spool", "more": more,
                       "exporter": exporter, "level": level}
        self.configure()
        self.log = open(directory + "/log", "a+b")
        self.start = self.log.seek(0, os.SEEK_END)
        self.process = subprocess.Popen(
            [*prefix, bolometer, "daemon", "--config", self.path, *arguments], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, env={**os.environ, **(environment or {})})
        self.watch = Stopwatch()
        try:
            self.until(lambda: "sampling at" in self.messages(), "the daemon samples")
        except BaseException:
            self.close()  # nobody else has it yet
            raise

    def configure(self, **changes):
        self.values.update(changes)
        pathlib.Path(self.path).write_text(CONFIGURATION.format(**self.values))

    def messages(self):
        with open(self.directory + "/log", "rb") as log:
            log.seek(self.start)
            return log.read().decode(errors="replace")

    def until(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            expect(self.process.poll() is None, f"{what}; it ended: {self.messages()[-1500:]}")
            self.watch.expect(time.monotonic() < end, f"{what}: {self.messages()[-1500:]}")
            time.sleep(0.02)

    def reload(self, **changes):
        before = self.messages().count("configuration reloaded")
        self.configure(**changes)
        self.process.send_signal(signal.SIGHUP)
        self.until(lambda: self.messages().count("configuration reloaded") > before, "reloaded")

    def end(self):
        """SIGTERM. Returns the accounts: a dict for the recording, and one for all its exporter's
        queues together."""
        watch = Stopwatch()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        expect(status == 0, f"status {status}: {self.messages()[-1500:]}")
        watch.expect_within(LONGEST_END, "the end of the daemon")
        recording = accounts(self.messages(), "recording")
        exporter = accounts(self.messages(), "exporter it")
        expect(len(recording) == 1 and exporter, self.messages()[-1500:])
        return recording[0], exporter

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        if self.process.poll() is None:
            self.kill()
        self.log.close()


def accounts(log, who):
    lines = re.findall(rf"{who}: samples (.*)", log)
    return [{name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)} for line in lines]


def check_balance(account):
    expect(account["taken"] + account["recovered"] ==
           account["sent"] + account["waiting"] + account["dropped"], f"it adds up: {account}")


class World:
    def __init__(self, bolometer, workload, directory):
        self.bolometer, self.workload, self.directory = bolometer, workload, directory
        self.daemons = []

    def daemon(self, endpoint, **options):
        daemon = Daemon(self.bolometer, self.directory, endpoint, **options)
        self.daemons.append(daemon)
        return daemon

    def finish(self, daemon, backend=None, lost=0):
        """Ends the daemon and checks that nothing is unaccounted for. Returns the exporter's account."""
        recording, queues = daemon.end()
        for queue in queues:
            check_balance(queue)
        expect(recording["dropped"] == 0, f"the recording drops nothing: {recording}")
        daemon.watch.expect(lost is None or recording["lost"] == lost, f"{recording}")
        taken = sum(queue["taken"] for queue in queues)
        expect(taken == recording["taken"], f"all is given to the exporter: {recording} {queues}")
        expect(recording["taken"] > 20, f"there was load: {recording}")
        if backend:
            sent = sum(queue["sent"] for queue in queues)
            expect(backend.samples == sent, f"{backend.samples} samples arrived, {queues}")
        return queues[-1]


# ---- What the daemon holds -----------------------------------------------------------------------------

def status(world):
    """What the daemon says of itself over its socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(world.directory + "/socket")
        connection.sendall(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return json.loads(answer.read())


def proportional(pid):
    """PSS of the process and its children, bytes."""
    total, children = 0, pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    for process in [pid, *map(int, children.split())]:
        try:
            text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(next(line for line in text.splitlines() if line.startswith("Pss:")).split()[1])
    return total * 1024


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextlib.contextmanager
def load(workload, processes):
    with contextlib.ExitStack() as stack:
        for _ in range(processes):
            process = stack.enter_context(
                subprocess.Popen([workload, "1000"], stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
        yield


def run(test, bolometer, workload):
    with tempfile.TemporaryDirectory(prefix="bolometer-faults-") as directory:
        world = World(bolometer, workload, directory)
        try:
            return test(world)
        finally:
            for daemon in world.daemons:
                daemon.close()


def main(tests, processes=2):
    if os.geteuid() != 0:
        print("SKIPPED: loading BPF programs needs root")
        sys.exit(SKIPPED)
    arguments = sys.argv[1:]
    bolometer = os.path.abspath(arguments.pop(0))
    workload = os.path.abspath(arguments.pop(0)) if processes else None
    chosen = arguments
    with load(workload, processes):
        status = run_tests([(test.__name__, lambda test=test: run(test, bolometer, workload))
                            for test in tests if not chosen or test.__name__ in chosen])
    sys.exit(status)
