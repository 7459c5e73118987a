# SPDX-License-Identifier: Apache-2.0
"""
A FUSE mount with one file in it, whose server can be made to hang: it speaks the kernel's protocol
(linux/fuse.h) itself, so that nothing needs to be installed. Whoever makes another file in it waits until release().
"""

import contextlib
import ctypes
import errno
import os
import signal
import stat
import struct
import tempfile

LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, CREATE, BATCH_FORGET = (
    1, 2, 3, 4, 14, 15, 17, 18, 25, 26, 35, 42)
ROOT, FILE = 1, 2  # node numbers
IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
VERSION = (7, 31)
MS_BIND, MNT_DETACH = 4096, 2  # linux/mount.h
LARGEST_REQUEST = 1 << 17
libc = ctypes.CDLL(None, use_errno=True)


def attributes(node, size):
    mode, links = (stat.S_IFDIR | 0o755, 2) if node == ROOT else (stat.S_IFREG | 0o755, 1)
    return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, 1, 1, 1, 0, 0, 0, mode, links,
                       0, 0, 0, 4096, 0)


def answer(opcode, node, body, name, contents):
    """The body of the answer, or an error. What is told is valid for no time: each use asks anew."""
    size = len(contents) if node == FILE else 0
    if opcode == INIT:
        return struct.pack("<IIIIHHIIHHII24x", *VERSION, 1 << 17, 0, 12, 9, 1 << 17, 1, 0, 0, 0, 0)
    if opcode == LOOKUP and node == ROOT and body.rstrip(b"\0") == name:
        return struct.pack("<QQQQII", FILE, 0, 0, 0, 0, 0) + attributes(FILE, len(contents))
    if opcode in (GETATTR, SETATTR):  # what is to be set is passed over
        return struct.pack("<QII", 0, 0, 0) + attributes(node, size)
    if opcode == OPEN:
        return struct.pack("<QII", 0, 0, 0)
    if opcode == READ:
        _, offset, length = struct.unpack_from("<QQI", body)
        return contents[offset:offset + length]
    if opcode in (RELEASE, FLUSH):
        return b""
    return errno.ENOENT if opcode == LOOKUP else errno.ENOSYS


def send(device, unique, error, data):
    with contextlib.suppress(OSError):
        os.write(device, OUT_HEADER.pack(OUT_HEADER.size + len(data), error, unique) + data)


def hold(device):
    """Returns a list: while it is not None inside, requests and their errors wait there, until SIGUSR1 comes."""
    held = [[]]

    def release(*_):
        waiting, held[0] = held[0] or [], None
        for unique, error in waiting:
            send(device, unique, error, b"")
    signal.signal(signal.SIGUSR1, release)
    return held


def serve(device, name, contents, holds_flushes):
    held = hold(device)
    errors = {CREATE: -errno.EIO, **({FLUSH: 0} if holds_flushes else {})}  # of those that are held
    while True:
        try:
            request = os.read(device, LARGEST_REQUEST + 4096)
        except OSError:
            return  # unmounted
        _, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
        if opcode in (FORGET, BATCH_FORGET):
            continue
        if opcode in errors and held[0] is not None:
            held[0].append((unique, errors[opcode]))
            continue
        body = answer(opcode, node, request[IN_HEADER.size:], name, contents)
        error = -body if isinstance(body, int) else 0
        send(device, unique, error, b"" if error else body)


class Mount:
    def __init__(self, path, server):
        self.path, self.server = path, server

    def hang(self):
        os.kill(self.server, signal.SIGSTOP)

    def release(self):
        """What it holds, and holds nothing any more."""
        os.kill(self.server, signal.SIGUSR1)

    @contextlib.contextmanager
    def bound_over(self, path):
        """The file also stands in the place of another one."""
        if libc.mount(self.path.encode(), str(path).encode(), None, MS_BIND, None) < 0:
            raise OSError(ctypes.get_errno(), "mount --bind")
        try:
            yield
        finally:
            libc.umount2(str(path).encode(), MNT_DETACH)


@contextlib.contextmanager
def mounted(name, contents, holds_flushes=False, options="allow_other"):
    """Yields a Mount whose `path` is the file. OSError where FUSE cannot be used. With `holds_flushes` whoever
    closes the file waits for release(), and not even a signal ends that. Without `allow_other` the kernel lets
    only this user in."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    with tempfile.TemporaryDirectory() as directory:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,{options}".rstrip(",")
        if libc.mount(b"hanging", directory.encode(), b"fuse", 0, options.encode()) < 0:
            os.close(device)
            raise OSError(ctypes.get_errno(), "mount")
        server = os.fork()
        if server == 0:
            serve(device, name.encode(), contents, holds_flushes)
            os._exit(0)
        os.close(device)
        try:
            yield Mount(f"{directory}/{name}", server)
        finally:
            # With its last descriptor of the device the connection ends, and whoever waits gets an error.
            os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
            libc.umount2(directory.encode(), MNT_DETACH)
