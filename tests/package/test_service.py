#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
The package is installed in a minimal Debian and its unit, as shipped, runs under a real systemd there:
nothing starts by itself, start means sampling, reload takes good files and refuses bad ones, a killed or
hanging daemon comes back, stop hands over the last profile, purge leaves the profiles and nothing else.

Usage: test_service.py BUILD
"""
import os
import shutil
import signal
import sys
import tempfile
import time

from debian_root import SKIPPED, Container, Missing, make_package, make_root, HERE

sys.path[:0] = [str(HERE.parent), str(HERE.parent / "truth")]
from profile_reader import Profile  # noqa: E402
from verdict import Failure, Stopwatch, Undecided, expect  # noqa: E402

PROFILES = "/var/lib/bolometer/profiles"
CONFIGURATION = """
interval: 1s
sampling:
  frequency: %s
exporters:
  - type: pprof-directory
    directory: /var/lib/bolometer/profiles
"""
# The shipped unit waits 30 s for a sign of life and 10 s for the end of what it told to abort.
SHORT_WATCHDOG = "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\nRestartSec=1\n"
STOP_SECONDS = 5
PATIENCE = 3  # times what a wait takes at most on a quiet host
CAP_SYS_ADMIN = 1 << 21
WANTED_CAPABILITIES = {39: "CAP_BPF", 38: "CAP_PERFMON", 19: "CAP_SYS_PTRACE", 2: "CAP_DAC_READ_SEARCH",
                       40: "CAP_CHECKPOINT_RESTORE", 34: "CAP_SYSLOG"}


def waits(container, seconds, condition, what):
    watch = Stopwatch()
    try:
        return container.wait(seconds * PATIENCE, condition)
    except TimeoutError:
        return watch.expect_within(seconds * PATIENCE, what)


def configure(container, text):
    container.path("/etc/bolometer/bolometer.yaml").write_text(text)


def profiles(container):
    directory = container.path(PROFILES)
    return sorted(directory.glob("*.pb.gz")) if directory.exists() else []


def installs_without_starting(container, package):
    shutil.copy(package, container.path("/root/bolometer.deb"))
    result = container.run("dpkg", "-i", "/root/bolometer.deb")
    expect(result.returncode == 0, f"dpkg -i: {result.stdout}")
    for what, wanted in (("is-enabled", "disabled"), ("is-active", "inactive")):
        seen = container.run("systemctl", what, "bolometer").stdout.strip()
        expect(seen == wanted, f"after the installation {what} says {seen}")
    seen = container.run("dpkg-query", "-W", "-f", "${Conffiles}", "bolometer").stdout
    expect("/etc/bolometer/bolometer.yaml" in seen, f"no conffile: {seen}")
    expect(container.run("bolometer", "check-config", "/etc/bolometer/bolometer.yaml").returncode == 0,
           "the shipped configuration is sound")


def starts_and_samples(container):
    configure(container, CONFIGURATION % 99)
    result = container.run("systemctl", "start", "bolometer")
    expect(result.returncode == 0, f"start: {result.stdout}" + container.run(
        "journalctl", "--no-pager", "-u", "bolometer").stdout)
    expect(container.property("ActiveState") == "active", "start returns when it is ready")
    expect("sampling" in container.property("StatusText"), "STATUS is told at once")
    # the first is over before the load runs
    waits(container, 15, lambda: len(profiles(container)) >= 4, "four profiles")
    samples = busy = 0
    for path in profiles(container)[:4]:
        profile = Profile.read(path)
        samples += sum(sample.count for sample in profile.samples)
        busy += sum(sample.count for sample in profile.samples
                    if sample.labels.get("process.executable.name") == "sha256sum")
    print(f"4 profiles with {samples} samples, {busy} of the load")
    expect(busy >= 50, f"the load is in the profiles: {busy} of {samples} samples")
    expect("99 Hz" in container.property("StatusText"), "STATUS follows: " + container.property("StatusText"))


def is_confined(container):
    fields = dict(line.split(":\t", 1) for line in container.path(
        f"/proc/{container.property('MainPID')}/status").read_text().splitlines() if ":\t" in line)
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        expect(not int(fields[name], 16) & CAP_SYS_ADMIN, f"{name} {fields[name]} has CAP_SYS_ADMIN")
    wanted = sum(1 << bit for bit in WANTED_CAPABILITIES)
    expect(int(fields["CapEff"], 16) == wanted, f"CapEff {fields['CapEff']} is not {wanted:x}")
    expect(fields["NoNewPrivs"].strip() == "1" and fields["Seccomp"].strip() == "2",
           f"NoNewPrivs {fields['NoNewPrivs']}, Seccomp {fields['Seccomp']}")
    mode = container.path("/var/lib/bolometer").stat().st_mode & 0o777
    expect(mode == 0o700, f"/var/lib/bolometer is {mode:o}")


def reloads(container):
    pid = container.property("MainPID")
    configure(container, CONFIGURATION % 49)
    result = container.run("systemctl", "reload", "bolometer")
    expect(result.returncode == 0, "reload: " + result.stdout + container.run(
        "journalctl", "--no-pager", "-u", "bolometer").stdout)
    waits(container, 10, lambda: "49 Hz" in container.property("StatusText"), "STATUS tells the new rate")
    configure(container, CONFIGURATION % "a lot")
    expect(container.run("systemctl", "reload", "bolometer").returncode, "reload fails for a bad file")
    container.run("sh", "-c", f"kill -HUP {pid}")  # and who asks the daemon itself gets the same answer
    waits(container, 10, lambda: container.run("journalctl", "--no-pager", "-u", "bolometer").stdout.count(
        "bolometer.yaml:4:") == 2, "the journal tells the line of the mistake twice")
    count = len(profiles(container))
    waits(container, 10, lambda: len(profiles(container)) > count + 1, "profiles after a bad reload")
    expect("49 Hz" in container.property("StatusText"), "the old settings stay: "
           + container.property("StatusText"))
    expect(container.property("MainPID") == pid, "one process through all reloads")
    configure(container, CONFIGURATION % 99)


def comes_back(container):
    """After a kill, and after a hang, which the watchdog ends."""
    drop_in = container.path("/run/systemd/system/bolometer.service.d")
    drop_in.mkdir(parents=True)
    (drop_in / "watchdog.conf").write_text(SHORT_WATCHDOG)
    container.run("systemctl", "daemon-reload")
    for number, (how, result) in enumerate(((signal.SIGKILL, "signal"), (signal.SIGSTOP, "watchdog")), 1):
        pid = container.property("MainPID")
        begin = time.monotonic()
        container.run("sh", "-c", f"kill -{how.name[3:]} {pid}")
        waits(container, 20, lambda count=number: container.property("NRestarts") == str(count)
              and container.property("ActiveState") == "active", f"started again after {how.name}")
        print(f"{how.name}: active again after {time.monotonic() - begin:.1f} s")
        expect(container.property("MainPID") != pid, "a new process")
        seen = container.run("journalctl", "--no-pager", "-u", "bolometer").stdout
        expect(f"Failed with result '{result}'" in seen, f"systemd saw a {result}: {seen[-1500:]}")
    expect("an earlier run was killed" in seen, "the daemon tells what a kill cost: " + seen[-1500:])


def stops_with_the_last_profile(container):
    count = len(profiles(container))
    waits(container, 10, lambda: len(profiles(container)) > count, "profiles after the restarts")
    before = profiles(container)
    watch = Stopwatch()
    container.run("systemctl", "stop", "bolometer")
    seconds = watch.seconds()
    after = profiles(container)
    print(f"stopped in {seconds:.1f} s")
    watch.expect_within(STOP_SECONDS, "the stop")
    expect(container.property("Result") == "success", "Result " + container.property("Result"))
    expect(len(after) > len(before), "the profile of the open interval is written")
    last = Profile.read(after[-1])
    expect(abs(last.time_ns + last.duration_ns - time.time_ns()) < 10e9, "it reaches until the end")


def purges(container):
    kept = profiles(container)
    result = container.run("dpkg", "--purge", "bolometer")
    expect(result.returncode == 0, f"purge: {result.stdout}")
    container.path("/root/bolometer.deb").unlink()
    left = container.run("find", "/etc", "/lib", "/usr", "/var", "/opt", "/root", "-xdev", "-iname", "*bolometer*",
                         "-not", "-path", PROFILES + "/*").stdout.split()
    expect(left == ["/var/lib/bolometer"], f"purge leaves {left}")
    expect(profiles(container) == kept, "the profiles stay")
    inside = [str(path) for path in container.path("/var/lib/bolometer").iterdir()]
    print("purge left", [os.path.basename(path) for path in inside])


def main():
    build = sys.argv[1]
    try:
        package = make_package(build)
        root = make_root(build, package)
        with tempfile.TemporaryDirectory(dir=f"{build}/package") as directory, \
                Container(root, directory) as container:
            load = container.start("sha256sum", "/dev/zero")
            try:
                installs_without_starting(container, package)
                for step in (starts_and_samples, is_confined, reloads, comes_back, stops_with_the_last_profile,
                             purges):
                    step(container)
                    print("ok  ", step.__name__, flush=True)
            finally:
                load.kill()
                load.wait()
    except Missing as missing:
        print(missing)
        return SKIPPED
    except Undecided as undecided:
        print("SKIPPED:", undecided)
        return SKIPPED
    except Failure as failure:
        print("FAIL", failure)
        return 1
    return 0


sys.exit(main())
