#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS, client certificates, proxies, credentials and names: what stands between a sink and its
backend, whatever the protocol.

Usage: test_transport.py SEND_PAYLOAD"""
import base64
import os
import shutil
import ssl
import subprocess
import sys
import unittest

try:
    import driver
    from driver import BIG_FILE, PAYLOAD, TOP, Sender, certificates, send_once
    from http_server import HttpServer, Proxy, answer, reset
except ImportError as missing:
    print(f"needs {missing.name} for Python (Debian: python3-zstandard)")
    sys.exit(77)

# Runs a command where names are asked of a server that this one is: it takes queries, answers none.
MUTE_RESOLVER = r"""
import socket, subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mute.bind(("127.0.0.1", 53))
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


def post(server, **options):
    return send_once(protocol="http", endpoint=server.url, **options)


class Tls(unittest.TestCase):
    def setUp(self):
        self.made = certificates()
        self.ca = self.made.path("ca")
        self.made.issue("server")

    def test_own_authority(self):
        with HttpServer(certificate="server") as server:
            for compression in ("gzip", "zstd", "none"):
                self.assertEqual(post(server, ca=self.ca, compression=compression)["outcome"], "sent")
                self.assertTrue(server.requests[-1].content() == PAYLOAD)
            with Sender(protocol="http", endpoint=server.url, ca=self.ca) as sender:
                kept = server.connections + 1
                for _ in range(3):
                    self.assertEqual(sender.send()["outcome"], "sent")
                self.assertEqual(server.connections, kept)

    def refused(self, server, said, **options):
        result = post(server, **options)
        self.assertEqual((result["outcome"], result["maybe"], result["bytes"]), ("retry", False, 0),
                         result)
        self.assertIn(said, result["message"].lower())
        self.assertEqual(server.requests, [])

    def test_certificates_that_do_not_hold(self):
        self.made.issue("expired", expired=True)
        self.made.issue("elsewhere", names="DNS:elsewhere.example")
        self.made.authority("ca2")
        with HttpServer(certificate="server") as server:
            self.refused(server, "certificate")
            self.refused(server, "certificate", ca=self.made.path("ca2"))
            self.refused(server, "no-such-file", ca=TOP / "no-such-file")
            self.assertEqual(post(server, skip_verification=1)["outcome"], "sent")
        with HttpServer(certificate="expired") as server:
            self.refused(server, "expired", ca=self.ca)
        with HttpServer(certificate="elsewhere") as server:
            self.refused(server, "127.0.0.1", ca=self.ca)

    def test_one_side_without_tls(self):
        with HttpServer() as server:
            server.url = server.url.replace("http:", "https:")
            result = send_once(600, protocol="http", endpoint=server.url, ca=self.ca)
            self.assertEqual((result["outcome"], result["bytes"]), ("retry", 0), result)
        with HttpServer(certificate="server") as server:
            server.url = server.url.replace("https:", "http:")
            self.assertEqual(post(server)["outcome"], "retry")

    def test_old_tls_is_refused(self):
        with HttpServer(certificate="server") as server:
            server.context.set_ciphers("ALL:@SECLEVEL=0")
            server.context.minimum_version = ssl.TLSVersion.TLSv1
            server.context.maximum_version = ssl.TLSVersion.TLSv1_1
            self.refused(server, "ssl", ca=self.ca)

    def test_client_certificate(self):
        self.made.issue("client")
        pair = {"cert": self.made.path("client"), "key": self.made.path("client", "key")}
        with HttpServer(certificate="server", client_ca="ca") as server:
            self.assertEqual(post(server, ca=self.ca, **pair)["outcome"], "sent")
            self.assertEqual(post(server, ca=self.ca)["outcome"], "retry")
            self.assertEqual(len(server.requests), 1)

    def test_files_are_read_again(self):
        """A rotated authority and client certificate hold from the next request on."""
        self.made.authority("ca3")
        self.made.issue("new-server", ca="ca3")
        self.made.issue("old-client")
        self.made.issue("new-client", ca="ca3")
        files = {name: TOP / f"rotated-{name}" for name in ("ca", "cert", "key")}

        def rotate(ca, client):
            for name, source in (("ca", self.made.path(ca)), ("cert", self.made.path(client)),
                                 ("key", self.made.path(client, "key"))):
                shutil.copy(source, f"{files[name]}.new")
                os.rename(f"{files[name]}.new", files[name])
        rotate("ca", "old-client")
        with HttpServer(certificate="server", client_ca="ca") as old, \
             HttpServer(certificate="new-server", client_ca="ca3") as new:
            with Sender(protocol="http", endpoint=old.url, **files) as sender:
                self.assertEqual(sender.send()["outcome"], "sent")
                rotate("ca3", "new-client")
                self.assertEqual(sender.send()["outcome"], "retry")
                rotate("ca", "old-client")
                self.assertEqual(sender.send()["outcome"], "sent")
                self.assertEqual(len({r.connection for r in old.requests}), 2)
            rotate("ca3", "new-client")
            self.assertEqual(post(new, **files)["outcome"], "sent")

    def test_reset_while_writing(self):
        """Writes to a closed connection must not raise SIGPIPE: it would end the sender."""
        with HttpServer(certificate="server") as server:
            server.converse = lambda connection, number: (connection.recv(1000), reset(connection))
            with Sender(protocol="http", endpoint=server.url, ca=self.ca, compression="none",
                        payload=BIG_FILE) as sender:
                for _ in range(5):
                    self.assertEqual(sender.send()["outcome"], "retry")


