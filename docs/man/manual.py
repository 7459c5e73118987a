#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fills a manual page's template with what the program's own tables say: mdoc (mandoc.bsd.lv/man/mdoc.7).

Usage: manual.py DESCRIPTION.json TEMPLATE OUTPUT"""
import datetime
import json
import os
import re
import sys
from pathlib import Path


def escaped(text):
    """Plain text for a text line: backslashes, dashes a reader may copy, and no control line by chance."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace("'", "\\(aq")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^\.", r"\\&.", text)


def argument(text):
    """One argument of a macro line: quoted, so that nothing in it is taken for a macro."""
    return '"' + escaped(text).replace('"', '""') + '"'


def sentences(text):
    """New sentence, new line: formatters space the end of a sentence by it."""
    text = re.sub(r"\s*\n\s*", " ", text.strip())
    return [escaped(sentence) for sentence in re.split(r"(?<=[A-Za-z0-9\])'\"][.:?]) (?=[A-Z])", text)]


def option_item(option):
    names = [f"Fl {option['letter']}"] if option["letter"] else []
    names.append(f"Fl {argument('-' + option['name'])}")
    value = f" Ar {argument(option['value'])}" if option["value"] else ""
    return [f".It {' , '.join(names)}{value}", *sentences(option["help"])]


def option_list(options):
    lines, is_open = [], False
    for option in options:
        if option["kind"] == "heading":
            lines += [".El"] if is_open else []
            lines += [".Pp", escaped(option["help"]) + ":"]
            is_open = False
            continue
        if not is_open:
            lines.append(".Bl -tag -width Ds")
            is_open = True
        lines += option_item(option)
    return lines + ([".El"] if is_open else [])


def details(text):
    """Paragraphs; one whose lines are indented is shown as it stands."""
    lines = []
    for paragraph in re.split(r"\n\n", text):
        if paragraph.startswith(" "):
            lines += [".Bd -literal", *(escaped(line) or "\\&" for line in paragraph.split("\n")), ".Ed"]
        else:
            lines += [".Pp", *sentences(paragraph)]
    return lines


def commands(description):
    lines = []
    for command in description["commands"]:
        summary = command["summary"]
        lines += [f".Ss bolometer {argument(command['name'])} {argument(command['arguments'])}",
                  *sentences(summary[0].upper() + summary[1:] + ".")]
        lines += option_list(command["options"])
        lines += details(command["details"]) if command["details"] else []
    return lines


def facts(setting):
    takes = setting["takes"] + (f" ({setting['unit']})" if setting["unit"] else "")
    words = [f"Takes {takes}"] if takes else []
    if setting["default"]:
        words.append(f"default {setting['default']}")
    if setting["restart"]:
        words.append("a change needs a restart")
    return escaped("; ".join(words)) + "." if words else None


def settings(table):
    lines = []
    for setting in table:
        lines += [f".It Ic {argument(setting['key'])}", *sentences(setting["what"])]
        if facts(setting):
            lines += [".Pp", facts(setting)]
    return lines


def date():
    """Of the sources, where the packager says it (reproducible-builds.org/specs/source-date-epoch)."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    when = (datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc) if seconds
            else datetime.datetime.now(datetime.timezone.utc))
    return f"{when:%B} {when.day}, {when.year}"


def main():
    description, template, output = map(Path, sys.argv[1:])
    description = json.loads(description.read_text())
    fill = {
        "DATE": [date()],
        "VERSION": [description["version"]],
        "COMMANDS": commands(description),
        "SETTINGS": settings(description["settings"]),
        "STRATEGY_SETTINGS": settings(description["strategy_settings"]),
        "EXPORTER_SETTINGS": settings(description["exporter_settings"]),
    }
    page = re.sub(r"@([A-Z_]+)@", lambda mark: "\n".join(fill[mark[1]]), template.read_text())
    output.write_text(page)


if __name__ == "__main__":
    main()
