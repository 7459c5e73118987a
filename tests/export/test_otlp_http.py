#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: what is asked, what each answer means, what is made of broken ones.

Usage: test_otlp_http.py SEND_PAYLOAD"""
import email.utils
import sys
import time
import unittest

try:
    import driver
    from driver import BIG_FILE, PAYLOAD, Sender, partial_success, refusal, rpc_status, send_once
    from http_server import HttpServer, answer, reset
except ImportError as missing:
    print(f"needs {missing.name} for Python (Debian: python3-zstandard)")
    sys.exit(77)

PROTOBUF = "application/x-protobuf"
PATH = "/v1development/profiles"


def post(respond, timeout_ms=20000, **options):
    """Sends once; the result and the server that saw it."""
    with HttpServer(respond) as server:
        return send_once(timeout_ms, protocol="http", endpoint=server.url, **options), server


def post_to(reply, **options):
    return post(lambda request, connection: reply, **options)[0]


class Requests(unittest.TestCase):
    def ask(self, **options):
        result, server = post(lambda request, connection: answer(200), **options)
        self.assertEqual(result["outcome"], "sent", result)
        self.assertEqual(len(server.requests), 1)
        return server.requests[0], result

    def test_bodies_arrive_as_they_were(self):
        for compression in ("gzip", "zstd", "none"):
            with self.subTest(compression):
                request, result = self.ask(compression=compression)
                self.assertEqual(request.content(), PAYLOAD)
                self.assertEqual(result["bytes"], len(request.body))
                self.assertEqual(request.headers.get("content-encoding"),
                                 None if compression == "none" else compression)
        self.assertEqual(self.ask()[0].headers["content-encoding"], "gzip")

    def test_headers(self):
        request, _ = self.ask(header=["X-Scope-OrgID:tenant", "x-empty:"])
        self.assertEqual(request.method, "POST")
        self.assertEqual(request.headers["content-type"], PROTOBUF)
        self.assertEqual(request.headers["otlp-profiles-development-version"], "1")
        self.assertEqual(request.headers["x-scope-orgid"], "tenant")
        self.assertEqual(request.headers["x-empty"], "")
        self.assertNotIn("expect", request.headers)
        self.assertRegex(request.headers["user-agent"],
                         r"^Bolometer/[\d.]+ OTel-OTLP-Exporter-C/[\d.]+$")

    def test_paths(self):
        with HttpServer() as server:
            for suffix, exact, target in (("", 0, PATH), ("/", 0, PATH), ("/base", 0, "/base" + PATH),
                                          ("/base/?k=v", 0, "/base" + PATH + "?k=v"),
                                          ("", 1, "/"), ("/api/x/v1/profiles", 1,
                                                         "/api/x/v1/profiles")):
                options = {"exact": 1} if exact else {}
                send_once(protocol="http", endpoint=server.url + suffix, **options)
                self.assertEqual(server.requests[-1].target, target)

    def test_endpoints_that_cannot_be(self):
        for endpoint, said in (("localhost:4318", "http://"), ("ftp://x", "scheme"), ("", "endpoint"),
                               ("http://", "endpoint"), ("http://u:geheim@host", "password"),
                               ("http://host:99999", "ort"), ("http://[::1", "endpoint")):
            with self.subTest(endpoint):
                message = refusal(protocol="http", endpoint=endpoint)
                self.assertIn(said, message)
                self.assertNotIn("geheim", message)
        for options, said in (({"cert": "/x"}, "key"), ({"user": "u"}, "password"),
                              ({"header": "Content-Type:x"}, "content-type"),
                              ({"header": "bad name:x"}, "header 1"),
                              ({"header": "a:x\ny"}, "control")):
            with self.subTest(options):
                message = refusal(protocol="http", endpoint="http://127.0.0.1", **options)
                self.assertIn(said.lower(), message.lower())

    def test_connection_is_kept(self):
        with HttpServer() as server, Sender(protocol="http", endpoint=server.url) as sender:
            for _ in range(3):
                self.assertEqual(sender.send()["outcome"], "sent")
            self.assertEqual([r.connection for r in server.requests], [1, 1, 1])

    def test_ipv6(self):
        with HttpServer(address="::1") as server:
            self.assertEqual(send_once(protocol="http", endpoint=server.url)["outcome"], "sent")


class Answers(unittest.TestCase):
    def test_statuses(self):
        outcomes = {200: "sent", 202: "sent", 204: "sent", 400: "rejected", 401: "rejected",
                    403: "rejected", 404: "rejected", 405: "rejected", 408: "rejected",
                    413: "too_large", 415: "rejected", 429: "retry", 500: "rejected",
                    501: "rejected", 502: "retry", 503: "retry", 504: "retry", 505: "rejected"}
        state = {}
        with HttpServer(lambda request, connection: answer(state["status"])) as server, \
             Sender(protocol="http", endpoint=server.url) as sender:
            for status, outcome in outcomes.items():
                state["status"] = status
                result = sender.send()
                self.assertEqual(result["outcome"], outcome, (status, result))
                self.assertEqual(result["maybe"], status in (502, 504), (status, result))
                if status >= 400:
                    self.assertIn(str(status), result["message"])

    def test_retry_after(self):
        now = time.time()
        dates = {"Retry_After": email.utils.formatdate(now + 90, usegmt=True),
                 "Date": email.utils.formatdate(now, usegmt=True)}
        for headers, low, high in (
                ({"Retry_After": "7"}, 7, 7), ({"Retry_After": "0"}, 0, 0),
                (dates, 90, 90),
                # a server whose clock is an hour ahead
                ({"Retry_After": email.utils.formatdate(now + 3630, usegmt=True),
                  "Date": email.utils.formatdate(now + 3600, usegmt=True)}, 30, 30),
                ({"Retry_After": email.utils.formatdate(now + 60, usegmt=True)}, 50, 61),
                ({"Retry_After": email.utils.formatdate(now - 60, usegmt=True)}, 0, 0),
                ({"Retry_After": "soon"}, 0, 0), ({"Retry_After": "-5"}, 0, 0),
                ({"Retry_After": "99999999999999999999999"}, 86400, 86400), ({}, 0, 0)):
            with self.subTest(headers):
                result = post_to(answer(503, **headers))
                self.assertEqual(result["outcome"], "retry")
                self.assertTrue(low <= result["retry_after"] <= high, result)
        self.assertEqual(post_to(answer(400, Retry_After="7"))["retry_after"], 0)

    def test_partial_success(self):
        result = post_to(answer(200, partial_success(3, "bad unit"), Content_Type=PROTOBUF))
        self.assertEqual((result["outcome"], result["rejected"], result["message"]),
                         ("sent", 3, "bad unit"))
        result = post_to(answer(200, partial_success(0, "deprecated"), Content_Type=PROTOBUF))
        self.assertEqual((result["outcome"], result["rejected"], result["message"]),
                         ("sent", 0, "deprecated"))
        result = post_to(answer(200, partial_success((1 << 64) - 1, ""), Content_Type=PROTOBUF))
        self.assertEqual((result["outcome"], result["rejected"]), ("sent", 0))

    def test_error_bodies(self):
        result = post_to(answer(400, rpc_status(3, "no dictionary"), Content_Type=PROTOBUF))
        self.assertEqual(result["message"], "status 400: no dictionary")
        result = post_to(answer(500, b"it \x01 broke\n" + bytes(1000), Content_Type="text/plain"))
        self.assertEqual(result["message"], "status 500: it   broke")

    def test_garbage_bodies(self):
        for body in (b"\xff" * 100, b"garbage", bytes(5), b"\x0a\xff\xff\xff\xff\x0f"):
            result = post_to(answer(200, body, Content_Type=PROTOBUF))
            self.assertEqual(result["outcome"], "sent", result)
            self.assertIn("not OTLP", result["message"])
            self.assertEqual(post_to(answer(400, body, Content_Type=PROTOBUF))["outcome"], "rejected")

    def test_web_page_is_no_backend(self):
        result = post_to(answer(200, b"<html>welcome", Content_Type="text/html; charset=utf-8"))
        self.assertEqual(result["outcome"], "retry")
        self.assertIn("web page", result["message"])

    def test_redirects_are_not_followed(self):
        with HttpServer() as other:
            reply = answer(307, Location=f"http://name:geheim@127.0.0.1:{other.port}/x?token=geheim")
            result = post_to(reply)
            self.assertEqual(result["outcome"], "rejected")
            self.assertIn(f"127.0.0.1:{other.port}/x", result["message"])
            self.assertNotIn("geheim", result["message"])
            self.assertEqual(other.connections, 0)

    def test_huge_body_is_bounded(self):
        def respond(request, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            sent = 0
            try:
                while sent < 100 << 20:
                    sent += connection.send(bytes(1 << 20))
            finally:
                state.append(sent)
        state = []
        result = post(respond)[0]
        self.assertEqual(result["outcome"], "sent")
        self.assertIn("4 MiB", result["message"])
        time.sleep(0.1)
        self.assertLess(state[0], 30 << 20)

    def test_many_headers_are_bounded(self):
        headers = {f"X_{i}": "y" * 1000 for i in range(60)}
        result = post_to(answer(503, **headers, Retry_After="9"))
        self.assertEqual((result["outcome"], result["retry_after"]), ("retry", 9))
        flood = b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 2_000_000 + b"\r\n\r\n"
        self.assertIn(post_to(flood)["outcome"], ("retry", "sent"))

    def test_interim_answers(self):
        early = b"HTTP/1.1 103 Early Hints\r\nRetry-After: 50\r\n\r\n"
        result = post_to(early + answer(503))
        self.assertEqual((result["outcome"], result["retry_after"]), ("retry", 0))


class Faults(unittest.TestCase):
    def expect_retry(self, result, maybe):
        self.assertEqual(result["outcome"], "retry", result)
        self.assertEqual(result["maybe"], maybe, result)
        self.assertNotEqual(result["message"], "")

    def expect_given_up(self, result, server):
        """What the server had whole when we gave up may have been taken."""
        self.assertEqual(result["outcome"], "retry", result)
        self.assertTrue(result["maybe"] or not server.requests, result)
        self.assertLess(result["ms"], 10000)

    def test_nobody_listens(self):
        with HttpServer() as server:
            pass
        result = send_once(protocol="http", endpoint=server.url)
        self.expect_retry(result, False)
        self.assertIn("refused", result["message"])

    def test_reset_at_accept(self):
        with HttpServer(accept=lambda connection: reset(connection) or False) as server:
            result = send_once(protocol="http", endpoint=server.url, compression="none",
                               payload=BIG_FILE)
        self.expect_retry(result, False)

    def test_reset_within_the_body(self):
        def accept(connection):
            connection.recv(100)
            reset(connection)
            return False
        with HttpServer(accept=accept) as server:
            result = send_once(protocol="http", endpoint=server.url, compression="none", payload=BIG_FILE)
        self.expect_retry(result, False)

    def test_reset_after_the_request(self):
        result = post(lambda request, connection: reset(connection))[0]
        self.expect_retry(result, True)

    def test_close_after_the_request(self):
        self.expect_retry(post(lambda request, connection: None)[0], True)

    def test_answer_cut_in_its_headers(self):
        def respond(request, connection):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")
        self.assertIn(post(respond)[0]["outcome"], ("retry", "sent"))

    def test_lying_content_length(self):
        lie = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nshort"

        def respond(request, connection):
            connection.sendall(lie)
        result = post(respond)[0]
        self.assertEqual(result["outcome"], "sent")
        self.assertIn("broke off", result["message"])
        lie = b"HTTP/1.1 503 No\r\nContent-Length: 500\r\nRetry-After: 4\r\n\r\nshort"
        result = post(respond)[0]
        self.assertEqual((result["outcome"], result["retry_after"]), ("retry", 4))

    def test_not_http_at_all(self):
        for reply in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00\x01\x02" * 50, b"HTTP/9.9 2x0\r\n\r\n"):
            def respond(request, connection, reply=reply):
                connection.sendall(reply)
            self.expect_retry(post(respond)[0], True)

    def test_hanging(self):
        self.expect_given_up(*post(lambda request, connection: time.sleep(20), timeout_ms=500))

    def test_hanging_past_the_own_timeout(self):
        """The destination's own timeout is shorter than what send() is given."""
        with HttpServer(lambda request, connection: time.sleep(20)) as server, \
             Sender(protocol="http", endpoint=server.url, timeout_ms=500) as sender:
            self.expect_given_up(sender.send(20000), server)

    def test_hanging_before_reading(self):
        with HttpServer(accept=lambda connection: time.sleep(20)) as server:
            result = send_once(300, protocol="http", endpoint=server.url, compression="none",
                               payload=BIG_FILE)
        self.expect_retry(result, False)
        self.assertLess(result["ms"], 10000)

    def test_slow_drip(self):
        def respond(request, connection):
            for byte in answer(200, bytes(200)):
                connection.sendall(bytes([byte]))
                time.sleep(0.05)
        self.expect_given_up(*post(respond, timeout_ms=500))

    def test_cancel(self):
        with HttpServer(lambda request, connection: time.sleep(20)) as server, \
             Sender(protocol="http", endpoint=server.url) as sender:
            self.expect_given_up(sender.send(20000, cancel_ms=400), server)
            server.respond = lambda request, connection: answer(200)
            self.assertEqual(sender.send()["outcome"], "sent")

    def test_kept_connection_that_died(self):
        """The server ends idle connections: the next request goes over a new one, once."""
        with HttpServer(lambda request, connection: connection.sendall(answer(200))) as server, \
             Sender(protocol="http", endpoint=server.url) as sender:
            for _ in range(3):
                self.assertEqual(sender.send()["outcome"], "sent")
                time.sleep(0.05)
            self.assertEqual(len(server.requests), 3)

    def test_kept_connection_that_dies_with_the_request(self):
        """Whether the backend has the batch is not known: it is not sent again behind our back."""
        def respond(request, connection):
            if len(server.requests) == 2:
                reset(connection)
                return None
            return answer(200)
        with HttpServer(respond) as server, Sender(protocol="http", endpoint=server.url) as sender:
            self.assertEqual(sender.send()["outcome"], "sent")
            self.expect_retry(sender.send(), True)
            self.assertEqual(len(server.requests), 2)
            self.assertEqual(sender.send()["outcome"], "sent")


if __name__ == "__main__":
    driver.main()
