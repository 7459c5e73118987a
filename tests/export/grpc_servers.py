# SPDX-License-Identifier: Apache-2.0
"""gRPC servers for the tests: gRPC's own, and one that speaks bare HTTP/2 and so can misbehave."""
import gzip
import socket
import ssl
import threading
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
import zstandard

from driver import certificates

METHOD = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"


class GrpcServer:
    """`handle(request_bytes, context)` returns the response's bytes."""

    def __init__(self, handle=lambda request, context: b"", certificate=None, client_ca=None,
                 options=(), port=0, compression=None):
        self.handle = handle
        self.requests = []
        self.metadata = []
        self.server = grpc.server(futures.ThreadPoolExecutor(4), options=options,
                                  compression=compression)
        self.server.add_generic_rpc_handlers((self,))
        if certificate:
            made = certificates()
            authority = made.path(client_ca).read_bytes() if client_ca else None
            pair = (made.path(certificate, "key").read_bytes(), made.path(certificate).read_bytes())
            self.port = self.server.add_secure_port(
                f"127.0.0.1:{port}",
                grpc.ssl_server_credentials([pair], authority, client_ca is not None))
        else:
            self.port = self.server.add_insecure_port(f"127.0.0.1:{port}")
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.server.start()

    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(self.answer) if call.method == METHOD else None

    def answer(self, request, context):
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        return self.handle(request, context)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(0).wait()


class Call:
    """A request as the bare server saw it."""

    def __init__(self, connection, stream):
        self.connection = connection  # h2's
        self.stream = stream
        self.headers = {}
        self.body = b""

    def message(self):
        """What the first message holds, expanded."""
        flag, length = self.body[0], int.from_bytes(self.body[1:5], "big")
        assert length == len(self.body) - 5, (length, len(self.body))
        if not flag:
            return self.body[5:]
        if self.headers["grpc-encoding"] == "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(self.body[5:])
        return gzip.decompress(self.body[5:])

    def send(self, *parts):
        """Parts in order: a list of pairs is headers or trailers, bytes are data. The last one ends
        the stream."""
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            if isinstance(part, bytes):
                self.connection.send_data(self.stream, part, end_stream=last)
            else:
                self.connection.send_headers(self.stream, part, end_stream=last)


OK_HEADERS = [(":status", "200"), ("content-type", "application/grpc")]


def succeed(call, message=b"", flag=0, headers=(), trailers=(("grpc-status", "0"),)):
    body = bytes([flag]) + len(message).to_bytes(4, "big") + message
    call.send(OK_HEADERS + list(headers), body, list(trailers))


class BareServer:
    """HTTP/2 without gRPC. `respond(call)` answers when a request is whole; `begin(call)`, if there,
    when its headers came. Either may return False to have the connection closed at once."""

    def __init__(self, respond=succeed, begin=None, certificate=None):
        self.respond, self.begin = respond, begin
        self.lock = threading.Lock()
        self.latest = None  # socket and h2's connection
        self.calls = []
        self.connections = 0
        self.context = None
        if certificate:
            made = certificates()
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(made.path(certificate), made.path(certificate, "key"))
            self.context.set_alpn_protocols(["h2"])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, raw):
        try:
            if self.context:
                raw = self.context.wrap_socket(raw, server_side=True)
            self.converse(raw)
        except OSError:
            pass
        finally:
            raw.close()

    def converse(self, raw):
        connection = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="utf-8", validate_outbound_headers=False))
        connection.initiate_connection()
        raw.sendall(connection.data_to_send())
        self.latest = raw, connection
        calls = {}
        while (data := raw.recv(65536)):
            with self.lock:
                if not self.feed(raw, connection, calls, data):
                    return

    def feed(self, raw, connection, calls, data):
        try:
            events = connection.receive_data(data)
        except h2.exceptions.ProtocolError:
            return True  # after a GOAWAY of ours; the other side closes
        alive = True
        for event in events:
            alive = alive and self.take(connection, calls, event)
        raw.sendall(connection.data_to_send())
        return alive

    def goaway(self):
        """Says between two requests that the latest connection takes no more of them."""
        with self.lock:
            raw, connection = self.latest
            connection.close_connection()
            raw.sendall(connection.data_to_send())

    def take(self, connection, calls, event):
        if isinstance(event, h2.events.RequestReceived):
            call = calls[event.stream_id] = Call(connection, event.stream_id)
            call.headers = dict(event.headers)
            return not self.begin or self.begin(call) is not False
        if isinstance(event, h2.events.DataReceived):
            calls[event.stream_id].body += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if isinstance(event, h2.events.StreamEnded):
            self.calls.append(calls[event.stream_id])
            return self.respond(calls[event.stream_id]) is not False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
