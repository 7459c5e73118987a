#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pprof pushed to Pyroscope, in both forms, as a server takes them apart.

Usage: test_pyroscope.py SEND_PAYLOAD"""
import email
import gzip
import json
import sys
import unittest
import urllib.parse

try:
    import driver
    from driver import PAYLOAD, refusal, send_once
    from http_server import HttpServer, answer
except ImportError as missing:
    print(f"needs {missing.name} for Python (Debian: python3-zstandard)")
    sys.exit(77)


def push(protocol, reply=answer(200), **options):
    options.setdefault("kind", "pprof")
    with HttpServer(lambda request, connection: reply) as server:
        path = options.pop("path", "")
        result = send_once(protocol=protocol, endpoint=server.url + path, **options)
        return result, server.requests[0] if server.requests else None


def form_parts(request):
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    return {part.get_param("name", header="content-disposition"): part.get_payload(decode=True)
            for part in email.message_from_bytes(head + request.body).get_payload()}


class Ingest(unittest.TestCase):
    def test_form(self):
        result, request = push("ingest", application="whole host",
                               label=["region:eu & north", "tier:1"])
        self.assertEqual(result["outcome"], "sent", result)
        target = urllib.parse.urlsplit(request.target)
        self.assertEqual(target.path, "/ingest")
        query = urllib.parse.parse_qs(target.query, strict_parsing=True)
        self.assertEqual(query, {"name": ["whole host{region=eu & north,tier=1}"],
                                 "from": ["1700000000"], "until": ["1700000011"],
                                 "format": ["pprof"], "spyName": ["bolometer"]})
        parts = form_parts(request)
        self.assertEqual(list(parts), ["profile"])
        self.assertTrue(gzip.decompress(parts["profile"]) == PAYLOAD)

    def test_uncompressed_below_a_path(self):
        _, request = push("ingest", compression="none", path="/pyroscope/")
        self.assertTrue(request.target.startswith("/pyroscope/ingest?name=bolometer%7B%7D&from="))
        self.assertTrue(form_parts(request)["profile"] == PAYLOAD)

    def test_labels_that_cannot_be(self):
        for label in ("a=b:c", "a:b,c", ":x", "a:}"):
            self.assertIn("label 1", refusal(protocol="ingest", endpoint="http://127.0.0.1",
                                             label=label))
        self.assertIn("gzip", refusal(protocol="push", endpoint="http://127.0.0.1",
                                      compression="zstd"))


class Push(unittest.TestCase):
    def push(self, reply=answer(200), **options):
        return push("push", reply, kind="series", **options)

    def test_message(self):
        result, request = self.push(answer(200, b"", Content_Type="application/proto"))
        self.assertEqual((result["outcome"], result["message"]), ("sent", ""))
        self.assertEqual(request.target, "/push.v1.PusherService/Push")
        self.assertEqual(request.headers["content-type"], "application/proto")
        self.assertEqual(request.headers["connect-protocol-version"], "1")
        self.assertEqual(request.headers["content-encoding"], "gzip")
        self.assertTrue(gzip.decompress(request.body) == PAYLOAD)

    def test_uncompressed(self):
        _, request = self.push(compression="none", path="/below")
        self.assertEqual(request.target, "/below/push.v1.PusherService/Push")
        self.assertNotIn("content-encoding", request.headers)
        self.assertTrue(request.body == PAYLOAD)

    def test_refusals(self):
        body = json.dumps({"code": "invalid_argument", "message": "old"}).encode()
        for status, outcome in ((400, "rejected"), (429, "retry"), (503, "retry"), (413, "too_large"),
                                (500, "rejected"), (401, "rejected")):
            result, _ = self.push(answer(status, body, Content_Type="application/json"))
            self.assertEqual(result["outcome"], outcome)
            self.assertIn('"message": "old"', result["message"])

    def test_kinds_do_not_mix(self):
        for protocol, kind in (("push", "otlp"), ("push", "pprof"), ("ingest", "series"), ("http", "pprof"),
                               ("http", "series")):
            result, request = push(protocol, kind=kind)
            self.assertEqual((result["outcome"], request), ("rejected", None))


if __name__ == "__main__":
    driver.main()