class Proxies(unittest.TestCase):
    def test_forwarding(self):
        with HttpServer() as server, Proxy() as proxy:
            result = post(server, proxy=proxy.url)
            self.assertEqual(result["outcome"], "sent", result)
            self.assertEqual(len(proxy.requests), 1)
            self.assertTrue(server.requests[0].content() == PAYLOAD)

    def test_tunnel(self):
        made = certificates()
        made.issue("server")
        with HttpServer(certificate="server") as server, Proxy() as proxy:
            result = post(server, proxy=proxy.url, ca=made.path("ca"))
            self.assertEqual(result["outcome"], "sent", result)
            self.assertEqual(proxy.tunnels, [f"127.0.0.1:{server.port}"])
            self.assertTrue(server.requests[0].content() == PAYLOAD)

    def test_authorization(self):
        basic = "Basic " + base64.b64encode(b"me:geheimnis").decode()
        made = certificates()
        made.issue("server")
        with HttpServer(certificate="server") as server, Proxy(basic) as proxy:
            url = proxy.url.replace("//", "//me:geheimnis@")
            self.assertEqual(post(server, proxy=url, ca=made.path("ca"))["outcome"], "sent")
            self.assertNotIn("proxy-authorization", server.requests[0].headers)
            result = post(server, proxy=url.replace("//me:", "//you:"), ca=made.path("ca"))
            self.assertEqual((result["outcome"], result["maybe"]), ("retry", False))
            self.assertIn("407", result["message"])
            self.assertNotIn("geheimnis", result["message"])

    def test_environment(self):
        with HttpServer() as server, Proxy() as proxy:
            environment = {**os.environ, "http_proxy": proxy.url}
            for options, through in (({}, 1), ({"proxy": ""}, 1)):
                with Sender(env=environment, protocol="http", endpoint=server.url, **options) as sender:
                    self.assertEqual(sender.send()["outcome"], "sent")
                self.assertEqual(len(proxy.requests), through)

    def test_proxy_that_is_not_there(self):
        with Proxy() as proxy:
            pass
        with HttpServer() as server:
            result = post(server, proxy=proxy.url.replace("//", "//me:geheimnis@"))
        self.assertEqual(result["outcome"], "retry")
        self.assertNotIn("geheimnis", result["message"])


