#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer record` as a program: exit statuses, outputs, signals, rights. What is in the profiles is
the truth tests' business."""
import contextlib
import gzip
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from harness import NOBODY, Undecided, expect, main, wait_for_sampling

MISSING = "/nonexistent/x.html"
LONG, LONG_SECONDS = "45s", 45  # for what must be known before the capture


def statuses_of_commands(bolometer):
    cases = [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["sh", "-c", "kill -TERM $$"], 128 + signal.SIGTERM),
        (["sh", "-c", "kill -KILL $$"], 128 + signal.SIGKILL),
        (["nosuchcommand"], 127),
        (["/etc"], 126),
    ]
    with tempfile.TemporaryDirectory() as directory:
        for command, status in cases:
            result = bolometer.run("record", "-q", "-o", "x.pb.gz", "--", *command, cwd=directory)
            expect(result.returncode == status, f"{command}: status {status}", result)


def command_that_cannot_start_leaves_no_file(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        bolometer.run("record", "-o", "x.pb.gz", "--", "nosuchcommand", cwd=directory)
        expect(os.listdir(directory) == [], f"no files, not {os.listdir(directory)}")


def several_outputs_and_names(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        result = bolometer.run("record", "-d", "300ms", "-o", "a-%h.pb.gz", "-o", "b.html", "-o",
                               "c.folded", "-o", "d.speedscope.json", "-o", "e.txt", "-o",
                               "f-%p.pb.gz", "-p", os.getpid(), cwd=directory)
        expect(result.returncode == 0, "records", result)
        wanted = {f"a-{os.uname().nodename}.pb.gz", "b.html", "c.folded", "d.speedscope.json",
                  "e.txt", f"f-{os.getpid()}.pb.gz"}
        expect(set(os.listdir(directory)) == wanted, f"files {os.listdir(directory)}", result)
        for word in (b"samples", b"lost", b"truncated", b"unnamed", b"own cost", b"b.html"):
            expect(word in result.stderr, f"the summary has '{word.decode()}'", result)
        expect(result.stdout == b"" and b"\r" not in result.stderr and b"\033" not in result.stderr,
               "a pipe gets no progress and no colours", result)


def reader_that_goes_away(bolometer):
    """It has no part in the other outputs."""
    with tempfile.TemporaryDirectory() as directory:
        os.mkfifo(directory + "/fifo.html")
        with subprocess.Popen(["sh", "-c", f": < {directory}/fifo.html"]):
            result = bolometer.run("record", "-d", "300ms", "-o", "fifo.html", "-o", "b.html", "-o", "c.pb.gz", "-o",
                                   "d.speedscope.json", "-p", os.getpid(), cwd=directory)
        expect(result.returncode == 1 and b"cannot write fifo.html: Broken pipe" in result.stderr, "is told", result)
        expect(set(os.listdir(directory)) == {"fifo.html", "b.html", "c.pb.gz", "d.speedscope.json"},
               f"files {os.listdir(directory)}", result)


def ends_with_its_processes(bolometer):
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(["sleep", "1"]) as brief, \
            subprocess.Popen(["sleep", "2"]) as longer:
        result = bolometer.run("record", "-p", f"{brief.pid},{longer.pid}", "-o", "x.pb.gz", cwd=directory)
        expect(result.returncode == 0 and b"the processes have ended\n" in result.stderr and longer.poll() is not None,
               "nothing is left to record", result)
        expect(os.path.exists(directory + "/x.pb.gz"), "the file is there")


def told_to_end_too_late(bolometer):
    """What ends the capture, when that has ended by itself, does not end the writing of its files."""
    with tempfile.TemporaryDirectory() as directory, subprocess.Popen(["sleep", "1"]) as brief, subprocess.Popen(
            [bolometer.path, "record", "-p", str(brief.pid), "-o", "x.pb.gz"], cwd=directory, stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True) as recorder:
        line = recorder.stderr.readline()
        expect("the process has ended" in line, line)
        recorder.send_signal(signal.SIGINT)
        said = recorder.stderr.read()
        expect(recorder.wait() == 0 and os.path.exists(directory + "/x.pb.gz"), f"{recorder.returncode}: {said}")


def unnamed_files(bolometer):
    """A stripped program's functions have no names: the summary tells the file, once."""
    with tempfile.TemporaryDirectory() as directory:
        program = "int main(void) { for (volatile long i = 0; i < 400000000; i++) ; }"
        subprocess.run(["cc", "-O1", "-s", "-o", "stripped", "-x", "c", "-"], input=program.encode(), cwd=directory,
                       check=True)
        result = bolometer.run("record", "-o", "x.pb.gz", "--", "./stripped", cwd=directory)
        expect(b" in stripped: its debug symbols have the names" in result.stderr and
               b"  [stripped]\n" in result.stderr and b"parser_refused" not in result.stderr,
               "whose names are missing", result)
        for options, shown in (([], False), (["--join-unnamed"], True)):
            report = bolometer.run("report", *options, "x.pb.gz", cwd=directory)
            expect((b"  [stripped]\n" in report.stdout) == shown and (b"[stripped+0x" in report.stdout) != shown,
                   "its code as one function", report)
        result = bolometer.run("record", "--no-symbolize", "-o", "x.pb.gz", "--", "./stripped", cwd=directory)
        expect(b"debug symbols" not in result.stderr, "no names were wanted", result)


LAMBDAS = """
namespace app { static double series(double z) { double q = 0; for (int i = 0; i < 90000; i++) q += z / (i + 1); return q; } }
int main(void)
{
	volatile double sum = 0;
	for (int i = 0; i < 1500; i++) {
		auto first = [&](int k) { double s = 0; for (int n = 0; n < 90000; n++) s += k / (n + 1.0); return s; };
		auto outer = [&](int k) { auto inner = [&](int y) { return app::series(y * 1.5); }; return inner(k) + 1; };
		sum = sum + first(i) + outer(i);
	}
}
"""


def lambdas_have_the_names_of_their_scopes(bolometer):
    """gcc gives them no linkage name, inlined ones are called operator() each."""
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(["g++", "-O2", "-g", "-o", "lambdas", "-x", "c++", "-"], input=LAMBDAS.encode(), cwd=directory,
                       check=True)
        bolometer.run("record", "-q", "-F", "999", "-o", "x.folded", "--", "./lambdas", cwd=directory)
        with open(directory + "/x.folded", encoding="utf-8") as file:
            stacks = file.read().replace("_[i]", "")
    inner = "main;main::{lambda:8}::operator();main::{lambda:8}::operator()::{lambda:8}::operator();app::series"
    for wanted in ("main;main::{lambda:7}::operator() ", inner):
        expect(wanted in stacks, f"no {wanted} in {stacks}")
    expect(";operator()" not in stacks, f"a bare name in {stacks}")


def thread_without_a_name(bolometer):
    """It has no label, not one of the number 0."""
    program = ("import ctypes, time\nctypes.CDLL(None).prctl(15, b'', 0, 0, 0)\n"  # PR_SET_NAME
               "end = time.monotonic() + 0.7\nwhile time.monotonic() < end: pass")
    with tempfile.TemporaryDirectory() as directory:
        bolometer.run("record", "-q", "-F", "499", "-o", "x.pb.gz", "--", sys.executable, "-c", program, cwd=directory)
        result = bolometer.run("report", "--by", "thread", "--cumulative", "-n", "0", "x.pb.gz", cwd=directory)
        expect("[no thread.name]" in result.stdout.decode(), "a thread without a name", result)


def default_output(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        result = bolometer.run("record", "-q", "-d", "200ms", cwd=directory)
        expect(result.returncode == 0 and result.stderr == b"", "quiet", result)
        names = os.listdir(directory)
        expect(len(names) == 1 and names[0].startswith("bolometer-")
               and names[0].endswith(".pb.gz"), f"one pprof file: {names}")
    with tempfile.TemporaryDirectory() as directory:
        bolometer.run("record", "-q", "-d", "200ms", "--format", "html", cwd=directory)
        names = os.listdir(directory)
        expect(len(names) == 1 and names[0].endswith(".html"), f"a page, as its name says: {names}")


def standard_output(bolometer):
    result = bolometer.run("record", "-d", "200ms", "-o", "-")
    expect(result.stdout[:2] == b"\x1f\x8b", "-o - is gzipped pprof", result)
    result = bolometer.run("record", "-q", "-o", "-", "--format", "folded", "--", "echo", "mine")
    expect(b"mine" not in result.stdout and b"mine" in result.stderr,
           "the command's output does not mix with the profile", result)
    parent, child = os.openpty()
    refused = subprocess.run([bolometer.path, "record", "-d", "100ms", "-o", "-"], stdout=child,
                             stderr=subprocess.PIPE, check=False)
    os.close(parent)
    os.close(child)
    expect(refused.returncode == 2 and b"terminal" in refused.stderr, "never to a terminal")


def outputs_are_checked_before(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        os.symlink("/dev/full", directory + "/full.txt")
        start = time.monotonic()
        result = bolometer.run("record", "-d", LONG, "-o", MISSING, cwd=directory)
        expect(result.returncode == 1 and MISSING.encode() in result.stderr, "no directory", result)
        result = bolometer.run("record", "-d", LONG, "-o", "x.svg", cwd=directory)
        expect(result.returncode == 2, "unknown extension", result)
        os.mkdir(directory + "/d.html")
        result = bolometer.run("record", "-d", LONG, "-o", "d.html", cwd=directory)
        expect(result.returncode == 1 and b"directory" in result.stderr, "a directory", result)
        expect(time.monotonic() - start < LONG_SECONDS, "at once, not after the capture")
        result = bolometer.run("record", "-d", "200ms", "-o", "full.txt", cwd=directory)
        expect(result.returncode == 1 and b"No space left" in result.stderr, "a device", result)


def longest_name(bolometer):
    """What is written to until it is complete has a name as well, and must not need a longer one."""
    with tempfile.TemporaryDirectory() as directory:
        name = "n" * (255 - len(".txt")) + ".txt"
        result = bolometer.run("record", "-q", "-d", "200ms", "-o", name, cwd=directory)
        expect(result.returncode == 0, "a name of 255 characters", result)
        expect(os.listdir(directory) == [name], f"and nothing else: {os.listdir(directory)}")


def full_file_system(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "none", directory]
        if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            print("     cannot mount a tmpfs here: full disk not tried")
            return
        try:
            start = time.monotonic()
            result = bolometer.run("record", "-d", LONG, "-o", directory + "/x.pb.gz")
            expect(result.returncode == 1 and b"No space left" in result.stderr, "refused", result)
            expect(time.monotonic() - start < LONG_SECONDS, "before the capture")
            expect(os.listdir(directory) == [], "nothing is left")
        finally:
            subprocess.run(["umount", directory], check=True)


def old_file_survives_failure(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/x.pb.gz"
        with open(path, "w") as file:
            file.write("old")
        process = bolometer.start("record", "-d", "30s", "-o", path)
        time.sleep(1.5)
        process.kill()
        process.communicate(timeout=10)
        with open(path) as file:
            expect(file.read() == "old", "a killed capture leaves the old file")
        expect(os.listdir(directory) == ["x.pb.gz"], f"and nothing else: {os.listdir(directory)}")


def signals_end_a_capture(bolometer):
    for number, under in ((signal.SIGINT, []), (signal.SIGTERM, []), (signal.SIGHUP, []), (signal.SIGHUP, ["nohup"])):
        with tempfile.TemporaryDirectory() as directory:
            process = bolometer.start("record", "-o", "x.pb.gz", cwd=directory, under=under)
            wait_for_sampling(process.pid)
            time.sleep(0.5)
            process.send_signal(number)
            if under:
                time.sleep(0.5)
                expect(process.poll() is None, "under nohup the terminal may go")
                process.send_signal(signal.SIGTERM)
            _, stderr = process.communicate(timeout=30)
            expect(process.returncode == 0, f"{number.name}: status {process.returncode} {stderr}")
            expect(os.listdir(directory) == ["x.pb.gz"], f"{number.name}: the file is there")


def signals_reach_the_command(bolometer):
    script = "trap 'exit 41' TERM; trap 'exit 42' USR1; >ready; while :; do sleep 0.05; done"
    for number, status in ((signal.SIGTERM, 41), (signal.SIGUSR1, 42)):
        with tempfile.TemporaryDirectory() as directory:
            process = bolometer.start("record", "-q", "-o", "x.pb.gz", "--", "sh", "-c", script,
                                      cwd=directory)
            while not os.path.exists(directory + "/ready") and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(number)
            process.communicate(timeout=30)
            expect(process.returncode == status,
                   f"{number.name}: the command's status {status}, not {process.returncode}")


def signals_on_a_terminal(bolometer):
    """A key is the whole group's: the command has it from the terminal. What is sent to the recorder alone is passed on."""
    script = "trap 'echo got it >>signals' INT; >ready; for i in 1 2 3; do sleep 0.5; done"
    for by_key in (True, False):
        with tempfile.TemporaryDirectory() as directory:
            pid, terminal = pty.fork()
            if pid == 0:
                os.chdir(directory)
                os.execv(bolometer.path, [bolometer.path, "record", "-q", "-o", "x.pb.gz", "--", "sh", "-c", script])
            while not os.path.exists(directory + "/ready") and os.waitpid(pid, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
            if by_key:
                os.write(terminal, b"\x03")
            else:
                os.kill(pid, signal.SIGINT)
            with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
                while os.read(terminal, 4096):
                    pass
            os.waitpid(pid, 0)
            os.close(terminal)
            with open(directory + "/signals", encoding="ascii") as file:
                expect(file.read() == "got it\n", "the command gets SIGINT once")


def duration_and_command(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        ours, terminal = pty.openpty()
        process = subprocess.Popen([bolometer.path, "record", "-d", "700ms", "-o", "x.pb.gz", "--", "sh", "-c",
                                    "sleep 2; exit 7"], cwd=directory, stderr=terminal)
        os.close(terminal)
        said = b""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while part := os.read(ours, 4096):
                said += part
        os.close(ours)
        expect(process.wait(timeout=30) == 7, f"the status is the command's: {process.returncode} {said}")
        before, _, after = said.partition(b"waiting for 'sh'")
        expect(b" lost  " in before and after and b"samples" not in after,
               f"progress while there is some, and none while the command is waited for: {said}")


def budget_that_is_not_kept(bolometer):
    """Of a second the start alone takes more."""
    with tempfile.TemporaryDirectory() as directory:
        result = bolometer.run("record", "-d", "1s", "--max-cpu", "0.01%", "-o", "x.pb.gz", cwd=directory)
        expect(re.search(rb"budget +0\.01 % of all CPUs was not kept: \d[\d.]* s cost \d", result.stderr), "in words", result)
        with gzip.open(directory + "/x.pb.gz") as file:
            expect(b"budget_kept=0" in file.read(), "in the comments", result)

def nothing_to_profile(bolometer):
    result = bolometer.run("record", "-d", "100ms", "-p", 2**22 - 1, "-o", "-")
    expect(result.returncode == 1 and b"there is no process" in result.stderr, "no pid", result)
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    result = bolometer.run("record", "-d", "100ms", "-p", thread.native_id, "-o", "-")
    over.set()
    thread.join()
    expect(result.returncode == 1 and f"is a thread of process {os.getpid()}: -p".encode() in result.stderr,
           "a thread", result)


def program_that_is_a_link(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        directory = os.path.realpath(directory)
        os.symlink("/bin/sh", directory + "/script")
        shell = os.path.realpath("/bin/sh")
        for name in (directory + "/script", "script"):
            result = subprocess.run([bolometer.path, "record", "-q", "-d", "100ms", "-o", directory + "/x.pb.gz", "--exe",
                                     name], env=dict(os.environ, PATH=directory), stderr=subprocess.PIPE, check=False)
            wanted = f"--exe {name}: that is a link to {shell}, by which its processes are known: --exe {shell}, or --comm script"
            expect(result.returncode == 0 and wanted in result.stderr.decode(), f"{name}: {result.stderr}")
        for name in (shell, os.path.basename(shell), "/nonexistent/script", "scrip*", "nothing"):
            result = bolometer.run("record", "-q", "-d", "100ms", "-o", directory + "/x.pb.gz", "--exe", name)
            expect(result.returncode == 0 and not result.stderr, f"{name} is none", result)


BUSY = """
#include <fcntl.h>
#include <unistd.h>
static char buffer[1 << 20];
int main(void)
{
	for (int zeros = open("/dev/zero", O_RDONLY);; read(zeros, buffer, sizeof(buffer)))
		for (volatile long i = 0; i < 100000; i++)
			;
}
"""


def with_few_rights(bolometer):
    """Files that others may not reach cannot be opened then, and kernel functions have no names: what helps is told."""
    rights = "+bpf,+perfmon"
    with open("/proc/sys/kernel/perf_event_paranoid", encoding="ascii") as file:
        if int(file.read()) > 2 or not shutil.which("setpriv"):
            print("     needs setpriv and perf_event_paranoid <= 2: few rights not tried")
            return
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as closed:
        os.chmod(directory, 0o777)
        subprocess.run(["cc", "-O1", "-w", "-o", closed + "/busy", "-x", "c", "-"], input=BUSY.encode(), check=True)
        binary = directory + "/bolometer"  # the build directory may be closed to others
        subprocess.run(["cp", bolometer.path, binary], check=True)
        os.chmod(binary, 0o755)
        with subprocess.Popen([closed + "/busy"]) as busy:
            result = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--clear-groups", "--inh-caps", rights,
                                     "--ambient-caps", rights, binary, "record", "-F", "997", "-d", "1s", "-p",
                                     str(busy.pid), "-o",
                                     directory + "/x.pb.gz"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
            busy.kill()
        seen = re.search(rb"^([\d,]+) samples?", result.stderr, re.M)
        if seen and int(seen.group(1).replace(b",", b"")) < 10:
            raise Undecided(f"the host was busy: {seen.group(0)}")
        expect(result.returncode == 0 and b" in files that could not be opened: " in result.stderr
               and b"debug symbols" not in result.stderr, "what names need", result)
        with open("/proc/sys/kernel/kptr_restrict", encoding="ascii") as file:
            wanted = b"kptr_restrict=1)" if file.read().strip() == "2" else b"(run as root, or with CAP_SYSLOG)"
        expect(wanted in result.stderr, "and the kernel's", result)


def few_descriptors(bolometer):
    """They do not suffice for the maps, or not for the files that run: it is told before what comes of it."""
    with tempfile.TemporaryDirectory() as directory:
        for limit, status, said in ((10, 1, b"do not load: only 10 files may be open at once. Allow more: ulimit -n"),
                                    (256, 0, b"only 256 files may be open at once, and each program and library")):
            result = subprocess.run(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", bolometer.path, "record", "-q", "-d",
                                     "100ms", "-o", "x.pb.gz"], cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                    check=False)
            expect(result.returncode == status and said in result.stderr, f"{limit} files", result)


def without_rights(bolometer):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o777)
        marker = directory + "/ran"
        binary = directory + "/bolometer"  # the build directory may be closed to others
        subprocess.run(["cp", bolometer.path, binary], check=True)
        os.chmod(binary, 0o755)
        bolometer = type(bolometer)(binary)
        result = bolometer.run("record", "-o", "x.pb.gz", "--", "touch", marker, cwd=directory,
                               unprivileged=True)
        expect(result.returncode == 3, "status 3", result)
        expect(b"root" in result.stderr or b"CAP_" in result.stderr, "says what to do", result)
        expect(b"bolometer doctor" in result.stderr, "names the doctor", result)
        expect(not os.path.exists(marker), "the command did not run")
        expect(not os.path.exists(directory + "/x.pb.gz"), "no file")
        doctor = bolometer.run("doctor", unprivileged=True)
        expect(doctor.returncode == 3 and b"fix:  run as root" in doctor.stdout, "doctor", doctor)


if __name__ == "__main__":
    main([statuses_of_commands, command_that_cannot_start_leaves_no_file, several_outputs_and_names, reader_that_goes_away,
          unnamed_files, thread_without_a_name, ends_with_its_processes, told_to_end_too_late,
          lambdas_have_the_names_of_their_scopes, default_output, standard_output, outputs_are_checked_before,
          longest_name, full_file_system,
          old_file_survives_failure, signals_end_a_capture, signals_reach_the_command, signals_on_a_terminal,
          duration_and_command, budget_that_is_not_kept, nothing_to_profile, program_that_is_a_link, few_descriptors, with_few_rights,
          without_rights], needs_root=True)
