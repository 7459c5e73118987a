# SPDX-License-Identifier: Apache-2.0
"""A real daemon with a configuration of the test's, and requests to its listeners."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "command"), str(HERE.parent / "truth"), str(HERE.parent / "browser")]

from harness import Failure, expect  # noqa: E402  pylint: disable=wrong-import-position
from load import busy, group_of_tests  # noqa: E402,F401  pylint: disable=wrong-import-position

TOKEN = "correct horse battery staple"
START_SECONDS = 60


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:200]!r}"


def ask(connection, path, method="GET", headers=None, body=None):
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        return Answer(connection.getresponse())


def expect_status(answer, status, what=""):
    expect(answer.status == status, f"{what} wanted {status}, got {answer}")
    return answer


class Daemon:
    def __init__(self, directory, process, port, health_port):
        self.directory = directory
        self.process = process
        self.port, self.health_port = port, health_port
        self.socket = directory / "socket"
        self.token_file = directory / "token"

    def unix(self, path, method="GET", headers=None, body=None, timeout=60):
        return ask(UnixConnection(self.socket, timeout), path, method, headers, body)

    def tcp(self, path, method="GET", token=TOKEN, headers=None):
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return ask(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), path, method, headers)

    def health(self, path, method="GET", headers=None):
        return ask(http.client.HTTPConnection("127.0.0.1", self.health_port, timeout=60), path, method,
                   headers)

    def status(self):
        return expect_status(self.unix("/api/status"), 200).json

    def wait_for_interval(self, after=0):
        """The first interval that ended after the one named; its name."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            live = expect_status(self.unix("/api/live"), 200).json
            if live["interval"] > after:
                return live
            time.sleep(0.1)
        raise Failure("no interval ends")

    def said(self):
        return (self.directory / "errors").read_text(errors="replace")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        expect(self.process.returncode == 0, f"status {self.process.returncode}: {self.said()}")

    def is_ready(self):
        try:
            return self.health("/readyz").status == 200
        except OSError:
            return False


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


@contextlib.contextmanager
def running(bolometer, *sets, extra="", interval="1s", frequency=99):
    """A daemon that answers. It is ended with SIGTERM, which has to give status 0."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        port, health_port = free_port(), free_port()
        (directory / "token").write_text(TOKEN + "\nsecond line\n")
        (directory / "c.yaml").write_text(f"""
sampling: {{frequency: {frequency}}}
interval: {interval}
spool: {{directory: ""}}
cache: {{directory: {directory}/cache}}
http:
  socket: {directory}/socket
  address: 127.0.0.1:{port}
  token_file: {directory}/token
  health_address: 127.0.0.1:{health_port}
""" + extra.format(directory=directory))
        arguments = [bolometer.path, "daemon", "-c", directory / "c.yaml"]
        for key in sets:
            arguments += ["--set", key]
        with open(directory / "errors", "wb") as errors, subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors) as process:
            daemon = Daemon(directory, process, port, health_port)
            try:
                deadline = time.monotonic() + START_SECONDS
                while not daemon.is_ready():
                    expect(process.poll() is None, f"it ended: {daemon.said()}")
                    expect(time.monotonic() < deadline, f"it is never ready: {daemon.said()}")
                    time.sleep(0.05)
                yield daemon
                daemon.end()
            finally:
                process.kill()
