#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole daemon when the host fails it: its state directory full or read-only, kill -9 at random moments,
a wall clock that jumps; and that nobody learns its credentials.

Usage: test_state.py BOLOMETER WORKLOAD JUMPING_CLOCK [TEST...]"""
import base64
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

from daemon_process import Backend, answer, check_balance, expect, main, profiles, status

CLOCK = os.path.abspath(sys.argv.pop(3))
KILLS = 6
NOBODY = 65534
SECRETS = ["s3cr3t-of-the-token", "s3cr3t-of-the-header", "s3cr3t-of-the-password"]


def in_namespace(world, *commands):
    """A command prefix that runs the daemon in a mount namespace of its own, after `commands`."""
    os.makedirs(world.directory + "/disk/spool")
    script = " && ".join([*commands, 'exec "$@"'])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]


def disk_full(world):
    """A megabyte, filled by somebody else: what waits stays in memory, and goes when the backend comes."""
    disk = world.directory + "/disk"
    prefix = in_namespace(world, f"mount -t tmpfs -o size=1m none {disk}",
                          f"head -c 1040000 /dev/zero >{disk}/filler")
    open_for_business = []
    with Backend(lambda request, connection: None if open_for_business else b"") as backend:
        daemon = world.daemon(backend.url, spool=disk + "/spool", prefix=prefix, frequency=499)
        time.sleep(3)
        open_for_business.append(1)
        daemon.until(lambda: len(backend.received) > 10, "what was in memory")
        account = world.finish(daemon, backend)
        expect(account["sent"] and account["waiting"] == 0, f"{account}")


def disk_full_and_no_backend(world):
    disk = world.directory + "/disk"
    prefix = in_namespace(world, f"mount -t tmpfs -o size=1m none {disk}",
                          f"head -c 1048576 /dev/zero >{disk}/filler; true")
    daemon = world.daemon("http://127.0.0.1:1", spool=disk + "/spool", prefix=prefix)
    time.sleep(2.5)
    account = world.finish(daemon)
    expect(account.get("dropped_shutdown", 0) > 0, f"what was only in memory is counted: {account}")


def read_only(world):
    disk = world.directory + "/disk"
    prefix = in_namespace(world, f"mount --bind {disk} {disk}", f"mount -o remount,bind,ro {disk}")
    with Backend() as backend:
        daemon = world.daemon(backend.url, spool=disk + "/spool", prefix=prefix)
        daemon.until(lambda: len(backend.received) > 4, "it sends from memory")
        account = world.finish(daemon, backend)
        expect(account["sent"] == account["taken"], f"{account}")


def killed_at_random_moments(world):
    """The next start takes up what was on disk and tells the gap; only what was out is sent twice."""
    draw = random.Random(os.environ.get("SEED", 4711))
    repeated = gaps = 0
    with Backend(lambda request, connection: time.sleep(draw.uniform(0, 0.02))) as backend:
        for number in range(KILLS):
            before = backend.repeated
            daemon = world.daemon(backend.url)
            time.sleep(draw.uniform(0.2, 2.5))
            daemon.kill()
            daemon.close()
            # What a killed one has sent without noting it can come once more: one payload.
            expect(backend.repeated - before <= most_in_a_payload(backend), f"kill {number}")
        daemon = world.daemon(backend.url)
        daemon.until(lambda: "an earlier run was killed" in daemon.messages(), "the gap")
        gaps = pathlib.Path(world.directory + "/log").read_text().count("an earlier run was killed")
        expect(gaps == KILLS, f"{gaps} gaps told")
        time.sleep(1.5)
        recording, (queue,) = daemon.end()
        check_balance(queue)
        expect(queue["waiting"] == 0 and queue["taken"] == recording["taken"], f"{queue}")
        repeated = backend.repeated
    return f"{KILLS} kills, {repeated} profiles repeated"


def most_in_a_payload(backend):
    return max((len(profiles(request.content())) for request in list(backend.requests)), default=0)


def clock_jumps(world):
    """An hour ahead, and two back: intervals go on, nothing is lost or sent twice."""
    jump = pathlib.Path(world.directory + "/jump")
    jump.write_text("0")
    with Backend() as backend:
        daemon = world.daemon(backend.url, environment={"LD_PRELOAD": CLOCK, "JUMPING_CLOCK": str(jump)})
        for seconds in ("3600", "-3600", "0"):
            jump.write_text(seconds)
            before = len(backend.requests)
            daemon.until(lambda: len(backend.requests) > before + 1, f"profiles {seconds} s away")
        account = world.finish(daemon, backend)
        expect(account["sent"] == account["taken"] and not backend.repeated, f"{account}")


def losses_are_told(world):
    """While it runs: a daemon that gets no CPU time for a second loses samples, and says so, with what helps, once
    in a minute."""
    def suspend():
        os.kill(daemon.process.pid, signal.SIGSTOP)
        time.sleep(1)
        os.kill(daemon.process.pid, signal.SIGCONT)

    with Backend() as backend:
        daemon = world.daemon(backend.url, frequency=4999, arguments=("--set", "sampling.ring=64KiB"))
        suspend()
        daemon.until(lambda: "the buffer between kernel and daemon was full" in daemon.messages(), "losses are told")
        lost = status(world)["losses"]["samples"]
        suspend()
        daemon.until(lambda: status(world)["losses"]["samples"] > lost, "more are lost")
        arrived = len(backend.requests)
        daemon.until(lambda: len(backend.requests) > arrived + 1, "an interval ends")
        told = [line for line in daemon.messages().splitlines() if "% of the samples" in line]
        expect(len(told) == 1 and "raise sampling.ring" in told[0], f"{told}")
        world.finish(daemon, backend, lost=None)


def everything_said(world, daemon):
    said = [daemon.messages(), repr(status(world)),
            subprocess.run([world.bolometer, "check-config", "--effective", daemon.path], check=False,
                           capture_output=True, text=True).stdout]
    proc = pathlib.Path(f"/proc/{daemon.process.pid}")
    said += [(proc / name).read_text(errors="replace") for name in ("cmdline", "comm", "environ")]
    return "\n".join(said)


def credentials_stay_secret(world):
    token, password = (pathlib.Path(f"{world.directory}/{name}") for name in ("token", "password"))
    token.write_text(SECRETS[0] + "\n")
    password.write_text(SECRETS[2] + "\n")
    failing = [8]

    def unauthorized(request, connection):
        """And repeats what it was sent."""
        failing[0] -= 1
        said = repr(request.headers).encode()
        return answer(401, said, Content_Type="text/plain") if failing[0] > 0 else None

    with Backend(unauthorized) as backend:
        daemon = world.daemon(backend.url, level="debug", exporter=f", headers: {{x-key: {SECRETS[1]}}}, "
                              f"basic_auth: {{user: someone, password_file: '{password}'}}")
        daemon.until(lambda: failing[0] < 0, "requests")
        first = backend.requests[0].headers
        expect(first["x-key"] == SECRETS[1], f"{first}")
        expect(SECRETS[2] in base64.b64decode(first["authorization"].split()[1]).decode(), f"{first}")
        said = everything_said(world, daemon)
        daemon.reload(exporter=f", bearer_token_file: '{token}'")
        daemon.until(lambda: "Bearer " + SECRETS[0] in [r.headers.get("authorization")
                                                        for r in backend.requests[-3:]], "the token")
        said += everything_said(world, daemon)
        _, queues = daemon.end()
        said += daemon.messages()
        for secret in [*SECRETS, first["authorization"].split()[1]]:
            expect(secret not in said, f"{secret} in {said[max(0, said.find(secret) - 200):][:400]}")
        for queue in queues:
            check_balance(queue)


def memory_is_private(world):
    """As a user with capabilities: nobody of that user may look into the process, a core dump is not
    written; what it needs of its own /proc it can read."""
    if not shutil.which("setpriv"):
        return "SKIPPED: needs setpriv"
    capabilities = ",".join("+" + name for name in ("bpf", "perfmon", "sys_admin", "sys_ptrace", "syslog",
                                                    "dac_read_search"))
    os.chmod(world.directory, 0o777)
    binary = shutil.copy(world.bolometer, world.directory)
    prefix = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
              "--inh-caps", capabilities, "--ambient-caps", capabilities, "--bounding-set", capabilities]
    with Backend() as backend:
        world.bolometer = binary
        daemon = world.daemon(backend.url, prefix=prefix)
        proc = pathlib.Path(f"/proc/{daemon.process.pid}")
        expect(f"Uid:\t{NOBODY}" in (proc / "status").read_text(), "it runs as nobody")
        expect(os.stat(proc / "environ").st_uid == 0, "its memory belongs to nobody's processes")
        daemon.until(lambda: len(backend.received) > 4, "profiles")
        expect(status(world)["cost"]["memory_bytes"] > 0, "it can read its own memory map")
        daemon.until(lambda: any(b"split_" in request.content() for request in backend.requests),
                     "names")
        world.finish(daemon, backend)
    return None


if __name__ == "__main__":
    main([disk_full, disk_full_and_no_backend, read_only, killed_at_random_moments, clock_jumps,
          losses_are_told, credentials_stay_secret, memory_is_private])
