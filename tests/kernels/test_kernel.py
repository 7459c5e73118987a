#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Boots a Debian kernel in QEMU with the built binary in its initramfs and records known programs there:
the same results are expected on every kernel. The profiles come back over the serial line.

    test_kernel.py NAME BOLOMETER RECURSION SIGNALS SYSCALLS      NAME as in fetch.py

Skipped (77) without QEMU, busybox or the kernel's image.
"""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "truth"))
from profile_reader import Profile  # noqa: E402

SKIPPED = 77
BOOT_TIMEOUT = 240  # seconds under software emulation on a busy machine
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
export PATH=/bin
bolometer doctor
echo "DOCTOR $?"
mkdir -p /var/cache
recursion 3 > /dev/null & bolometer record -q -d 3s -o /tmp/x.pb.gz # fills the cache
for run in "recursion 5" "recursion 5 200 kernel" "signals 5" "syscalls 5"; do
  name=$(echo $run | tr ' ' -)
  /bin/$run > /dev/null &
  sleep 0.5
  bolometer record -q -d 3s -F 199 -o /tmp/x.pb.gz
  echo "RECORD $name $?"
  echo "BEGIN $name"; base64 /tmp/x.pb.gz; echo "END $name"
  wait
done
poweroff -f
"""


def libraries(binary):
    listed = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, text=True, check=False).stdout
    return sorted(set(re.findall(r"(/\S+\.so[^ ]*)", listed)))


def make_initramfs(directory, binaries):
    root = directory / "root"
    for name in ("bin", "dev", "proc", "sys", "tmp", "lib64"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for binary in binaries:
        shutil.copy(binary, root / "bin" / pathlib.Path(binary).name)
        for library in libraries(binary):
            target = root / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(library), target)
    init = root / "init"
    init.write_text(INIT)
    init.chmod(0o755)
    image = directory / "initramfs"
    with open(image, "wb") as out:
        names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out,
                       check=True)
    return image


def boot(kernel, initramfs):
    """What the machine printed until it was off."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1024",
               "-smp", "2", "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel,
               "-initrd", initramfs, "-append",
               "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable"]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, timeout=BOOT_TIMEOUT, check=False)
    return result.stdout.decode(errors="replace").replace("\r", "")


def profile_of(console, name, directory):
    match = re.search(f"^BEGIN {name}\n(.*?)^END {name}$", console, re.S | re.M)
    if not match:
        return None
    path = directory / "x.pb.gz"
    path.write_bytes(base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", match.group(1))))
    return Profile.read(path)


def stacks_of(profile, function):
    """Function names of each sample that runs through `function`, leaf first, with its count."""
    stacks = []
    for sample in profile.samples:
        names = [frame.function for frame in sample.frames]
        if function in names:
            stacks.append((names, sample.count))
    return stacks


def check_recursion(profile, depth):
    stacks = stacks_of(profile, "bottom")
    total = sum(count for _, count in stacks)
    exact = sum(count for names, count in stacks if names.count("descend") == depth + 1
                or names.count("descend") == depth)
    return total, exact


CHECKS = {
    # name: (what is counted, how)
    "recursion-5": lambda profile: check_recursion(profile, 1000),
    "recursion-5-200-kernel": lambda profile: check_recursion(profile, 200),
}


def completeness(profile, workload):
    """Samples of the workload, how many of them reach its entry, and how many came before the
    tables were ready: under emulation that takes a while."""
    total = complete = early = 0
    for sample in profile.samples:
        if sample.labels.get("process.executable.name") != workload:
            continue
        total += sample.count
        marks = [frame.function for frame in sample.frames if frame.is_mark]
        complete += 0 if marks else sample.count
        early += sample.count if marks == ["[tables not ready]"] else 0
    return total, complete, early


def judge(console, directory):
    failures = []
    for name in ("recursion-5", "recursion-5-200-kernel", "signals-5", "syscalls-5"):
        profile = profile_of(console, name, directory)
        if profile is None:
            failures.append(f"{name}: no profile came back")
            continue
        total, complete, early = completeness(profile, name.split("-")[0])
        print(f"{name}: {total} samples of the program, {complete} complete, {early} too early")
        if total < 50 or complete < 0.99 * (total - early) or early > 0.2 * total:
            failures.append(f"{name}: {complete} of {total} complete, {early} too early")
        if name in CHECKS:
            total, exact = CHECKS[name](profile)
            print(f"  depth exact in {exact} of {total}")
            if exact < 0.98 * (total - early) or not total:
                failures.append(f"{name}: depth exact in {exact} of {total}")
    return failures


def main():
    name, *binaries = sys.argv[1:]
    for tool in ("qemu-system-x86_64", "/bin/busybox", "cpio", "ldd"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return SKIPPED
    fetched = subprocess.run([sys.executable, HERE / "fetch.py", "kernel", name], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if fetched.returncode:
        print(f"no image of kernel {name}: {fetched.stderr.strip()[-200:]}")
        return SKIPPED
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        console = boot(fetched.stdout.split()[-1], make_initramfs(directory, binaries))
        failures = judge(console, directory)
    if failures:
        readable = (line for line in console.splitlines() if not re.fullmatch(r"\S{20,}", line))
        print("\n".join(readable)[-3000:])
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else 0


sys.exit(main())
