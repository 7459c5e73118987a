#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wrong usage: every mistake ends with status 2, nothing on standard output, one line that names the
mistake, and a pointer to help. And the help itself."""
import re

from harness import expect, main

WRONG = [
    ([], "no command given"),
    (["recrod"], "unknown command 'recrod'; did you mean 'record'?"),
    (["explode"], "unknown command 'explode'"),
    (["foo"], "unknown command 'foo'\n"),
    (["--nonsense"], "unknown option '--nonsense'"),
    (["record", "--frequncy=9"], "did you mean '--frequency'?"),
    (["record", "-F", "0"], "--frequency: '0' is not a whole number from 1 to 10000"),
    (["record", "-F", "10001"], "--frequency: '10001' is not"),
    (["record", "-p", "1", "2"], "unexpected argument '2'; several processes: --pid 12,2"),
    (["record", "-e", "heap,growth", "-F", "9"], "--frequency is of CPU samples: it needs --events cpu,heap,growth"),
    (["record", "-F", "-1"], "--frequency: '-1' is not"),
    (["record", "-d", "soon"], "--duration: 'soon' is not a duration"),
    (["record", "-d", "99999999999999999999s"], "--duration: "),
    (["record", "--max-frames", "1025"], "--max-frames: '1025' is not"),
    (["record", "-p", "1,x"], "--pid: '1,x' is not a list of numbers"),
    (["record", "--inlines", "perhaps"], "--inlines: 'perhaps' is not yes or no"),
    (["record", "--kernel-only", "--user-only"], "exclude each other"),
    (["record", "--children"], "--children needs --pid"),
    (["record", "--all", "--comm", "x"], "--all goes with no other selection"),
    (["record", "-p", "1", "--", "true"], "exclude each other"),
    (["record", "--"], "no command after '--'"),
    (["record", "true"], "to profile a command: bolometer record -- true"),
    (["record", "--comm", "systemd-journald"], "the kernel keeps 15 characters of a name, 'systemd-journal'"),
    (["record", "--exe", "bin/nginx"], "neither a base name nor a path from the root; perhaps '*/bin/nginx'"),
    (["record", "--exact"], "--exact needs --events heap"),
    (["record", "-e", "growth", "--heap-objects", "100"], "--heap-objects needs --events heap"),
    (["record", "-o", "x.html", "-o", "y.html", "-o", "x.html"], "--output: 'x.html' is given twice"),
    (["record", "-o", "-", "-o", "-"], "--output: '-' is given twice"),
    (["record", "-o"], "--output needs a value"),
    (["record", "-o", "x.svg"], "x.svg: the extension names no format"),
    (["record", "-o", "%z.html"], "only %h, %p, %t, %e and %% have a meaning"),
    (["record", "-o", "-", "--format", "svg"], "unknown format 'svg'"),
    (["record", "--format", "svg"], "unknown format 'svg'"),
    (["record", "--format", "svg", "-o", "x.html"], "unknown format 'svg'"),
    (["report"], "missing argument; usage: bolometer report [options] FILE"),
    (["report", "--tree", "--function", "x", "a.pb.gz"], "--tree, --leaks, --lifetimes, --function and --source exclude each other"),
    (["report", "--source", "x", "--lines", "a.pb.gz"], "--source tells lines as it is: --lines does not go with it"),
    (["report", "--source-path", "src", "a.pb.gz"], "--source-path needs --source"),
    (["report", "-n", "x", "a.pb.gz"], "--rows: 'x' is not a whole number"),
    (["diff", "a.pb.gz"], "missing argument; usage: bolometer diff [options] A B"),
    (["diff", "--absolute", "-o", "x.html", "a", "b"], "--absolute is of the table; a page shows shares"),
    (["merge", "a.pb.gz"], "missing -o FILE"),
    (["convert", "a", "b", "c"], "unexpected argument 'c'"),
    (["doctor", "--heap-budget", "1%"], "--heap-budget needs --memory"),
    (["doctor", "now"], "unexpected argument 'now'"),
    (["daemon", "b.yaml"], "unexpected argument 'b.yaml'; a configuration is named by --config b.yaml"),
]


def mistakes_are_named(bolometer):
    for arguments, message in WRONG:
        result = bolometer.run(*arguments)
        what = f"bolometer {' '.join(arguments)}"
        expect(result.returncode == 2, f"{what}: status 2", result)
        expect(result.stdout == b"", f"{what}: nothing on standard output", result)
        expect(message in result.stderr.decode(), f"{what}: '{message}'", result)
        expect(len(result.stderr.splitlines()) <= 2, f"{what}: two lines at most", result)


def help_covers_every_command(bolometer):
    general = bolometer.run("--help")
    expect(general.returncode == 0 and not general.stderr, "--help succeeds", general)
    commands = re.findall(r"^  ([\w-]+)  +\w", general.stdout.decode(), re.M)
    wanted = {"record", "top", "report", "flame", "diff", "convert", "merge", "doctor", "daemon",
              "check-config", "status", "start", "stop", "reset", "dump"}
    expect(wanted == set(commands), "the commands are listed", general)
    for command in commands:
        for arguments in ([command, "--help"], ["help", command], [command, "-h"]):
            result = bolometer.run(*arguments)
            text = result.stdout.decode()
            expect(result.returncode == 0 and text.startswith(f"bolometer {command}: "),
                   f"{arguments} explains", result)
            expect(f"Usage: bolometer {command}" in text, f"{arguments} has a usage line", result)
            expect(max(map(len, text.splitlines())) <= 100, f"{arguments} fits 100 columns", result)


def version(bolometer):
    for word in ("--version", "-V", "version"):
        result = bolometer.run(word)
        expect(re.fullmatch(rb"bolometer \d+\.\d+\.\d+\n", result.stdout), word, result)


def full_disk_is_noticed(bolometer):
    import subprocess
    with open("/dev/full", "w") as full:
        for word in ("--help", "--version"):
            result = subprocess.run([bolometer.path, word], stdout=full, stderr=subprocess.PIPE, check=False)
            expect(result.returncode == 1, f"{word} to a full disk fails, not {result.returncode}")
            expect(result.stderr == b"bolometer: cannot write to standard output: No space left on device\n",
                   f"{word} to a full disk says why: {result.stderr}")


if __name__ == "__main__":
    main([mistakes_are_named, help_covers_every_command, version, full_disk_is_noticed])
