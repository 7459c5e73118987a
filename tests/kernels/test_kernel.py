#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Boots a Debian kernel in QEMU with the built binary in its initramfs and records known programs there:
the same results are expected on every kernel. The profiles come back over the serial line.

    test_kernel.py NAME SOURCE BUILD      NAME as in fetch.py

The build for arm64 is made here, in BUILD/arm64. Skipped (77) without QEMU, busybox, the kernel's image
or, for arm64, a cross compiler and libraries.
"""

import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "truth")]
from heap_recording import lacks_links, wrong_places  # noqa: E402
from profile_reader import Profile  # noqa: E402
from verdict import SKIPPED, Stopwatch  # noqa: E402
import cross  # noqa: E402

LEAST_SAMPLES = 50  # of a workload, once its tables are ready
LATE = "too late: "  # how what a busy host may bring about begins
MEMORY_WORKLOADS = {"growth", "heap"}
LARGEST_HEAP_ERROR = 0.02
BOOT_TIMEOUT = 240  # seconds under software emulation on a busy machine
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
export PATH=/bin
grep -m 1 -o paca /proc/cpuinfo
load
echo "LOAD $?"
bolometer doctor
echo "DOCTOR $?"
mkdir -p /var/cache
recursion 3 > /dev/null & bolometer record -q -d 3s -o /tmp/x.pb.gz # the whole host; fills the cache
for run in RUNS; do
  name=$(echo $run | tr ' ' -)
  bolometer record -q -F 199 -o /tmp/x.pb.gz -- $run > /dev/null
  echo "RECORD $name $?"
  echo "BEGIN $name"; base64 /tmp/x.pb.gz; echo "END $name"
done
bolometer record -q -F 199 -o /tmp/x.pb.gz -- hotplug
echo "RECORD hotplug $?"
echo "BEGIN hotplug"; base64 /tmp/x.pb.gz; echo "END hotplug"
growth small 4 > /dev/null & bolometer record -q -e growth -d 3s -o /tmp/x.pb.gz
bolometer record -q -e growth -o /tmp/x.pb.gz -- growth small 64 > /dev/null
echo "RECORD growth $?"
echo "BEGIN growth"; base64 /tmp/x.pb.gz; echo "END growth"
rm /tmp/x.pb.gz
(sleep 60 & echo $! > /tmp/sleep; wait) | heap 300 > /tmp/heap & heap=$!
bolometer record -q -e heap --exact -d 90s -p $heap -o /tmp/x.pb.gz 2> /tmp/heap-errors & recorder=$!
while [ ! -s /tmp/heap ] && kill -0 $recorder 2> /dev/null; do sleep 0.1; done
kill -INT $recorder 2> /dev/null; wait $recorder
echo "RECORD heap $?"; kill $(cat /tmp/sleep)
echo "HEAP $(cat /tmp/heap)"; cat /tmp/heap-errors
[ ! -f /tmp/x.pb.gz ] || { echo "BEGIN heap"; base64 /tmp/x.pb.gz; echo "END heap"; }
poweroff -f
"""
# Runs while CPU 1 comes and goes; off for a second. Then for a moment in which the recorder cannot look, as when a host
# sleeps: its events are dead, and nobody tells.
HOTPLUG = """#!/bin/busybox sh
cpu=/sys/devices/system/cpu/cpu1/online
recursion 9 > /dev/null &
sleep 0.5; echo 0 > $cpu && sleep 1 && echo 1 > $cpu && echo "CPU1 $(cat $cpu)"
kill -STOP $PPID; echo 0 > $cpu; echo 1 > $cpu; kill -CONT $PPID
wait
"""


