#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer top`: as text and JSON against a workload whose shares are known, from the daemon as well;
and on a terminal that tmux plays: every key, and that the terminal is whole again however it ends."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from harness import expect, main

PATIENCE = 40  # seconds; only what hangs takes them
BURN = os.path.abspath(sys.argv[2])


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    expect(False, what() if callable(what) else what)


@contextlib.contextmanager
def workload():
    process = subprocess.Popen([BURN])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def kernel_workload():
    process = subprocess.Popen(["dd", "if=/dev/zero", "of=/dev/null", "bs=1M"], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


# ---- Text and JSON -------------------------------------------------------------------------------------

def batch_names_the_function(bolometer):
    with workload() as pid:
        result = bolometer.run("top", "--batch", "-n", "2", "-d", "1s", "-p", pid)
    expect(result.returncode == 0 and result.stderr == b"", "two intervals", result)
    blocks = result.stdout.decode().strip().split("\n\n")
    expect(len(blocks) == 2, f"two blocks, not {len(blocks)}", result)
    lines = blocks[1].split("\n")
    expect(re.match(r"bolometer top  \d\d:\d\d:\d\d  .* of what was selected", lines[0]), "header", result)
    expect(re.search(r"lost .* missed .* truncated .* own cost", lines[1]), "losses and cost", result)
    expect(lines[2].split() == ["self", "total", "CPU", "kind", "function"], "columns", result)
    expect(lines[3].split()[-1] == "burn_hot", "burn_hot is on top", result)
    expect(b"\033" not in result.stdout, "no escape sequences", result)


def json_has_every_view(bolometer):
    with workload() as pid:
        result = bolometer.run("top", "--own", "--json", "-n", "2", "-d", "1s", "--rows", "0")
    expect(result.returncode == 0, "two intervals", result)
    objects = [json.loads(line) for line in result.stdout.decode().split("\n") if line]
    expect(len(objects) == 2, f"two objects, not {len(objects)}", result)
    last = objects[1]
    expect(last["unit"] == "nanoseconds" and last["duration_ns"] > 0 and last["cpus"] >= 1, "head", result)
    expect(last["losses"]["samples"] > 0 and last["cost"]["own_cpu_ns"] > 0, "losses and cost", result)
    functions = {row["name"]: row for row in last["functions"]}
    # 75 and 25 percent: the other way round takes luck beyond one in a million even of 20 samples.
    expect(functions["burn_hot"]["self"] > functions["burn_cool"]["self"], "shares", result)
    expect(functions["burn"]["total"] >= functions["burn_hot"]["total"], "total", result)
    process = [row for row in last["processes"] if row["pid"] == pid]
    expect(len(process) == 1 and process[0]["name"] == "burn", "the process", result)
    expect(process[0]["hottest"] == "burn_hot", "its hottest function", result)
    expect(any(row["tid"] == pid for row in last["threads"]), "the thread", result)
    expect(sum(row["total"] for row in last["containers"]) == last["total"], "containers", result)
    expect(any(row["frames"][:2] == ["burn_hot", "burn"] for row in last["stacks"]), "stacks", result)
    for view in ("processes", "threads", "containers"):
        expect(sum(row["total"] for row in last[view]) == last["total"], f"{view} add up", result)
    expect(sum(row["value"] for row in last["stacks"]) == last["total"], "stacks add up", result)


def one_view_in_the_order_asked_for(bolometer):
    with workload() as pid:
        result = bolometer.run("top", "--json", "-n", "1", "-d", "1s", "-p", pid, "--view", "functions",
                               "--sort", "name", "--filter", "BURN_")
    answer = json.loads(result.stdout)
    expect([row["name"] for row in answer["functions"]] == ["burn_cool", "burn_hot"], "by name", result)
    expect("processes" not in answer, "one view only", result)


def wrong_arguments(bolometer):
    cases = [
        (["--view", "planets"], b"--view: 'planets' is none of functions, processes, threads"),
        (["--sort", "size"], b"--sort: 'size' is none of self, total, name"),
        (["-d", "1ms"], b"--delay: an interval is 100ms to 10m long"),
        (["-d", "11m"], b"--delay: "),
        (["-n", "0"], b"--intervals: '0' is not"),
        (["-F", "0"], b"--frequency: '0' is not"),
        (["--children"], b"--children needs --pid"),
        (["--socket", "/x", "--own"], b"--socket asks the daemon"),
        (["--socket", "/x", "-p", "1"], b"--socket asks the daemon"),
        (["here"], b"unexpected argument 'here'"),
        (["--colour"], b"unknown option '--colour'"),
    ]
    for arguments, message in cases:
        result = bolometer.run("top", "--batch", *arguments)
        expect(result.returncode == 2 and message in result.stderr, f"{arguments}: {message}", result)
        expect(result.stdout == b"", f"{arguments}: nothing on standard output", result)
    result = bolometer.run("top")
    expect(result.returncode == 2 and b"--batch" in result.stderr, "no terminal", result)
    result = bolometer.run("top", "--batch", "-p", 2**22 + 1)
    expect(result.returncode == 1 and b"no process" in result.stderr, "no such process", result)


def without_rights(bolometer):
    for format in ("--batch", "--json"):
        result = bolometer.run("top", format, "--own", "-n", "1", "-d", "1s", unprivileged=True)
        expect(result.returncode == 3 and result.stdout == b"", "status 3", result)
        expect(b"bolometer doctor" in result.stderr, "who can say what is missing", result)


def reader_that_leaves(bolometer):
    process = bolometer.start("top", "--batch", "--own", "-d", "1s")
    process.stdout.readline()
    process.stdout.close()
    expect(process.wait(timeout=PATIENCE) == 0, "ends when its reader has gone")
    expect(process.stderr.read() == b"", "without a complaint")
    process = bolometer.start("top", "--json", "--own", "-d", "10m")
    time.sleep(1)
    process.stdout.close()
    expect(process.wait(timeout=PATIENCE) == 0, "at once, not at the end of the interval")


def full_disk(bolometer):
    with open("/dev/full", "w") as full:
        result = subprocess.run([bolometer.path, "top", "--batch", "--own", "-d", "200ms"], stdout=full,
                                stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
    expect(result.returncode == 1 and b"No space left" in result.stderr, "a full disk is an error")


def signals_end_it(bolometer):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process = bolometer.start("top", "--batch", "--own", "-d", "300ms")
        process.stdout.readline()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        expect(process.returncode == 0, f"signal {number}: {process.returncode}")


# ---- The daemon's --------------------------------------------------------------------------------------

DAEMON = """interval: 60s
spool: {{directory: {0}/state}}
cache: {{enabled: false}}
http: {{socket: {0}/socket}}
exporters:
  - {{type: pprof-directory, directory: {0}/profiles}}
"""


@contextlib.contextmanager
def daemon(bolometer, directory):
    with open(directory + "/bolometer.yaml", "w") as file:
        file.write(DAEMON.format(directory))
    with open(directory + "/log", "w+") as log:
        process = subprocess.Popen([bolometer.path, "daemon", "--config", directory + "/bolometer.yaml"],
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: os.path.exists(directory + "/socket") or process.poll() is not None,
                       "the daemon's socket")
            log.seek(0)
            expect(process.poll() is None, f"the daemon runs: {log.read()}")
            yield process
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def profiles_of_the_daemon(bolometer):
    with tempfile.TemporaryDirectory() as directory, workload() as pid, \
            daemon(bolometer, directory) as process:
        socket = directory + "/socket"
        result = bolometer.run("top", "--socket", socket, "--json", "-n", "3", "-d", "1s", "--rows", "0")
        expect(result.returncode == 0, "three intervals", result)
        objects = [json.loads(line) for line in result.stdout.decode().split("\n") if line]
        expect([x["losses"] is None for x in objects] == [False, False, False],
               "costs are known of every interval", result)
        expect(objects[2]["source"] == "the daemon at " + socket, "the source is told", result)
        rows = [row for row in objects[2]["processes"] if row["pid"] == pid]
        expect(rows and rows[0]["hottest"] == "burn_hot", "the workload", result)
        asking = bolometer.start("top", "--socket", socket, "--batch", "-d", "5m")
        time.sleep(1)
        process.kill()
        _, problem = asking.communicate(timeout=PATIENCE)
        expect(asking.returncode == 1 and b"daemon" in problem, f"a daemon that dies: {problem}")
        result = bolometer.run("top", "--socket", socket, "--batch", "-n", "1")
        expect(result.returncode == 1 and socket.encode() in result.stderr, "nobody listens", result)


# ---- The screen ----------------------------------------------------------------------------------------

class Screen:
    """A shell in tmux."""

    def __init__(self, directory, columns=110, lines=24, **environment):
        self.directory = directory
        self.command = ["tmux", "-S", directory + "/tmux", "-f", "/dev/null"]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "PS1": "$ ", **environment}
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(lines), "bash --norc --noprofile -i",
                  environment=environment)
        self.tmux("send-keys", f"cd {directory}", "Enter")

    def tmux(self, *arguments, environment=None):
        return subprocess.run([*self.command, *arguments], env=environment, check=True,
                              stdout=subprocess.PIPE, timeout=PATIENCE).stdout.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def seen(self, *options):
        return self.tmux("capture-pane", "-p", *options)

    def sees(self, pattern, what, *options):
        return wait_until(lambda: re.search(pattern, self.seen(*options), re.M),
                          lambda: f"{what}: /{pattern}/ in\n{self.seen(*options)}")

    def sees_no(self, pattern, what):
        return wait_until(lambda: not re.search(pattern, self.seen(), re.M),
                          lambda: f"{what}: no /{pattern}/ in\n{self.seen()}")

    def run(self, command):
        """Types a command; the modes of the terminal before and after it go to files."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory + "/after")
        self.type(f"stty -g > before; {command}; echo status=$?; stty -g > after")
        self.press("Enter")

    def is_whole(self, what):
        """Back in the shell, on the usual screen, with the cursor and the modes as before."""
        wait_until(lambda: os.path.exists(self.directory + "/after"),
                   lambda: f"{what}: the shell is back\n{self.seen()}")
        wait_until(lambda: self.tmux("display", "-p", "#{alternate_on} #{cursor_flag}").strip() == "0 1",
                   f"{what}: the usual screen, with a cursor")
        wait_until(lambda: os.path.getsize(self.directory + "/after") > 0, f"{what}: modes")
        with open(self.directory + "/before") as before, open(self.directory + "/after") as after:
            expect(before.read() == after.read(), f"{what}: the terminal's modes are as before")


def keys(bolometer):
    with tempfile.TemporaryDirectory() as directory, workload() as pid, Screen(directory) as screen:
        screen.run(f"{bolometer.path} top --own -d 500ms")
        screen.sees(r"^ +\d+\.\d% .* burn_hot$", "the function")
        screen.sees(r"lost .* missed .* truncated .* own cost", "losses and cost")
        screen.press("/")
        screen.type("burn_h")
        screen.sees(r"^/burn_h_  1 of \d+ rows", "the filter being typed")
        screen.press("Enter")
        screen.sees(r"^/burn_h  1 of", "the filter")
        screen.press("Enter")
        screen.sees(r"^.* native +burn$", "its caller")
        screen.sees(r"^.* native +> burn_hot$", "between callers and callees")
        screen.press("Up", "Enter")
        screen.sees(r"^.* native +> burn$", "the caller's neighbours")
        screen.sees(r"^.* native +burn_cool$", "its callees")
        screen.press("Escape")
        screen.sees(r"> burn_hot$", "back")
        screen.press("Escape")
        screen.sees(r"^/burn_h  1 of", "back at the first page")
        screen.press("Escape")
        screen.sees(r"^\? help", "without the filter")
        screen.press("t")
        screen.sees(r"by total", "order")
        screen.press("n")
        screen.sees(r"by name", "order")
        screen.press("s", "2")
        screen.sees(rf"{pid}  burn +burn_hot", "processes")
        screen.press("3")
        screen.sees(rf"{pid}  burn +burn \({pid}\) +burn_hot", "threads")
        screen.press("4")
        screen.sees(r"\(host\)", "containers")
        screen.press("5")
        screen.sees(r"burn_hot <- burn <- main", "stacks")
        screen.press("?")
        screen.sees(r"any key goes back", "help")
        screen.press("x", "?", "q", "1", "+")
        screen.sees(r"every 1.00 s", "a longer interval")
        screen.press("-", "-")
        screen.sees(r"every 200.0 ms", "a shorter interval")
        screen.press("q")
        screen.is_whole("after q")
        screen.sees("status=0", "status")


def frozen_picture(bolometer):
    with tempfile.TemporaryDirectory() as directory, workload(), Screen(directory, 80) as screen:
        screen.run(f"{bolometer.path} top --own -d 200ms")
        screen.sees("burn_hot", "the function")
        screen.sees(r"\d process(es)?$", "80 columns hold the first line")
        screen.sees(r" by self  every 200.0 ms$", "and the third")
        screen.press("Space")
        screen.sees(r" by self  FROZEN$", "frozen")
        before = screen.seen()
        time.sleep(1.5)
        expect(screen.seen() == before, "a frozen picture does not change")
        screen.press("Space")
        clock = re.search(r"\d\d:\d\d:\d\d", before)[0]
        screen.sees_no(clock, "it goes on")
        screen.press("q")
        screen.is_whole("after q")


def every_size(bolometer):
    with tempfile.TemporaryDirectory() as directory, workload(), Screen(directory) as screen:
        screen.run(f"{bolometer.path} top --own -d 300ms")
        screen.sees("burn_hot", "the function")
        screen.tmux("resize-window", "-x", "60", "-y", "10")
        screen.press("?")
        screen.sees(r"^any key goes back$", "help of which the beginning fits")
        screen.press("x")
        for columns, lines in ((60, 10), (200, 50), (20, 5), (3, 2), (1, 1), (110, 24)):
            screen.tmux("resize-window", "-x", str(columns), "-y", str(lines))
            screen.press("Down", "Down", "PageDown", "Home")
            time.sleep(0.4)
        screen.sees(r"burn_hot$", "drawn for the size it has")
        screen.press("q")
        screen.is_whole("after q")


def colours(bolometer):
    with tempfile.TemporaryDirectory() as directory, kernel_workload(), Screen(directory) as screen:
        for variable, coloured in (("NO_COLOR=", True), ("NO_COLOR=1", False)):
            screen.run(f"{variable} {bolometer.path} top --own -d 300ms")
            screen.sees(r" kernel ", "a kernel function")
            seen = wait_until(lambda: screen.seen("-e") if " kernel " in screen.seen() else None, "a picture")
            if coloured:
                screen.sees("\033\\[33m", "the kernel's colour", "-e")
            else:
                expect(not re.search("\033\\[[0-9;]*3[0-7]m", seen), f"no colour: {seen!r}")
            screen.press("q")
            screen.is_whole("after q")


def top_of(screen, bolometer):
    """The process that tmux's shell started."""
    def find():
        shell = screen.tmux("display", "-p", "#{pane_pid}").strip()
        with open(f"/proc/{shell}/task/{shell}/children") as file:
            for child in file.read().split():
                if os.path.realpath(f"/proc/{child}/exe") == os.path.realpath(bolometer.path):
                    return int(child)
    return wait_until(find, "the process")


