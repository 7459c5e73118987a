#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The manual pages are sound and complete, the completions complete: against what --help and the
configuration's reference say, which are other code than what made the pages.

Usage: test_manual.py BOLOMETER DIRECTORY"""
import os
import re
import shutil
import subprocess
import sys

PAGES = ("bolometer.1", "bolometer.yaml.5", "bolometer.service.8")
COMPLETE = """source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
compopt() { :; }
_bolometer; printf '%s\\n' "${COMPREPLY[@]}"
"""


def output(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          **options).stdout


def page_text(path):
    """As a reader sees it, words whole."""
    text = output("man", "-l", path, env=dict(os.environ, MANWIDTH="200", LC_ALL="C", MAN_KEEP_FORMATTING=""))
    return re.sub(r".\x08", "", text)


def lint(directory):
    """What mandoc and groff find wrong."""
    if shutil.which("mandoc"):
        for page in PAGES:
            for line in output("mandoc", "-T", "lint", "-W", "warning", f"{directory}/{page}").splitlines():
                if "mandoc.db" not in line:  # pages of others: are they installed here?
                    yield line
    else:
        print("without mandoc: not installed")
    for page in PAGES:
        yield from subprocess.run(["man", "--warnings", "-l", f"{directory}/{page}"], check=False, text=True,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  env=dict(os.environ, LC_ALL="C.UTF-8")).stderr.splitlines()


def options_of(bolometer, command):
    return re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", output(bolometer, command, "--help"), re.M)


def missing_from_pages(bolometer, directory, commands):
    text = page_text(f"{directory}/bolometer.1")
    sections = dict(re.findall(r"^   bolometer (\S+)[^\n]*\n(.*?)(?=^   bolometer |^\S)", text, re.S | re.M))
    for command in commands:
        for option in options_of(bolometer, command):
            if not re.search(rf"{option}\b", sections.get(command, "")):
                yield f"bolometer.1 lacks {command} {option}"
    yield from missing_keys(bolometer, directory)


def keys_of(reference, depth):
    """The settings in a part of the reference, "a.b" for what stands in a section."""
    sections = []
    for indent, key, value in re.findall(r"^( *)#?([a-z_]+):(.*)$", reference, re.M):
        del sections[max(len(indent) // 2 - depth, 0):]
        if value:
            yield ".".join([*sections, key])
        else:
            sections.append(key)


def missing_keys(bolometer, directory):
    """Each part of the reference has its part of the page."""
    page = dict(re.findall(r"^([A-Z]+)\n(.*?)(?=^[A-Z]|\Z)", page_text(f"{directory}/bolometer.yaml.5"), re.S | re.M))
    reference = output(bolometer, "daemon", "--print-config-reference").split("\n\n", 1)[1]
    settings, lists = reference.split("\nstrategies:\n")
    strategies, exporters = lists.split("\nexporters:\n")
    for part, text, depth in (("SETTINGS", settings, 0), ("STRATEGIES", strategies, 2), ("EXPORTERS", exporters, 2)):
        keys = list(keys_of(text.split("Every key of")[-1], depth))
        print(f"{len(keys)} {part.lower()}")
        yield from (f"bolometer.yaml.5 lacks {key} among the {part}" for key in keys
                    if not re.search(rf"^ +{re.escape(key)}( |$)", page.get(part, ""), re.M))


def completed(directory, *words):
    return output("bash", "-c", COMPLETE, "bash", f"{directory}/bolometer", *words).splitlines()


def missing_from_completions(bolometer, directory, commands):
    for shell, file in (("bash", "bolometer"), ("zsh", "_bolometer"), ("fish", "bolometer.fish")):
        if not shutil.which(shell):
            print(f"without {shell}: not installed")
            continue
        yield from (f"{shell}: {line}" for line in output(shell, "-n", f"{directory}/{file}").splitlines())
    if sorted(completed(directory, "bolometer", "")) != sorted(commands):
        yield f"bash completes {completed(directory, 'bolometer', '')}"
    for command in commands:
        wanted = {*options_of(bolometer, command), "--help"}
        if set(completed(directory, "bolometer", command, "--")) != wanted:
            yield f"bash completes other options of {command} than {wanted}"
    if completed(directory, "bolometer", "record", "--inlines", "=", "n") != ["no"]:
        yield "bash does not complete the value in --inlines=n"
    if "interval=" not in completed(directory, "bolometer", "daemon", "--set", "int"):
        yield "bash does not complete keys after --set"


def main():
    bolometer, directory = (os.path.abspath(word) for word in sys.argv[1:])
    if not shutil.which("man"):
        print("needs man")
        return 77
    commands = re.findall(r"^  ([a-z-]+) ", output(bolometer, "--help"), re.M)
    problems = [*lint(directory), *missing_from_pages(bolometer, directory, commands),
                *missing_from_completions(bolometer, directory, commands)]
    for problem in problems:
        print("FAIL", problem)
    print(f"{len(commands)} commands")
    return 1 if problems or not commands else 0


sys.exit(main())
