#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What README.md and docs/ say of the program is so: paths exist, links lead somewhere, YAML marked as
Bolometer's configuration is valid, commands and options are known, and every name that people meet in a
profile is explained.

Usage: test_documents.py BOLOMETER SOURCE"""
import re
import sys
import tempfile
from pathlib import Path

from harness import expect, main

SOURCE = Path(sys.argv[2])
DOCUMENTS = [SOURCE / "README.md", *sorted((SOURCE / "docs").glob("*.md"))]
TOPS = "bpf|config|daemon|docs|proto|scripts|systemd|tests"
CONFIGURATION = "yaml bolometer"  # the info string of a block that check-config has to accept
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
READING = SOURCE / "docs/reading.md"


def blocks():
    """Each fenced block: document, info string, text."""
    for document in DOCUMENTS:
        for fence in FENCE.finditer(document.read_text()):
            yield document.name, fence[1].strip(), fence[2]


def paths_exist(_):
    count = 0
    for document in DOCUMENTS:
        text = document.read_text()
        prose = FENCE.sub("", text)
        for name in re.findall(rf"`((?:{TOPS})/[\w./*-]*)`", prose):
            count += 1
            expect(list(SOURCE.glob(name.rstrip("/"))), f"{document.name}: {name} does not exist")
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
            count += 1
            if not target.startswith("https://"):
                expect((document.parent / target).exists(), f"{document.name}: link to {target}")
    expect(count > 50, f"{count} paths were found: the test looks for the wrong thing")


def anchor(heading):
    """As forges make it of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def anchors_exist(_):
    headings = {document.resolve(): {anchor(heading) for heading in
                                     re.findall(r"^#+ (.*)$", FENCE.sub("", document.read_text()), re.M)}
                for document in DOCUMENTS}
    for document in DOCUMENTS:
        for target, part in re.findall(r"\]\(([^)#\s:]*)#([^)]*)\)", document.read_text()):
            there = (document.parent / target).resolve() if target else document.resolve()
            expect(part in headings.get(there, {part}), f"{document.name}: no heading {target}#{part}")


def configurations_are_valid(bolometer):
    count = 0
    for name, info, text in blocks():
        if info != CONFIGURATION:
            continue
        count += 1
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            expect(bolometer.run("check-config", file.name).returncode == 0,
                   f"{name}: refused:\n{text}", bolometer.run("check-config", file.name))
    expect(count >= 5, f"{count} configurations were found")


def commands_are_known(bolometer):
    count = 0
    for name, info, text in blocks():
        if info not in ("sh", "console"):
            continue
        for command, rest in re.findall(r"^(?:\$ |sudo )*bolometer ([a-z-]+)(.*)$", text, re.M):
            help_text = bolometer.run(command, "--help")
            expect(help_text.returncode == 0, f"{name}: there is no command {command}", help_text)
            count += 1
            known = re.findall(rb"--[a-z][a-z-]*", help_text.stdout)
            ours = re.split(r" -- |\||#|;", rest)[0]
            for option in re.findall(r"(?<= )--[a-z][a-z-]*", ours):
                expect(option.encode() in known,
                       f"{name}: bolometer {command} has no {option}")
    expect(count >= 15, f"{count} commands were found")


def names_in_profiles_are_explained(_):
    counters = (SOURCE / "bpf/counters.h").read_text()
    losses = (SOURCE / "daemon/profile/losses.h").read_text()
    reading = READING.read_text()
    names = re.findall(r"\tCOUNTER\(\w+, \"(\w+)\"", counters)
    names += re.findall(r"\tLOSS\((\w+),", losses)
    ends = [f"[{text}]" for text in re.findall(r"\tSTACK_END\(\w+,\s+\"([^\"]+)\"", counters)
            if text != "complete"]
    expect(len(names) > 20 and len(ends) > 10, f"{len(names)} counters, {len(ends)} stack ends")
    for name in names + ends:
        expect(f"`{name}`" in reading, f"{READING.name} does not explain {name}")


def endpoints_and_metrics_exist(_):
    text = (SOURCE / "docs/local-http.md").read_text()
    routes = set(re.findall(r'^\t\{"(/[^"]*)", HTTP_', (SOURCE / "daemon/service/local_server.c").read_text(),
                            re.M)) - {"/debug/pprof"}
    rows = re.search(r"^## Endpoints\n.*?(^\|.*?)\n\n", text, re.M | re.S)[1]
    told = {path for row in rows.splitlines()
            for path in re.findall(r"`(/[\w/]*)[^`]*`", row.split("|")[1])}
    expect(told == routes, f"only one of the table and the server has {told ^ routes}")
    source = "".join(path.read_text() for path in (SOURCE / "daemon/service").glob("metrics*.c"))
    metrics = re.findall(r"`bolometer_([a-z_]+)", text)
    expect(len(metrics) > 10, f"{len(metrics)} metrics were found")
    for name in metrics:
        expect(f'"{name}"' in source, f"there is no metric bolometer_{name}")


def every_command_is_told(bolometer):
    commands = re.findall(rb"^  ([a-z-]+)  ", bolometer.run("--help").stdout, re.M)
    expect(len(commands) > 10, f"{commands}")
    table = re.findall(r"^\|([^|]*)\|", (SOURCE / "README.md").read_text(), re.M)
    told = {word for cell in table for word in re.findall(r"`([a-z-]+)", cell)}
    for command in commands:
        expect(command.decode() in told, f"README.md has no {command.decode()} among its commands")


def the_code_map_is_complete(_):
    readme = (SOURCE / "README.md").read_text()
    architecture = (SOURCE / "docs/architecture.md").read_text()
    for room in sorted(path.parent.name for path in SOURCE.glob("daemon/*/meson.build")):
        expect(f"`daemon/{room}/`" in readme, f"README.md's code map has no daemon/{room}/")
        expect(f"`daemon/{room}/`" in architecture, f"architecture.md's rooms have no daemon/{room}/")
    kinds = sorted(path.parent.name for path in SOURCE.glob("tests/*/meson.build"))
    expect(len(kinds) > 10, f"{kinds}")
    row = re.search(r"^\| `tests/` \|(.*)$", readme, re.M)[1]
    for kind in kinds:
        expect(f"`{kind}`" in row, f"README.md's code map has no tests/{kind}")
        expect(f"`tests/{kind}`" in architecture, f"architecture.md has no tests/{kind}")


def targets_of_make_are_told(_):
    targets = re.search(r"^\.PHONY: (.*)$", (SOURCE / "Makefile").read_text(), re.M)[1].split()
    told = set(re.findall(r"^make ?([a-z-]*)", (SOURCE / "README.md").read_text(), re.M))
    left_out = set(targets) - told - {"all", "build", "clean"}
    expect(not left_out, f"README.md does not tell make {left_out}")
    expect(told - {""} <= set(targets), f"there is no make {told - {''} - set(targets)}")


if __name__ == "__main__":
    main([paths_exist, anchors_exist, configurations_are_valid, commands_are_known,
          names_in_profiles_are_explained, endpoints_and_metrics_exist, every_command_is_told,
          the_code_map_is_complete, targets_of_make_are_told])