class Amd64:
    """This machine's own build."""
    tools = ("qemu-system-x86_64", "cpio", "ldd")
    runs = ("recursion 3", "recursion 3 200 kernel", "signals 3", "syscalls 3")
    # One thread for all CPUs: with one each, an emulator before 8.1 can run the breakpoint of a code
    # patch after it was replaced (its own "Always lock pages before translation" mends it), and the
    # guest's kernel dies of it anywhere: "Oops: int3".
    qemu = ["qemu-system-x86_64", "-accel", "tcg,thread=single", "-cpu", "max"]
    console = "console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable"
    has_pointer_authentication = False

    def __init__(self, _, build):
        self.binaries = [build / target for target in ("bolometer", "tests/kernels/load")]
        self.binaries += [build / "tests/truth/workloads" / name
                          for name in sorted({run.split()[0] for run in self.runs} | MEMORY_WORKLOADS)]
        self.busybox = pathlib.Path("/bin/busybox")

    @staticmethod
    def libraries(binary):
        listed = subprocess.run(["ldd", binary], stdout=subprocess.PIPE, text=True, check=False).stdout
        return {path: os.path.realpath(path)
                for path in set(re.findall(r"(/\S+\.so[^ ]*)", listed))}


class Arm64:
    """Built here. The workloads are protected by pointer authentication and branch targets (their
    meson.build), one of them is static."""
    tools = ("qemu-system-aarch64", "cpio")
    runs = ("recursion 3", "recursion 3 200 kernel", "signals 3", "split_static 3")
    # The architected algorithm of pointer authentication is slow to emulate; this one signs as well.
    qemu = ["qemu-system-aarch64", "-M", "virt", "-accel", "tcg,thread=multi", "-cpu",
            "max,pauth-impdef=on"]
    console = "console=ttyAMA0 quiet panic=-1"
    has_pointer_authentication = True

    def __init__(self, source, build):
        self.cross = cross.CrossBuild(source, build / "arm64")
        self.binaries = self.cross.build("bolometer", "tests/kernels/load", *(
            f"tests/truth/workloads/{name}"
            for name in sorted({run.split()[0] for run in self.runs} | MEMORY_WORKLOADS)))
        self.busybox = self.cross.sysroot / "bin/busybox"

    def libraries(self, binary):
        return self.cross.libraries(binary)


def make_initramfs(directory, machine):
    root = directory / "root"
    for name in ("bin", "dev", "proc", "sys", "tmp", "lib", "lib64"):
        (root / name).mkdir(parents=True)
    shutil.copy(machine.busybox, root / "bin/busybox")
    for binary in machine.binaries:
        shutil.copy(binary, root / "bin" / binary.name)
        for path, library in machine.libraries(binary).items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    runs = " ".join(f'"{run}"' for run in machine.runs)
    for script, text in (("init", INIT.replace("RUNS", runs)), ("bin/hotplug", HOTPLUG)):
        (root / script).write_text(text)
        (root / script).chmod(0o755)
    image = directory / "initramfs"
    with open(image, "wb") as out:
        names = subprocess.run(["find", "."], cwd=root, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["cpio", "-o", "-H", "newc", "--quiet"], cwd=root, input=names, stdout=out,
                       check=True)
    return image


def boot(kernel, initramfs, machine):
    """What the machine printed until it was off."""
    command = [*machine.qemu, "-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-nic", "none",
               "-kernel", kernel, "-initrd", initramfs, "-append", machine.console]
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
    "recursion-3": lambda profile: check_recursion(profile, 1000),
    "recursion-3-200-kernel": lambda profile: check_recursion(profile, 200),
}


EARLY = ("[tables not ready]",)
WHOLE = ("[exiting]", "[starting a program]")


def completeness(profile, workload):
    """Samples of the workload, how many of them reach its entry, and how many came before the
    tables were ready: under emulation that takes a while."""
    total = complete = early = 0
    for sample in profile.samples:
        if sample.labels.get("process.executable.name") != workload:
            continue
        total += sample.count
        marks = [frame.function for frame in sample.frames if frame.is_mark]
        complete += 0 if marks and marks[0] not in WHOLE else sample.count
        early += sample.count if marks and marks[0] in EARLY else 0
    return total, complete, early


