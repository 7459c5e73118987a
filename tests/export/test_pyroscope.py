#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pprof pushed to Pyroscope, in both forms, as a server takes them apart.

Usage: test_pyroscope.py SEND_PAYLOAD"""
import base64
import email
import gzip
import json
import sys
import unittest
import urllib.parse
import uuid

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
    def test_message(self):
        result, request = push("push", answer(200, b"{}", Content_Type="application/json"),
                               application='my "app"', label="region:eu")
        self.assertEqual((result["outcome"], result["message"]), ("sent", ""))
        self.assertEqual(request.target, "/push.v1.PusherService/Push")
        self.assertEqual(request.headers["content-type"], "application/json")
        self.assertEqual(request.headers["connect-protocol-version"], "1")
        series, = json.loads(request.body)["series"]
        self.assertEqual(series["labels"], [{"name": "__name__", "value": "process_cpu"},
                                            {"name": "service_name", "value": 'my "app"'},
                                            {"name": "region", "value": "eu"}])
        sample, = series["samples"]
        self.assertTrue(gzip.decompress(base64.b64decode(sample["rawProfile"], validate=True))
                        == PAYLOAD)
        self.assertEqual(uuid.UUID(sample["ID"]).version, 8)
        again = json.loads(push("push")[1].body)["series"][0]["samples"][0]
        self.assertEqual(again["ID"], sample["ID"])

    def test_refusals(self):
        body = json.dumps({"code": "invalid_argument", "message": "old"}).encode()
        for status, outcome in ((400, "rejected"), (429, "retry"), (503, "retry"), (413, "too_large"),
                                (500, "rejected"), (401, "rejected")):
            result, _ = push("push", answer(status, body, Content_Type="application/json"))
            self.assertEqual(result["outcome"], outcome)
            self.assertIn('"message": "old"', result["message"])

    def test_kinds_do_not_mix(self):
        result, request = push("push", kind="otlp")
        self.assertEqual((result["outcome"], request), ("rejected", None))
        result, request = push("http", kind="pprof")
        self.assertEqual((result["outcome"], request), ("rejected", None))


if __name__ == "__main__":
    driver.main()
