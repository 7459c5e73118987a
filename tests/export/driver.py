# SPDX-License-Identifier: Apache-2.0
"""What the export tests share: the sender, a payload, certificates."""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SKIPPED = 77
DIRECTORY = tempfile.TemporaryDirectory(prefix="bolometer-export-")
TOP = Path(DIRECTORY.name)
# Words and numbers, so that it compresses about as a profile does.
PAYLOAD = b"".join(b"function_%d;" % (i * i % 7919) + hashlib.sha256(b"%d" % i).digest()[:9]
                   for i in range(9000))
PAYLOAD_FILE = TOP / "payload"
PAYLOAD_FILE.write_bytes(PAYLOAD)
# More than the kernel takes from a writer before anybody reads.
BIG_FILE = TOP / "big"
BIG_FILE.write_bytes(PAYLOAD * 60)

for variable in list(os.environ):
    if variable.lower().endswith("_proxy"):
        del os.environ[variable]


class Sender:
    """One sink in a process of its own. Keyword arguments are send_payload's options, with '_' for
    '-'; a list repeats the option."""

    def __init__(self, prefix=(), env=None, **options):
        options.setdefault("payload", PAYLOAD_FILE)
        words = []
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                words.append(f"{name.replace('_', '-')}={one}")
        self.process = subprocess.Popen([*prefix, sys.argv_sender, *words], text=True, env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def start(self, timeout_ms=20000, cancel_ms=None):
        line = f"send {timeout_ms}" + (f" {cancel_ms}" if cancel_ms is not None else "")
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def result(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise AssertionError(f"the sender ended with {self.process.returncode}: "
                                 f"{self.process.stderr.read()}")
        return json.loads(line)

    def send(self, timeout_ms=20000, cancel_ms=None):
        self.start(timeout_ms, cancel_ms)
        return self.result()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        status = self.process.wait()
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        if status != 0 and _[0] is None:
            raise AssertionError(f"the sender ended with {status}: {errors}")


def send_once(timeout_ms=20000, **options):
    with Sender(**options) as sender:
        return sender.send(timeout_ms)


def refusal(**options):
    """What a sink that cannot be made says."""
    words = [f"{name.replace('_', '-')}={value}" for name, value in options.items()]
    done = subprocess.run([sys.argv_sender, *words], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.stderr.strip() if done.returncode == 1 else f"made: status {done.returncode}"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE, cwd=TOP)


class Certificates:
    """An authority and what it signed, made once a run. A name N stands for N.pem and N.key."""

    def __init__(self):
        self.made = set()
        self.authority("ca")

    def path(self, name, suffix="pem"):
        return TOP / f"{name}.{suffix}"

    def authority(self, name):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")

    def issue(self, name, names="IP:127.0.0.1,IP:::1,DNS:localhost", ca="ca", expired=False):
        if name in self.made:
            return name
        (TOP / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        days = ["-days", "-1"] if expired else ["-days", "2"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey", f"{ca}.key",
                "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem", *days)
        self.made.add(name)
        return name


def certificates(cached=[]):
    if not cached:
        cached.append(Certificates())
    return cached[0]


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, value):
    """A protobuf field: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def partial_success(rejected, message):
    return field(1, field(1, rejected) + field(2, message.encode()))


def retry_info(seconds, nanos=0):
    return field(1, field(1, seconds) + field(2, nanos))


def rpc_status(code, message, *details):
    """google.rpc.Status; details are pairs of type name and message."""
    return field(1, code) + field(2, message.encode()) + b"".join(
        field(3, field(1, b"type.googleapis.com/" + name.encode()) + field(2, value))
        for name, value in details)


def main():
    """Runs the test module with the sender for argv[1]."""
    sys.argv_sender = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
