#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CPU that sending a request of about 200 kB costs the sender, compression included: over HTTP and
gRPC, plain and TLS, each beside plain HTTP without compression in the same run.

Usage: bench_send.py SEND_PAYLOAD"""
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
try:
    import driver
    from driver import PAYLOAD, Sender, certificates
    from grpc_servers import GrpcServer
    from http_server import HttpServer
except ImportError as missing:
    print(f"needs {missing.name} for Python (Debian: python3-grpcio python3-h2 python3-zstandard)")
    sys.exit(77)

ROUNDS = 40


def measure(server, **options):
    """Milliseconds of CPU for each request on a kept connection."""
    with server, Sender(endpoint=server.url, ca=certificates().path("ca"), **options) as sender:
        results = [sender.send() for _ in range(ROUNDS)]
    assert all(result["outcome"] == "sent" for result in results), results
    return statistics.median(result["cpu_ms"] for result in results[1:]), results[-1]["bytes"]


def main():
    sys.argv_sender = sys.argv[1]
    certificates().issue("server")
    base = None
    print(f"{len(PAYLOAD)} bytes, median of {ROUNDS - 1} requests on a kept connection")
    for protocol, make in (("http", HttpServer), ("grpc", GrpcServer)):
        for compression in ("none", "gzip") + (("zstd",) if protocol == "http" else ()):
            plain, size = measure(make(), protocol=protocol, compression=compression)
            tls, _ = measure(make(certificate="server"), protocol=protocol, compression=compression)
            base = base or plain
            print(f"{protocol} {compression:4}  {size:7} bytes  plain {plain:6.2f} ms ({plain / base:.1f} x)"
                  f"  TLS {tls:6.2f} ms ({tls / base:.1f} x)  TLS/plain {tls / plain:.2f}")


main()
