#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the flame graph's page together: style and scripts into the HTML, their hashes into its
content security policy, and the whole, cut where the data goes, into two C strings.

Usage: embed.py page.html flame.css SCRIPT.js... OUTPUT.c"""
import base64
import hashlib
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


def main():
    page, style, *scripts, output = map(Path, sys.argv[1:])
    css = style.read_text()
    script = "'use strict';\n(() => {\n" + "".join(p.read_text() for p in scripts) + "})();\n"
    html = page.read_text()
    for place, value in (("@STYLE_HASH@", policy_hash(css)), ("@SCRIPT_HASH@", policy_hash(script)),
                         ("@STYLE@", css), ("@SCRIPT@", script)):
        if html.count(place) != 1:
            sys.exit(f"{page}: wants {place} exactly once")
        html = html.replace(place, value)
    head, tail = html.split("@DATA@")
    output.write_text("/* Made by flame/embed.py. */\n" + c_string("flame_page_head", head)
                      + c_string("flame_page_tail", tail))


if __name__ == "__main__":
    main()
