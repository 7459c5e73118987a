#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts a page of the flame graph together: style and scripts into the HTML, their hashes into its
content security policy, and the whole into C strings: for a page with its data inside, cut where that
goes; for the daemon's page, which asks for it, in one piece with its policy.

Usage: embed.py [--live live.html] page.html STYLE.css... SCRIPT.js... OUTPUT.c"""
import base64
import hashlib
import re
import sys
from pathlib import Path


def policy_hash(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def c_string(name, text):
    lines = "\n".join(f"\t{bytes_literal(line)}" for line in text.splitlines(keepends=True))
    return f"extern const char {name}[];\nconst char {name}[] =\n{lines};\n"


def bytes_literal(line):
    quoted = "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}"
        for byte in line.encode())
    return f'"{quoted}"'


def live_parts(path):
    """What stands in the daemon's page alone, by place."""
    parts = re.split(r"^---- (\w+)\n", Path(path).read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def main():
    arguments = sys.argv[1:]
    live = arguments[1] if arguments[0] == "--live" else None
    page, *sources, output = map(Path, arguments[2:] if live else arguments)
    css = "".join(p.read_text() for p in sources if p.suffix == ".css")
    script = "'use strict';\n(() => {\n" + \
        "".join(p.read_text() for p in sources if p.suffix == ".js") + "})();\n"
    values = {"STYLE_HASH": policy_hash(css), "SCRIPT_HASH": policy_hash(script), "STYLE": css,
              "SCRIPT": script, "CONNECT": "; connect-src 'self'" if live else "",
              "FIGURES": "", "SECTIONS": "", "KEYS": ""}
    if live:
        values |= live_parts(live) | {"DATA": "null"}
    html = page.read_text()
    for place, value in values.items():
        if html.count(f"@{place}@") != 1:
            sys.exit(f"{page}: wants @{place}@ exactly once")
        html = html.replace(f"@{place}@", value)
    strings = dict(zip(["flame_page_head", "flame_page_tail"], html.split("@DATA@")))
    if live:
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
        strings = {"live_page": html, "live_page_policy": policy + "; frame-ancestors 'none'"}
    output.write_text("/* Made by flame/embed.py. */\n"
                      + "".join(c_string(*string) for string in strings.items()))


if __name__ == "__main__":
    main()
