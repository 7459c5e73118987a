#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests/faults/soak_daemon.py in a virtual machine with a Debian kernel, where the daemon sees nothing of
what else its host does: what it holds after an hour then depends on the test's load alone. Emulated (TCG), so the
load is gentler: SOAK_PAUSE, in seconds, is what it rests between two rounds of forks.

The machine has this host's own python3, shell and libraries in its initramfs and is off when the test ends.
What the test says comes over the serial line. Exit status: that of the test.

Usage: soak_in_guest.py BUILD-DIRECTORY [MINUTES [KERNEL]]     KERNEL as in tests/kernels/fetch.py"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SOURCE / "tests" / "kernels"))
import fetch  # noqa: E402

SKIPPED = 77
PYTHON = pathlib.Path("/usr/bin/python3").resolve()
STANDARD_LIBRARY = pathlib.Path("/usr/lib") / PYTHON.name
PACKAGES = pathlib.Path("/usr/lib/python3/dist-packages")
PROGRAMS = ["/bin/busybox", "/bin/sh", "/bin/ls", PYTHON]
# Loaded while it runs.
LOADED = ["libcurl.so.4", "libmicrohttpd.so.12"]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "lib2to3", "ensurepip", "config-*",
                                  "pydoc_data", "tkinter", "turtle*", "backend_cffi*")
MERGED = ("bin", "sbin", "lib", "lib64")
MEMORY_MIB = 2048
# Beyond its minutes: the boot, under emulation, and the end.
OTHER_SECONDS = 600
INIT = """#!/bin/busybox sh
export PATH=/usr/bin:/usr/sbin:/box
mkdir /box
/bin/busybox --install -s /box
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /tmp
mkdir /sys/fs/cgroup/unified 2> /dev/null; mount -t cgroup2 cgroup /sys/fs/cgroup
ifconfig lo 127.0.0.1 up
echo "kernel $(uname -r)"
cd /soak/tests/faults
SOAK_MINUTES=@minutes@ SOAK_PAUSE=@pause@ python3 soak_daemon.py /soak/bolometer
echo "STATUS $?"
poweroff -f
"""


class Missing(Exception):
    """The host lacks what the machine needs."""


def libraries(binary):
    listed = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                            check=False).stdout
    return set(re.findall(r"(/\S+\.so[^ ]*)", listed))


def loaded_libraries():
    cache = subprocess.run(["/sbin/ldconfig", "-p"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for name in LOADED:
        found = re.search(rf"^\s{re.escape(name)} .*x86-64.* => (\S+)$", cache, re.M)
        if not found:
            raise Missing(f"{name} is not installed")
        yield found[1]


def put(root, path):
    """One file where it is on this host; with `lib` and its like as links into /usr, as Debian has them."""
    target = root / str(path).lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(os.path.realpath(path), target)


def fill(root, build):
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc", "sys", "tmp", "etc", "run", "var/cache", "var/lib", "soak/tests"):
        (root / name).mkdir(parents=True)
    shutil.copytree(STANDARD_LIBRARY, root / str(STANDARD_LIBRARY)[1:], ignore=LEFT_OUT)
    shutil.copytree(PACKAGES / "zstandard", root / str(PACKAGES)[1:] / "zstandard", ignore=LEFT_OUT)
    (root / "usr/bin/python3").symlink_to(PYTHON.name)
    needed = [*PROGRAMS, *loaded_libraries()]
    for path in needed:
        put(root, path)
    needed.append(build / "bolometer")
    shutil.copy(build / "bolometer", root / "soak")
    for name in ("faults", "command", "export"):
        shutil.copytree(SOURCE / "tests" / name, root / "soak/tests" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (SOURCE / "tests").glob("*.py"):
        shutil.copy(path, root / "soak/tests")
    needed += (root / str(STANDARD_LIBRARY)[1:]).glob("**/*.so")
    for path in set().union(*map(libraries, needed)):
        put(root, path)


def make_image(directory, build, minutes):
    root = directory / "root"
    fill(root, build)
    pause = os.environ.get("SOAK_PAUSE", "0.5")
    (root / "init").write_text(INIT.replace("@minutes@", minutes).replace("@pause@", pause))
    (root / "init").chmod(0o755)
    image = directory / "image"
    with open(image, "wb") as out:
        names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out, check=True)
    shutil.rmtree(root)
    return image


def boot(kernel, image, minutes):
    """Passes on what the machine prints until it is off. Returns the test's exit status, or None."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", str(MEMORY_MIB), "-smp", "2",
               "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel, "-initrd", image, "-append",
               "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nowatchdog"
               " rcupdate.rcu_cpu_stall_suppress=1"]
    status = None
    with subprocess.Popen(["timeout", str(int(float(minutes) * 60) + OTHER_SECONDS), *command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as machine:
        for line in machine.stdout:
            text = line.decode(errors="replace").rstrip()
            print(text, flush=True)
            found = re.fullmatch(r"STATUS (\d+)", text)
            status = int(found[1]) if found else status
    return status


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    minutes = sys.argv[2] if len(sys.argv) > 2 else "65"
    try:
        for tool in ("qemu-system-x86_64", "cpio", "busybox"):
            if not shutil.which(tool):
                raise Missing(f"{tool} is not installed")
        kernel = fetch.kernel(sys.argv[3] if len(sys.argv) > 3 else "6.1")
        with tempfile.TemporaryDirectory() as directory:
            image = make_image(pathlib.Path(directory), build, minutes)
            print(f"image of {image.stat().st_size / 1e6:.0f} MB", flush=True)
            status = boot(kernel, image, minutes)
    except (Missing, fetch.FetchError) as missing:
        print("SKIPPED:", missing)
        return SKIPPED
    if status is None:
        print("FAIL the machine did not end by itself")
    return 1 if status is None else status


if __name__ == "__main__":
    sys.exit(main())
