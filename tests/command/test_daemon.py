#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer daemon` as a service: what it tells its manager, reload, signals, and what it does without
its directories or its backend. What is in the profiles is the truth tests' business."""
import gzip
import http.server
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import Stopwatch, expect, main

PATIENCE = 30  # seconds; only a daemon that hangs takes them
CONFIGURATION = """interval: 1s
sampling: {{frequency: {frequency}}}
spool: {{directory: {directory}/state}}
cache: {{enabled: false}}
exporters:
  - {{type: pprof-directory, directory: {directory}/profiles}}
"""


def work_for(seconds):
    """Of CPU time: something is sampled meanwhile."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Manager:
    """The service manager's end of the notify socket."""

    def __init__(self, directory):
        self.path = directory + "/notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.seen = []

    def wait_for(self, line):
        """Waits for a message with this line; returns it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self.socket], [], [], 0.2)[0]:
                message = self.socket.recv(4096).decode()
                self.seen.append(message)
                if line in message.split("\n"):
                    return message
        expect(False, f"the manager hears {line!r}, it heard {self.seen}")


class Daemon:
    def __init__(self, bolometer, directory, *arguments, frequency=99, watchdog=None,
                 configuration=CONFIGURATION, **environment):
        self.directory = directory
        self.path = directory + "/bolometer.yaml"
        self.write(configuration.format(directory=directory, frequency=frequency))
        self.manager = Manager(directory)
        environment = {**os.environ, "NOTIFY_SOCKET": self.manager.path, **environment}
        if watchdog:
            environment["WATCHDOG_USEC"] = str(watchdog)
        self.log = open(directory + "/log", "w+b")
        self.process = subprocess.Popen([bolometer.path, "daemon", "--config", self.path, *arguments],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env=environment)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def __enter__(self):
        self.manager.wait_for("READY=1")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.manager.socket.close()
        self.log.close()

    def messages(self):
        self.log.seek(0)
        return self.log.read().decode()

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    def reload(self, text):
        self.write(text)
        self.signal(signal.SIGHUP)
        self.manager.wait_for("RELOADING=1")
        return self.manager.wait_for("READY=1")

    def profiles(self):
        path = self.directory + "/profiles"
        return sorted(os.listdir(path)) if os.path.isdir(path) else []

    def contents(self, name):
        with gzip.open(f"{self.directory}/profiles/{name}") as file:
            return file.read()


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < end, what)
        time.sleep(0.05)


def tells_its_manager_and_flushes(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        with Daemon(bolometer, directory, watchdog=500000) as daemon:
            daemon.manager.wait_for("WATCHDOG=1")
            daemon.manager.wait_for("WATCHDOG=1")
            wait_until(lambda: daemon.profiles(), "a profile each interval")
            before = len(daemon.profiles())
            work_for(0.2)
            watch = Stopwatch()
            expect(daemon.end() == 0, f"ends with 0: {daemon.messages()}")
            watch.expect_within(5, "the end")
            daemon.manager.wait_for("STOPPING=1")
            expect(len(daemon.profiles()) > before, "the open interval is not lost")
            result = bolometer.run("merge", "-o", directory + "/all.pb.gz",
                                   *[f"{directory}/profiles/{name}" for name in daemon.profiles()])
            expect(result.returncode == 0, "what it wrote can be read", result)


def reload_applies_or_leaves_everything(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        with Daemon(bolometer, directory) as daemon:
            good = CONFIGURATION.format(directory=directory, frequency=199)
            message = daemon.reload(good + "selection: {comm: [no-such-name]}\n")
            expect("configuration reloaded" in message, message)
            expect("sampling.frequency, selection.comm" in daemon.messages(), daemon.messages())
            for wrong in ("sampling: {frequency: 7}\nnonsense: 1\n", "a: [\n"):
                message = daemon.reload(wrong)
                expect("the old one is in force" in message, f"{wrong!r}: {message}")
            expect("bolometer.yaml:2:1: nonsense: unknown key" in daemon.messages(),
                   daemon.messages())
            message = daemon.reload(good.replace("interval: 1s", "interval: 2s")
                                    + "limits: {binaries: 100}\n")
            expect("only a restart applies them: limits.binaries" in daemon.messages(),
                   daemon.messages())
            expect(daemon.end() == 0, daemon.messages())


def reload_changes_the_budget_of_memory(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        with Daemon(bolometer, directory) as daemon:
            for mebibytes in (40, 32):
                daemon.reload(CONFIGURATION.format(directory=directory, frequency=199)
                              + f"budget: {{memory: {mebibytes}MiB}}\n")
                expect("configuration reloaded" in daemon.messages(), daemon.messages())

                def has_it():
                    work_for(0.1)
                    return any(f"budget_memory_bytes={mebibytes << 20}".encode() in daemon.contents(name)
                               for name in daemon.profiles())

                wait_until(has_it, f"profiles of {mebibytes} MiB: {daemon.messages()}")
            expect("only a restart" not in daemon.messages(), daemon.messages())
            expect(daemon.end() == 0, daemon.messages())


def second_signal_ends_at_once(bolometer):
    """The backend takes the connection and never answers: the flush waits for it."""
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as server:
        configuration = ("interval: 1h\nspool: {{directory: {directory}/state}}\n"
                         "cache: {{enabled: false}}\nexporters: [{{type: otlp-http, endpoint: "
                         f"'http://127.0.0.1:{server.getsockname()[1]}'}}}}]\n")
        with Daemon(bolometer, directory, configuration=configuration) as daemon:
            work_for(0.5)  # without a sample nothing would be sent
            daemon.signal(signal.SIGTERM)
            daemon.manager.wait_for("STOPPING=1")
            server.settimeout(PATIENCE)
            server.accept()
            daemon.signal(signal.SIGTERM)
            status = daemon.process.wait(timeout=PATIENCE)
            expect(status == -signal.SIGTERM, f"killed by the second signal, not {status}")


def hanging_backend_ends_in_time(bolometer):
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as server:
        configuration = ("interval: 1h\nspool: {{directory: {directory}/state}}\n"
                         "cache: {{enabled: false}}\nexporters: [{{type: otlp-http, endpoint: "
                         f"'http://127.0.0.1:{server.getsockname()[1]}'}}}}]\n")
        with Daemon(bolometer, directory, configuration=configuration) as daemon:
            work_for(0.5)  # an idle host has no samples to keep
            watch = Stopwatch()
            expect(daemon.end() == 0, daemon.messages())
            watch.expect_within(8, "the end with a backend that hangs")
            expect("were not sent" in daemon.messages(), daemon.messages())
            spool = directory + "/state/otlp-http.otlp"
            kept = sum(os.path.getsize(f"{spool}/{name}") for name in os.listdir(spool))
            expect(kept > 1000, f"what was not sent is on disk: {kept} bytes")


def starts_without_directories_and_backend(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        open(directory + "/file", "w", encoding="utf-8").close()
        configuration = ("interval: 1s\nspool: {{directory: {directory}/file/below}}\n"
                         "cache: {{directory: {directory}/file/cache}}\nexporters:\n"
                         "  - {{type: otlp-grpc, endpoint: 'http://127.0.0.1:1'}}\n"
                         "  - {{type: pprof-directory, directory: {directory}/profiles}}\n")
        with Daemon(bolometer, directory, configuration=configuration) as daemon:
            wait_until(lambda: daemon.profiles(), "the other exporter works")
            expect(daemon.end() == 0, daemon.messages())
            expect("file/below" in daemon.messages(), f"said once: {daemon.messages()}")


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["api-key"], gzip.decompress(body)))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def opentelemetry_variables_suffice(bolometer):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        with Daemon(bolometer, directory,
                    configuration="interval: 1s\nspool: {{directory: {directory}/state}}\n",
                    OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.server_port}/base",
                    OTEL_EXPORTER_OTLP_HEADERS="api-key=a%20secret",
                    OTEL_RESOURCE_ATTRIBUTES="deployment.environment=of-the-test") as daemon:
            wait_until(lambda: server.requests, f"a request: {daemon.messages()}")
            expect(daemon.end() == 0, daemon.messages())
            path, key, body = server.requests[0]
            expect(path == "/base/v1development/profiles" and key == "a secret", f"{path} {key}")
            expect(b"of-the-test" in body, "the resource's attributes")
            expect("a secret" not in daemon.messages(), "no secret in the log")
    server.shutdown()


def wrong_configurations_are_refused(bolometer):
    result = bolometer.run("daemon", "--config", "/nonexistent.yaml")
    expect(result.returncode == 1 and b"/nonexistent.yaml" in result.stderr, "no file", result)
    result = bolometer.run("daemon", "--set", "interval=never")
    expect(result.returncode == 1 and b"--set interval" in result.stderr, "wrong value", result)
    result = bolometer.run("daemon", "extra")
    expect(result.returncode == 2, "no words", result)


main([tells_its_manager_and_flushes, reload_applies_or_leaves_everything, reload_changes_the_budget_of_memory, second_signal_ends_at_once,
      hanging_backend_ends_in_time, starts_without_directories_and_backend,
      opentelemetry_variables_suffice, wrong_configurations_are_refused], needs_root=True)