def terminal_survives_signals(bolometer):
    cases = [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGQUIT, 0),
             (signal.SIGSEGV, 139), (signal.SIGABRT, 134), (signal.SIGBUS, 135)]
    with tempfile.TemporaryDirectory() as directory, Screen(directory) as screen:
        screen.type("ulimit -c 0")
        screen.press("Enter")
        for number, status in cases:
            screen.press("C-l")
            screen.run(f"{bolometer.path} top --own -d 300ms")
            screen.sees("own cost", "a picture")
            os.kill(top_of(screen, bolometer), number)
            screen.is_whole(f"after signal {number}")
            screen.sees(f"status={status}$", f"status of signal {number}")


def stops_and_continues(bolometer):
    with tempfile.TemporaryDirectory() as directory, workload(), Screen(directory) as screen:
        screen.type(f"stty -g > before; {bolometer.path} top --own -d 300ms")
        screen.press("Enter")
        screen.sees("burn_hot", "a picture")
        screen.press("C-z")
        screen.sees("Stopped", "the shell has it")
        screen.type("stty -g > after")
        screen.press("Enter")
        screen.is_whole("stopped")
        screen.type("fg")
        screen.press("Enter")
        wait_until(lambda: screen.tmux("display", "-p", "#{alternate_on}").strip() == "1", "the screen again")
        screen.sees("burn_hot", "a picture")
        # Stopped by a signal that cannot be caught: the shell takes the terminal, and gives it back.
        os.kill(top_of(screen, bolometer), signal.SIGSTOP)
        time.sleep(0.5)
        screen.type("fg")
        screen.press("Enter")
        screen.sees("burn_hot", "a picture")
        screen.press("q")
        os.unlink(directory + "/after")
        screen.type("stty -g > after")
        screen.press("Enter")
        screen.is_whole("after q")


