#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The package on a stock Debian: its kernel in QEMU with kernel.perf_event_paranoid at 3, systemd as process
1, the unit as shipped. It samples through the opener, the daemon itself has no CAP_SYS_ADMIN, and a
crash leaves no core dump, whatever core_pattern says.

Usage: test_paranoid.py BUILD
"""
import base64
import pathlib
import re
import subprocess
import sys
import tempfile

from debian_root import SKIPPED, Missing, fetch, make_package, make_root, need, HERE

sys.path[:0] = [str(HERE.parent), str(HERE.parent / "truth")]
from profile_reader import Profile  # noqa: E402
from verdict import Failure, Stopwatch, Undecided  # noqa: E402

BOOT_TIMEOUT = 240  # seconds under software emulation on a busy machine
CAP_SYS_ADMIN, CAP_PERFMON = 1 << 21, 1 << 38
CONFIGURATION = """
interval: 2s
exporters:
  - type: pprof-directory
    directory: /var/lib/bolometer/profiles
"""
UNIT = """[Unit]
Description=What is seen inside
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh /root/look
StandardOutput=tty
TTYPath=/dev/ttyS0
"""
LOOK = """
set -u
echo 3 > /proc/sys/kernel/perf_event_paranoid
echo "PARANOID $(cat /proc/sys/kernel/perf_event_paranoid)"
sha256sum /dev/zero & load=$!
systemctl start bolometer
echo "START $?"
pid=$(systemctl show --value -p MainPID bolometer)
for i in $(seq 60); do
    set -- /var/lib/bolometer/profiles/*.pb.gz
    [ $# -ge 3 ] && break
    sleep 1
done
# The parser ends when it has had nothing to do for two seconds: a program that is new gives it something.
for i in $(seq 20); do
    set -- $(cat /proc/$pid/task/$pid/children)
    [ $# -ge 2 ] && break
    cp /usr/bin/sha256sum /root/new$i
    timeout 0.5 /root/new$i /dev/zero
done
sleep 1
for process in $pid $(cat /proc/$pid/task/$pid/children); do
    echo "PROCESS $(tr '\\0' ' ' < /proc/$process/cmdline)"
    grep -E '^(CapInh|CapPrm|CapEff|CapAmb|NoNewPrivs|Seccomp):' /proc/$process/status
done
echo "END"
systemctl show -p StatusText bolometer
set -- /var/lib/bolometer/profiles/*.pb.gz
shift $(($# - 1))
echo BEGIN; base64 "$1"; echo END
kill $load
# what core_pattern starts has an empty environment; a process that may be dumped shows that it works
printf '#!/bin/sh\\nexec cat > /core.$1\\n' > /root/dump; chmod 755 /root/dump
echo '|/root/dump %p' > /proc/sys/kernel/core_pattern
sleep 100 & other=$!
kill -SEGV $other $pid
wait $other
for i in $(seq 20); do [ -e /proc/$pid ] || break; sleep 0.5; done
sleep 1
echo "GONE $([ -e /proc/$pid ] || echo yes)"
echo "CORE other $(stat -c %s /core.$other 2>/dev/null)"
echo "CORE daemon $(stat -c %s /core.$pid 2>/dev/null)"
journalctl --no-pager -o cat -u bolometer
systemctl poweroff -ff
"""
# $1 base, $2 scratch directory, $3 package
MAKE_IMAGE = """set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cp "$3" "$2/root/root/bolometer.deb"
chroot "$2/root" dpkg -i /root/bolometer.deb
rm "$2/root/root/bolometer.deb"
cp "$2/bolometer.yaml" "$2/root/etc/bolometer/"
cp "$2/look" "$2/root/root/"
cp "$2/look.service" "$2/root/etc/systemd/system/"
ln -s /etc/systemd/system/look.service "$2/root/etc/systemd/system/multi-user.target.wants/"
for unit in getty.target systemd-udevd.service systemd-udev-trigger.service systemd-journal-flush.service \\
        systemd-random-seed.service e2scrub_reap.service systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-logind.service \\
        systemd-user-sessions.service systemd-timesyncd.service timers.target remote-fs.target; do
    ln -sf /dev/null "$2/root/etc/systemd/system/$unit"
done
cd "$2/root"
find . -xdev \\( -path ./var/cache/apt -o -path ./var/lib/apt -o -path ./boot -o -path ./usr/share/perl \\
    -o -path ./usr/share/zoneinfo -o -path ./usr/lib/x86_64-linux-gnu/gconv \\) -prune -o -print |
    cpio -o -H newc --quiet > "$2/image"
"""


def make_image(root, package, directory):
    for name in ("upper", "work", "root"):
        (directory / name).mkdir()
    for name, text in (("bolometer.yaml", CONFIGURATION), ("look", LOOK), ("look.service", UNIT)):
        (directory / name).write_text(text)
    made = subprocess.run(["unshare", "-m", "sh", "-c", MAKE_IMAGE, "sh", root, directory, package],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode:
        raise Missing("no image: " + made.stdout[-500:])
    return directory / "image"


def boot(kernel, image):
    """What the machine printed until it was off."""
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "1536", "-smp", "2",
               "-nographic", "-no-reboot", "-nic", "none", "-kernel", kernel, "-initrd", image, "-append",
               "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable rdinit=/sbin/init"
               " systemd.show_status=false systemd.log_target=null"]
    watch = Stopwatch()
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=BOOT_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        watch.expect_within(BOOT_TIMEOUT, "the machine does not end")
    return result.stdout.decode(errors="replace").replace("\r", "")


def processes(console):
    """{"daemon" | "opener-child" | "parser-child": {field: value}}"""
    found = {}
    for arguments, fields in re.findall(r"^PROCESS \S+ (\S+).*\n((?:\w+:\s+\S+\n)+)", console, re.M):
        found[arguments] = dict(re.findall(r"(\w+):\s+(\S+)", fields))
    return found


def judge_processes(console):
    seen = processes(console)
    if set(seen) != {"daemon", "opener-child", "parser-child"}:
        yield f"the processes are {sorted(seen)}"
        return
    for name, has_it in (("daemon", False), ("opener-child", True), ("parser-child", False)):
        capabilities = int(seen[name]["CapEff"], 16) | int(seen[name]["CapPrm"], 16)
        print(f"{name}: {seen[name]}")
        if bool(capabilities & CAP_SYS_ADMIN) != has_it:
            yield f"{name} {'lacks' if has_it else 'has'} CAP_SYS_ADMIN: {seen[name]}"
        if seen[name]["NoNewPrivs"] != "1" or seen[name]["Seccomp"] != "2":
            yield f"{name} is not confined: {seen[name]}"
    if int(seen["opener-child"]["CapEff"], 16) & ~(CAP_SYS_ADMIN | CAP_PERFMON):
        yield f"the opener can do more: {seen['opener-child']}"


def judge_profile(console, directory):
    match = re.search("^BEGIN\n(.*?)^END$", console, re.S | re.M)
    if not match:
        yield "no profile came back"
        return
    path = directory / "x.pb.gz"
    path.write_bytes(base64.b64decode(re.sub(r"[^A-Za-z0-9+/=]", "", match[1])))
    profile = Profile.read(path)
    total = sum(sample.count for sample in profile.samples)
    load = [sample for sample in profile.samples
            if sample.labels.get("process.executable.name") == "sha256sum"]
    names = {name for sample in load for name in sample.names}
    count = sum(sample.count for sample in load)
    print(f"a profile of 2 s: {total} samples, {count} of the load")
    if count < 30:
        yield f"{count} of {total} samples are of the load"
    if not any(re.search("zero", name) for name in names):
        yield f"no kernel function of reading /dev/zero has its name: {sorted(names)[:40]}"


def judge(console, directory):
    for line in ("PARANOID 3", "START 0", "GONE yes"):
        if f"{line}\n" not in console:
            yield f"not seen: {line}"
    yield from judge_processes(console)
    yield from judge_profile(console, directory)
    if not re.search("^CORE other [1-9]", console, re.M):
        yield "core_pattern does not work in this test"
    if not re.search("^CORE daemon $", console, re.M):
        yield "the crashed daemon left a core dump"


def main():
    build = sys.argv[1]
    try:
        need("qemu-system-x86_64", "cpio", "unshare")
        kernel = fetch.kernel("6.1")
        package = make_package(build)
        root = make_root(build, package)
        with tempfile.TemporaryDirectory(dir=f"{build}/package") as temporary:
            directory = pathlib.Path(temporary)
            image = make_image(root, package, directory)
            print(f"image of {image.stat().st_size / 1e6:.0f} MB", flush=True)
            console = boot(kernel, image)
            failures = list(judge(console, directory))
    except (Missing, fetch.FetchError) as missing:
        print(missing)
        return SKIPPED
    except Undecided as undecided:
        print("SKIPPED:", undecided)
        return SKIPPED
    except Failure as failure:
        print("FAIL", failure)
        return 1
    if failures:
        print("\n".join(line for line in console.splitlines() if not re.fullmatch(r"\S{20,}", line))[-4000:])
    for failure in failures:
        print("FAIL", failure)
    return 1 if failures else 0


sys.exit(main())