class Credentials(unittest.TestCase):
    def test_bearer_token_rotates(self):
        token = TOP / "token"
        token.write_text("first-token\n")
        with HttpServer() as server, Sender(protocol="http", endpoint=server.url,
                                            bearer=token) as sender:
            for text in ("first-token", "first-token", "second-token"):
                (TOP / "token.new").write_text(text)
                os.rename(TOP / "token.new", token)
                self.assertEqual(sender.send()["outcome"], "sent")
                self.assertEqual(server.requests[-1].headers["authorization"], f"Bearer {text}")
            token.write_text("third-token")  # in place
            sender.send()
            self.assertEqual(server.requests[-1].headers["authorization"], "Bearer third-token")
            self.assertEqual({request.connection for request in server.requests}, {1})
            token.unlink()
            result = sender.send()
            self.assertEqual((result["outcome"], result["maybe"]), ("retry", False))
            self.assertIn(str(token), result["message"])
            self.assertIn("No such file", result["message"])
            self.assertEqual(len(server.requests), 4)
            token.write_text("fourth-token")
            self.assertEqual(sender.send()["outcome"], "sent")

    def test_files_that_hold_no_token(self):
        token = TOP / "odd-token"
        with HttpServer() as server:
            for content in (b"", b"\n", b"one\nX-Injected: two", b"a\0b", b"x" * 100000):
                token.write_bytes(content)
                result = post(server, bearer=token)
                self.assertEqual(result["outcome"], "retry")
                self.assertIn("bearer token file", result["message"])
            self.assertEqual(server.requests, [])

    def test_basic(self):
        password = TOP / "password"
        password.write_text("open: sesame\n")
        with HttpServer() as server:
            post(server, user="ali", password=password)
            kind, value = server.requests[0].headers["authorization"].split()
            self.assertEqual((kind, base64.b64decode(value)), ("Basic", b"ali:open: sesame"))

    def test_servers_that_repeat_secrets(self):
        """What a server says comes into messages, and so into logs: without what it was given."""
        token = TOP / "secret-token"
        token.write_text("tok-3c5f0a")

        def repeat(request, connection):
            said = " ".join([request.headers["authorization"], request.headers["x-api-key"]])
            return answer(401, f"not allowed: {said}".encode(), Content_Type="text/plain")
        with HttpServer(repeat) as server:
            result = post(server, bearer=token, header="X-Api-Key:key-77aa")
            self.assertIn("not allowed: Bearer ****", result["message"])
            for secret in ("tok-3c5f0a", "key-77aa"):
                self.assertNotIn(secret, result["message"])


class Names(unittest.TestCase):
    def test_name_that_does_not_exist(self):
        result = send_once(20000, protocol="http", endpoint="http://backend.invalid:4318")
        self.assertEqual((result["outcome"], result["maybe"]), ("retry", False))
        self.assertIn("backend.invalid", result["message"])

    def test_resolver_that_hangs(self):
        """Neither the deadline nor cancelling waits for it."""
        configuration = TOP / "resolv.conf"
        configuration.write_text("nameserver 127.0.0.1\noptions timeout:20 attempts:1\n")
        prefix = ["unshare", "--mount", "--net", "/usr/bin/python3", "-c", MUTE_RESOLVER,
                  str(configuration)]
        if os.geteuid() != 0 or subprocess.run([*prefix, "true"], check=False,
                                               stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("needs network and mount namespaces")
        with Sender(prefix, protocol="http", endpoint="http://backend.example:4318") as sender:
            for arguments in ((400, None), (15000, 300)):
                result = sender.send(*arguments)
                self.assertEqual((result["outcome"], result["maybe"]), ("retry", False), result)
                self.assertLess(result["ms"], 10000)

    def test_several_addresses(self):
        """localhost may be ::1 first, where nobody listens."""
        with HttpServer() as server:
            result = send_once(protocol="http", endpoint=f"http://localhost:{server.port}")
            self.assertEqual(result["outcome"], "sent", result)
            self.assertEqual(server.requests[0].headers["host"], f"localhost:{server.port}")


if __name__ == "__main__":
    driver.main()
