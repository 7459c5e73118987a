# SPDX-License-Identifier: Apache-2.0
"""A small HTTP/1.1 server on a loopback address that does what a test tells it, well or badly."""
import gzip
import socket
import ssl
import struct
import threading

import zstandard

from driver import certificates


class Request:
    def __init__(self, line, headers, body, connection):
        self.method, self.target, _ = line.split(" ", 2)
        self.headers = headers
        self.body = body
        self.connection = connection  # its number: equal numbers mean a kept connection

    def content(self):
        encoding = self.headers.get("content-encoding")
        if encoding == "gzip":
            return gzip.decompress(self.body)
        if encoding == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(self.body)
        return self.body


def read_head(stream):
    """The request line and the headers by lower-case name; None at the end."""
    line = stream.readline().decode("latin-1").strip()
    if not line:
        return None
    headers = {}
    while (text := stream.readline().decode("latin-1").strip()):
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return line, headers


def answer(status, body=b"", reason="X", **headers):
    """A whole answer; keyword arguments are header names with '_' for '-'."""
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(connection):
    """Ends a connection with RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class HttpServer:
    """`respond(request, connection)` returns the answer's bytes, or None when it did everything
    itself and the connection is to be closed. `accept(connection)` may return False to take the
    connection over before anything is read."""

    def __init__(self, respond=lambda request, connection: answer(200), certificate=None,
                 client_ca=None, address="127.0.0.1", accept=None, port=0):
        self.respond = respond
        self.accept = accept
        self.requests = []
        self.connections = 0
        self.context = None
        self.certificate, self.client_ca = certificate, client_ca
        if certificate:
            self.load_certificates()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, port), family=family)
        self.port = self.listener.getsockname()[1]
        host = f"[{address}]" if ":" in address else address
        self.url = f"{'https' if certificate else 'http'}://{host}:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def load_certificates(self):
        made = certificates()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(made.path(self.certificate), made.path(self.certificate, "key"))
        if self.client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(made.path(self.client_ca))

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.handle, args=(connection, self.connections),
                             daemon=True).start()

    def handle(self, connection, number):
        try:
            if self.accept and self.accept(connection) is False:
                return
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.converse(connection, number)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def converse(self, connection, number):
        stream = connection.makefile("rb")
        while (head := read_head(stream)):
            size = int(head[1].get("content-length", 0))
            body = stream.read(size)
            if len(body) < size:
                break  # the client gave up half-way: no server takes that for a request
            request = Request(*head, body, number)
            self.requests.append(request)
            reply = self.respond(request, connection)
            if reply is None:
                break
            connection.sendall(reply)
        stream.close()
        connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)  # close() alone leaves it to the accepting thread
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Proxy(HttpServer):
    """Forwards http:// requests and tunnels CONNECT, after basic authorization when asked to."""

    def __init__(self, authorization=None):
        self.authorization = authorization
        self.tunnels = []
        super().__init__(self.forward)

    def forward(self, request, connection):
        if self.authorization and request.headers.get("proxy-authorization") != self.authorization:
            return answer(407)
        if request.method == "CONNECT":
            host, _, port = request.target.rpartition(":")
            self.tunnels.append(request.target)
            connection.sendall(b"HTTP/1.1 200 Established\r\n\r\n")
            self.pump(connection, socket.create_connection((host, int(port))))
            return None
        _, _, rest = request.target.partition("://")
        place, _, path = rest.partition("/")
        host, _, port = place.partition(":")
        upstream = socket.create_connection((host, int(port)))
        lines = [f"POST /{path} HTTP/1.1", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in request.headers.items()
                  if not name.startswith("proxy-")]
        upstream.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + request.body)
        upstream.settimeout(0.3)
        reply = upstream.recv(65536)
        return reply

    @staticmethod
    def pump(client, upstream):
        def copy(source, to):
            try:
                while (data := source.recv(65536)):
                    to.sendall(data)
                to.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
        back.start()
        copy(client, upstream)
        back.join()