def ends_early(profile, workload):
    """Which frames the unfinished stacks of the workload end in, and why."""
    ends = {}
    for sample in profile.samples:
        if (sample.labels.get("process.executable.name") == workload and sample.frames[-1].is_mark
                and sample.frames[-1].function not in EARLY):
            end = "<-".join(sample.names[:8] if len(sample.names) < 9 else [*sample.names[:5], "...", *sample.names[-2:]])
            ends[end] = ends.get(end, 0) + sample.count
    return ", ".join(f"{count} {end}" for end, count in sorted(ends.items(), key=lambda item: -item[1])[:8])


def name_of(run):
    return run.replace(" ", "-")


def judge_run(run, profile):
    workload, name = run.split()[0], name_of(run)
    if profile is None:
        return [f"{name}: no profile came back"]
    failures = []
    total, complete, early = completeness(profile, workload)
    print(f"{name}: {total} samples of the program, {complete} complete, {early} too early")
    if total - early < LEAST_SAMPLES:
        failures.append(f"{LATE}{name}: {total} samples, {early} too early")
    elif complete < 0.99 * (total - early):
        failures.append(f"{name}: {complete} of {total} complete, {early} too early; the others end in "
                        + ends_early(profile, workload) + "; "
                        + " ".join(text for text in profile.comments if not text.endswith("=0")))
    if name in CHECKS:
        seen, exact = CHECKS[name](profile)
        print(f"  depth exact in {exact} of {seen}")
        if exact < 0.98 * (seen - early) or (not seen and total - early >= LEAST_SAMPLES):
            failures.append(f"{name}: depth exact in {exact} of {seen}")
    return failures


def counters_of(profile):
    return {name: int(value) for name, value in (text.split("=", 1) for text in profile.comments
                                                 if "=" in text) if value.isdigit()}


def judge_hotplug(profile):
    """A CPU that was off for a while, twice: every tick is accounted for, and it ticks again afterwards."""
    if profile is None:
        return ["hotplug: no profile came back"]
    seen = counters_of(profile)
    ticks = sum(seen[name] for name in ("samples", "lost_ring_full", "lost_scratch", "unselected", "idle",
                                        "missed"))
    seconds = sum(seen[name] for name in ("captured_ns", "lost_ns", "unselected_ns", "idle_ns",
                                          "missed_ns")) / 1e9
    elapsed = profile.duration_ns / 1e9
    print(f"hotplug: {seconds:.2f} s of two CPUs in {elapsed:.2f} s, {ticks} ticks of {seen['ticks']}")
    failures = [] if ticks == seen["ticks"] else [f"hotplug: {ticks} ticks of {seen['ticks']}"]
    # both CPUs but for a second and, at the second time, some four until it is noticed; it would be 1.1 times the
    # elapsed time had the clock not come back
    if not 1.3 * elapsed <= seconds <= 2 * elapsed - 0.8:
        failures.append(f"{LATE}hotplug: {seconds:.2f} s accounted for in {elapsed:.2f} s")
    return failures


def judge_growth(profile):
    """64 MiB of small pages, touched in one function."""
    if profile is None:
        return ["growth: no profile came back"]
    mib = 1 << 20
    bytes_of = {"touch_small_pages": 0, "[tables not ready]": 0}
    for sample in profile.samples:
        for name in bytes_of:
            if name in [frame.function for frame in sample.frames]:
                bytes_of[name] += sample.values["growth_space"]
    total, seen = profile.total("growth_space"), bytes_of["touch_small_pages"]
    counters = counters_of(profile)
    print(f"growth: {total / mib:.1f} MiB, {seen / mib:.1f} of 64 MiB in touch_small_pages, "
          f"{bytes_of['[tables not ready]'] / mib:.1f} MiB too early; {counters['growth_faults']} faults, "
          f"{counters['growth_samples']} samples")
    parts = ("new", "copied", "file", "unselected", "thinned")
    failures = []
    if counters["growth_faults"] != sum(counters["growth_" + part] for part in parts):
        failures.append("growth: the faults do not add up: "
                        + " ".join(text for text in profile.comments if text.startswith("growth_")))
    # Samples are few, and one stands for up to a few MiB.
    if not 50 * mib <= total <= 80 * mib or seen + bytes_of["[tables not ready]"] < 0.9 * total:
        failures.append(f"growth: {seen / mib:.1f} MiB of {total / mib:.1f} in touch_small_pages")
    return failures


