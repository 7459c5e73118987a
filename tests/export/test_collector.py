#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a real OpenTelemetry Collector receives is what was sent: over gRPC and HTTP, plain and TLS.

The Collector takes minutes to build, so that is asked for: make collector-test.

Usage: test_collector.py SEND_PAYLOAD COLLECTOR"""
import os
import socket
import subprocess
import sys
import time
import unittest

try:
    import driver
    from driver import TOP, certificates, field, send_once
except ImportError as missing:
    print(f"needs {missing.name} for Python")
    sys.exit(77)

CONFIGURATION = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"{tls}}}
      http: {{endpoint: "127.0.0.1:{http}"{tls}}}
exporters:
  file: {{path: {file}, format: proto, flush_interval: 100ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{profiles: {{receivers: [otlp], exporters: [file]}}}}
"""
TLS = ", tls: {{cert_file: {cert}, key_file: {key}}}"
START_SECONDS = 60


def profile(functions):
    """An ExportProfilesServiceRequest with a stack of two functions for each name."""
    strings = ["", "samples", "count", "cpu", "nanoseconds", *functions]
    names = range(5, len(strings))
    dictionary = field(1, b"")
    dictionary += field(2, b"") + b"".join(field(2, field(3, field(1, i - 4))) for i in names)
    dictionary += field(3, b"") + b"".join(field(3, field(1, i)) for i in names)
    dictionary += field(4, b"")
    dictionary += b"".join(field(5, string.encode()) for string in strings)
    dictionary += field(6, b"")
    count = len(functions)
    dictionary += field(7, b"") + b"".join(
        field(7, field(1, bytes([i % count + 1, (i + 1) % count + 1]))) for i in range(count))
    samples = b"".join(field(2, field(1, i + 1) + field(4, bytes([i + 1]))) for i in range(count))
    one = (field(1, field(1, 1) + field(2, 2)) + samples + b"\x19" + (1700000000 * 10**9).to_bytes(8, "little")
           + field(4, 10**10) + field(5, field(1, 3) + field(2, 4)) + field(6, 10101010)
           + field(7, bytes(range(1, 17))))
    scope = field(1, field(1, b"bolometer")) + field(2, one)
    name = field(1, field(1, b"service.name") + field(2, field(1, b"shop")))
    return field(1, field(1, name) + field(2, scope)) + field(2, dictionary)


def fields(message):
    """The fields of a message in order, each (number, bytes or integer)."""
    at, out = 0, []

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(message):
        key = varint()
        if key & 7 == 0:
            out.append((key >> 3, varint()))
        else:
            size = {1: 8, 5: 4}.get(key & 7) or varint()
            out.append((key >> 3, message[at:at + size]))
            at += size
    return out


def get(message, number, default=b""):
    return next((value for found, value in fields(message) if found == number), default)


def every(message, number):
    return [value for found, value in fields(message) if found == number]


def readable(message):
    """What a message says, whatever stands in which table: a Collector moves strings there."""
    dictionary = get(message, 2)
    strings = [string.decode() for string in every(dictionary, 5)]
    functions = [strings[get(function, 1, 0)] for function in every(dictionary, 3)]
    locations = [[functions[get(line, 1, 0)] for line in every(location, 3)]
                 for location in every(dictionary, 2)]
    stacks = [[locations[index] for index in get(stack, 1)] for stack in every(dictionary, 7)]

    def attribute(pair):
        value = get(pair, 2)
        key = get(pair, 1).decode() or strings[get(pair, 3, 0)]
        return key, get(value, 1).decode() or strings[get(value, 8, 0)]

    def kind(value_type):
        return strings[get(value_type, 1, 0)], strings[get(value_type, 2, 0)]
    return [{"resource": [attribute(pair) for pair in every(get(resource, 1), 1)],
             "scope": get(get(scope, 1), 1),
             "type": kind(get(one, 1)), "period type": kind(get(one, 5)),
             "numbers": [get(one, number, 0) for number in (3, 4, 6, 7)],
             "samples": [(stacks[get(sample, 1, 0)], get(sample, 4)) for sample in every(one, 2)]}
            for resource in every(message, 1) for scope in every(resource, 2)
            for one in every(scope, 2)]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Collector:
    def __init__(self, tls):
        self.ports = {"grpc": free_port(), "http": free_port()}
        self.file = TOP / ("tls.out" if tls else "plain.out")
        words = TLS.format(cert=certificates().path("server"),
                           key=certificates().path("server", "key")) if tls else ""
        configuration = TOP / "collector.yaml"
        configuration.write_text(CONFIGURATION.format(file=self.file, tls=words, **self.ports))
        self.log = open(TOP / "collector.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [COLLECTOR, "--feature-gates=+service.profilesSupport", f"--config={configuration}"],
            stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        while not self.listens():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise AssertionError("the Collector did not start: " + self.log.read()[-2000:])
            time.sleep(0.05)

    def listens(self):
        try:
            for port in self.ports.values():
                socket.create_connection(("127.0.0.1", port)).close()
            return True
        except OSError:
            return False

    def stop(self):
        """Returns the messages it received."""
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        data, messages = self.file.read_bytes(), []
        while data:
            size = int.from_bytes(data[:4], "big")
            messages.append(data[4:4 + size])
            data = data[4 + size:]
        return messages


class Received(unittest.TestCase):
    def exchange(self, tls):
        made = certificates()
        made.issue("server")
        collector = Collector(tls)
        sent = []
        try:
            for protocol in ("grpc", "http"):
                for compression in ("none", "gzip", "zstd"):
                    message = profile([f"{protocol}_{compression}_{i}" for i in range(20)])
                    payload = TOP / f"{protocol}-{compression}"
                    payload.write_bytes(message)
                    url = f"{'https' if tls else 'http'}://127.0.0.1:{collector.ports[protocol]}"
                    result = send_once(protocol=protocol, endpoint=url, compression=compression,
                                       payload=payload, ca=made.path("ca"))
                    self.assertEqual((result["outcome"], result["message"], result["rejected"]),
                                     ("sent", "", 0), result)
                    sent.append(readable(message))
            if not tls:
                self.refusals(collector)
        finally:
            received = collector.stop()
        self.assertEqual([readable(message) for message in received], sent)
        self.assertEqual(len(sent[0][0]["samples"]), 20)
        self.assertEqual(sent[0][0]["samples"][1][0], [["grpc_none_1"], ["grpc_none_2"]])

    def refusals(self, collector):
        big = TOP / "too-big"
        big.write_bytes(profile(["one"]) + field(15, bytes(6 << 20)))
        for compression in ("none", "gzip", "zstd"):
            result = send_once(protocol="grpc", compression=compression, payload=big,
                               endpoint=f"http://127.0.0.1:{collector.ports['grpc']}")
            self.assertEqual((result["outcome"], result["maybe"]), ("too_large", False), result)
        big.write_bytes(b"\xff" * 100)
        for protocol in ("grpc", "http"):
            result = send_once(protocol=protocol, payload=big,
                               endpoint=f"http://127.0.0.1:{collector.ports[protocol]}")
            self.assertEqual(result["outcome"], "rejected", result)

    def test_plain(self):
        self.exchange(tls=False)

    def test_tls(self):
        self.exchange(tls=True)


if __name__ == "__main__":
    COLLECTOR = sys.argv.pop(2)
    if not os.access(COLLECTOR, os.X_OK):
        print("the Collector is not built: make collector-test")
        sys.exit(77)
    driver.main()