def errors_on_a_terminal(bolometer):
    with tempfile.TemporaryDirectory() as directory, Screen(directory) as screen:
        screen.run(f"TERM=unheard-of {bolometer.path} top --own")
        screen.sees("unheard-of.*--batch", "an unknown terminal")
        screen.is_whole("an unknown terminal")
        screen.run(f"TERM=dumb {bolometer.path} top --own")
        screen.sees("'dumb'.*cannot place text.*", "a terminal without a cursor to place")
        screen.is_whole("a terminal without a cursor to place")
        screen.press("C-l")
        screen.run(f"{bolometer.path} top --socket {directory}/nobody")
        screen.sees("no daemon runs here", "no daemon")
        screen.is_whole("no daemon")


def daemon_dies_under_the_screen(bolometer):
    with tempfile.TemporaryDirectory() as directory, daemon(bolometer, directory) as process, \
            Screen(directory) as screen:
        screen.run(f"{bolometer.path} top --socket {directory}/socket -d 500ms")
        screen.sees("of the daemon at .*", "its profiles")
        screen.sees("every 1.00 s", "the daemon's seconds are whole")
        screen.sees("own cost", "its costs")
        process.kill()
        screen.is_whole("the daemon died")
        screen.sees("status=1", "status")
        screen.sees("bolometer top: .*daemon", "the reason")


SCREENS = [keys, frozen_picture, every_size, colours, terminal_survives_signals, stops_and_continues,
           errors_on_a_terminal, daemon_dies_under_the_screen]

if __name__ == "__main__":
    tests = [batch_names_the_function, json_has_every_view, one_view_in_the_order_asked_for,
             wrong_arguments, without_rights, reader_that_leaves, full_disk, signals_end_it,
             profiles_of_the_daemon]
    if shutil.which("tmux"):
        tests += SCREENS
    else:
        print("no tmux: the screen is not tried")
    main(tests, needs_root=True)
