# SPDX-License-Identifier: Apache-2.0
"""
A minimal Debian with systemd to install the package in: made once by mmdebstrap and kept in the build
directory, used through an overlay, so that each test begins with the same one. And a container of it:
a real systemd as process 1 under systemd-nspawn, with a cgroup tree as on a Debian host (only v2).
"""
import hashlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "kernels")]
import fetch  # noqa: E402
from verdict import Failure, Undecided  # noqa: E402

SKIPPED = 77
RELEASE = "bookworm"
BASE_PACKAGES = ["systemd", "systemd-sysv", "dbus"]
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
            "/usr/lib/udev/hwdb.d/*"]
MAKE_DEB_TIMEOUT = 240  # seconds; a full build on a busy machine

BOOT = """set -eu
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
exec systemd-nspawn -q -D "$2/root" --register=no --keep-unit --console=pipe --capability=all \\
    --bind-ro=/sys/kernel/btf --system-call-filter='bpf perf_event_open syslog @privileged' \\
    -M bolometer-test --boot
"""


class Missing(Exception):
    """The machine lacks what the test needs."""


def need(*tools):
    if os.geteuid() != 0:
        raise Missing("needs root")
    for tool in tools:
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed")


def make_package(build):
    """Path of the package, built when it is older than the sources. How fast a host compiles says nothing of
    the package, so a build that takes too long is Undecided."""
    need("dpkg-buildpackage", "dh")
    with subprocess.Popen([SOURCE / "scripts/make-deb.sh", build], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as building:
        try:
            printed = building.communicate(timeout=MAKE_DEB_TIMEOUT)[0]
        except subprocess.TimeoutExpired as slow:
            os.killpg(building.pid, signal.SIGKILL)  # the compilers too
            raise Undecided(f"the package was not built in {MAKE_DEB_TIMEOUT} s") from slow
    if building.returncode:
        raise Failure(f"{SOURCE / 'scripts/make-deb.sh'} ends with {building.returncode}")
    return pathlib.Path(printed.split()[-1])


def field_of(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def make_root(build, package):
    """Directory with Debian and what the package depends on."""
    need("mmdebstrap")
    depends = [word.split()[0] for word in field_of(package, "Depends").split(",")]
    wanted = ",".join([*BASE_PACKAGES, *depends])
    key = hashlib.sha256(f"{RELEASE} {wanted} {LEFT_OUT}".encode()).hexdigest()[:16]
    directory = pathlib.Path(build) / "package"
    root = directory / f"root-{key}"
    if root.exists():
        return root
    directory.mkdir(exist_ok=True)
    for old in directory.glob("root-*"):
        shutil.rmtree(old)
    partial = directory / f"root-{key}.partial"
    try:
        mirror, _ = fetch.mirrors()
        fetch.run(["mmdebstrap", "--quiet", "--variant=minbase", f"--include={wanted}",
                   *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT), RELEASE, partial, mirror])
    except fetch.FetchError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise Missing(f"no Debian to install in: {error}") from error
    # The package's own pages are to be installed.
    for name in (partial / "etc/dpkg/dpkg.cfg.d").glob("*mmdebstrap*"):
        name.unlink()
    partial.rename(root)
    return root


class Container:
    """A running Debian. `directory` takes what it writes."""

    def __init__(self, root, directory):
        need("systemd-nspawn", "nsenter", "unshare")
        if not os.path.exists("/sys/kernel/btf/vmlinux"):
            raise Missing("this kernel has no BTF")
        self.directory = pathlib.Path(directory)
        for name in ("upper", "work", "root"):
            (self.directory / name).mkdir()
        self.log = open(self.directory / "console", "w+b")
        self.nspawn = subprocess.Popen(["unshare", "-m", "sh", "-c", BOOT, "sh", root, directory],
                                       stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.init = None

    def __enter__(self):
        try:
            self.wait(30, self.has_booted)
        except TimeoutError as error:
            self.__exit__()
            self.log.seek(0)
            raise Missing("no systemd under nspawn here: " + self.log.read()[-500:].decode(errors="replace")
                          ) from error
        return self

    def __exit__(self, *_):
        if self.init:
            os.kill(self.init, signal.SIGRTMIN + 4)  # systemd: power off
        try:
            self.nspawn.wait(15)
        except subprocess.TimeoutExpired:
            self.nspawn.terminate()
            self.nspawn.wait(10)

    def has_booted(self):
        if self.nspawn.poll() is not None:
            raise TimeoutError("ended")
        # the child is nspawn's own until it becomes systemd
        children = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(self.nspawn.pid)],
                                  stdout=subprocess.PIPE, text=True, check=False).stdout.split()
        self.init = int(children[0]) if children[1:] == ["systemd"] else None
        return self.init and self.run("systemctl", "is-system-running").stdout.strip() in (
            "running", "degraded")

    @staticmethod
    def wait(seconds, condition):
        """Polls until the condition holds; returns what it gave."""
        end = time.monotonic() + seconds
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError("waited in vain")
            time.sleep(0.2)

    def run(self, *command):
        return subprocess.run(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
                               *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)

    def start(self, *command):
        return subprocess.Popen(["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w",
                                 *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def path(self, name):
        """A file of the container as the tests open it."""
        return pathlib.Path(f"/proc/{self.init}/root") / name.lstrip("/")

    def property(self, name):
        return self.run("systemctl", "show", "--value", "--property", name, "bolometer").stdout.strip()