def judge_heap(console, profile):
    """Every allocation at known places, to the byte; where the kernel cannot tell them, it is said."""
    match = re.search(r"^HEAP (\{.*\})$", console, re.M)
    if profile is None:
        said = re.findall(r"^bolometer.*heap.*$", console, re.M)
        print("\n".join(said) or "heap: nothing was said")
        return [] if any(lacks_links(line) for line in said) else ["heap: no profile came back, and nothing says why"]
    if not match:
        return [f"{LATE}heap: the program did not end"]
    truth = json.loads(match.group(1))
    if not truth["probed"]:
        return [f"{LATE}heap: the probes came too late for the program"]
    wrong = wrong_places(profile, truth["places"])
    objects = sum(place[0] for place in truth["places"].values())
    seen = sum(sample.values["alloc_objects"] for sample in profile.samples
               if any(place in sample.names for place in truth["places"]))
    print(f"heap: {seen} of {objects} objects at {len(truth['places'])} places, {len(wrong)} places not exact")
    if wrong:
        print("\n".join(["", *wrong, *(text for text in profile.comments
                                      if text.startswith("heap_") and not text.endswith("=0"))]))
    # An emulated CPU of the newest kernels now and then runs over a breakpoint.
    return [] if len(wrong) <= 1 and abs(seen - objects) <= LARGEST_HEAP_ERROR * objects else [
        f"heap: {what}" for what in wrong]


def judge(console, machine, directory):
    failures = []
    for line in re.findall(r"^.* instructions of .*$", console, re.M):
        print(line)
    if "LOAD 0\n" not in console:
        failures.append("a program does not load or is over a limit of the verifier")
    if machine.has_pointer_authentication and "paca\n" not in console:
        failures.append("the machine has no pointer authentication")
    for run in machine.runs:
        failures += judge_run(run, profile_of(console, name_of(run), directory))
    failures += judge_growth(profile_of(console, "growth", directory))
    failures += judge_heap(console, profile_of(console, "heap", directory))
    if "CPU1 1\n" not in console:
        print("hotplug: SKIPPED, this kernel keeps its CPUs")
    else:
        failures += judge_hotplug(profile_of(console, "hotplug", directory))
    return failures


def tell(failures, console, watch):
    """The exit status: what comes late on a busy host is no failure."""
    if failures:
        readable = (line for line in console.splitlines() if not re.fullmatch(r"\S{20,}", line))
        print("\n".join(readable)[-3000:])
    for failure in failures:
        print("FAIL", failure)
    if failures and all(failure.startswith(LATE) for failure in failures) and watch.host_was_busy():
        print(f"SKIPPED: {'; '.join(failures)}: others keep this host's CPUs from the machine")
        return SKIPPED
    return 1 if failures else 0


def main():
    name, source, build = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    kind = Arm64 if name.startswith("arm64") else Amd64
    for tool in (*kind.tools, "/bin/busybox"):
        if not shutil.which(tool):
            print(f"{tool} is not installed")
            return SKIPPED
    fetched = subprocess.run([sys.executable, HERE / "fetch.py", "kernel", name], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if fetched.returncode:
        print(f"no image of kernel {name}: {fetched.stderr.strip()[-200:]}")
        return SKIPPED
    try:
        machine = kind(source, build)
    except cross.CannotBuild as reason:
        print(reason)
        return SKIPPED
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as temporary:
        directory = pathlib.Path(temporary)
        try:
            console = boot(fetched.stdout.split()[-1], make_initramfs(directory, machine), machine)
            failures = judge(console, machine, directory)
        except subprocess.TimeoutExpired as late:
            console = late.stdout.decode(errors="replace")
            failures = [f"{LATE}it does not end in {BOOT_TIMEOUT} s"]
    return tell(failures, console, watch)


sys.exit(main())
