#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the completions of a shell from what the program's own tables say.

Usage: completions.py DESCRIPTION.json bash|zsh|fish OUTPUT"""
import json
import shlex
import sys
from pathlib import Path

HELP = {"name": "help", "letter": "h", "value": "", "words": "", "kind": "flag", "help": "explain this command"}


def options_of(command):
    return [option for option in command["options"] if option["kind"] != "heading"] + [HELP]


def values_of(option, description):
    """How to complete a value: (kind, words). Nothing else is known of it: ("free", [])."""
    if option["words"]:
        return "words", option["words"].split(", ")
    if option["value"].startswith("PID"):
        return "pid", []
    if option["value"] in ("FILE", "DIR", "DIRECTORY", "SOCKET"):
        return "file", []
    if option["name"] == "cgroup":
        return "cgroup", []
    if option["value"].startswith("KEY="):
        return "keys", [setting["key"] + "=" for setting in description["settings"]]
    return "free", []


def first_line(text):
    return text.split("\n")[0].rstrip(";,")


# ---- bash ---------------------------------------------------------------------------------------

BASH = """# SPDX-License-Identifier: Apache-2.0
# Completions of bolometer for bash, made from the program's own tables.
_bolometer_cgroups() {
    local top=/sys/fs/cgroup
    [[ -d $top/unified ]] && top=$top/unified
    compgen -d -- "$top$1" | sed "s|^$top||"
}

_bolometer() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local options= i
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '@COMMANDS@' -- "$word")
        return
    fi
    # bash takes --name=value apart at the equals sign
    [[ $word == = ]] && word=
    [[ $before == = ]] && before=${COMP_WORDS[COMP_CWORD-2]}
    for ((i = 2; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            ((COMP_CWORD == i + 1)) && mapfile -t COMPREPLY < <(compgen -c -- "$word")
            ((COMP_CWORD > i + 1)) && mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
    done
    case $command,$before in
@VALUES@
    esac
    case $command in
@OPTIONS@
    esac
    if [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _bolometer bolometer
"""


def bash_action(kind, words):
    reply = "mapfile -t COMPREPLY < <(%s); return"
    if kind == "words":
        return reply % f"compgen -W '{' '.join(words)}' -- \"$word\""
    if kind == "keys":
        return "compopt -o nospace; " + reply % f"compgen -W '{' '.join(words)}' -- \"$word\""
    if kind == "pid":
        return reply % "cd /proc && compgen -G '[0-9]*' | grep \"^$word\""
    if kind == "cgroup":
        return "compopt -o nospace; " + reply % '_bolometer_cgroups "$word"'
    if kind == "file":
        return "compopt -o filenames; " + reply % 'compgen -f -- "$word"'
    return "return"


def bash(description):
    values, options = [], []
    for command in description["commands"]:
        for option in options_of(command):
            if not option["value"]:
                continue
            names = [f"--{option['name']}"] + ([f"-{option['letter']}"] if option["letter"] else [])
            pattern = " | ".join(f"{command['name']},{name}" for name in names)
            values.append(f"    {pattern}) {bash_action(*values_of(option, description))} ;;")
        names = " ".join(f"--{option['name']}" for option in options_of(command))
        options.append(f"    {command['name']}) options='{names}' ;;")
    return (BASH.replace("@COMMANDS@", " ".join(c["name"] for c in description["commands"]))
            .replace("@VALUES@", "\n".join(values)).replace("@OPTIONS@", "\n".join(options)))


# ---- zsh ----------------------------------------------------------------------------------------

ZSH = """#compdef bolometer
# SPDX-License-Identifier: Apache-2.0
# Completions of bolometer for zsh, made from the program's own tables.
# Not "commands": that is zsh's own, and what completes a command's name looks there.
local -a bolometer_commands=(
@COMMANDS@
)
if ((CURRENT == 2)); then
    _describe command bolometer_commands
    return
fi
local bolometer_command=$words[2]
shift words
((CURRENT--))
case $bolometer_command in
@OPTIONS@
esac
"""


# Of a command that takes "-- CMD": what stands behind the dashes is that command's.
ZSH_REST = """    local -i dashes=${words[(i)--]}
    if ((CURRENT > dashes)); then
        shift $dashes words
        ((CURRENT -= dashes))
        if ((CURRENT == 1)); then
            _command_names -e
        else
            _normal
        fi
        return
    fi
"""


def zsh_text(text):
    for character in "\\[]:":
        text = text.replace(character, "\\" + character)
    return text


def zsh_action(kind, words):
    return {"words": f"({' '.join(words)})", "keys": f"({' '.join(words)})", "pid": "_pids", "file": "_files",
            "cgroup": "_files -W /sys/fs/cgroup -/"}.get(kind, " ")


def zsh_option(option, description):
    value = ""
    if option["value"]:
        value = f":{zsh_text(option['value'])}:{zsh_action(*values_of(option, description))}"
    help_text = f"[{zsh_text(first_line(option['help']))}]"
    long = shlex.quote(f"*--{option['name']}{'=' if value else ''}{help_text}{value}")
    if not option["letter"]:
        return long
    return long + " " + shlex.quote(f"*-{option['letter']}{'+' if value else ''}{help_text}{value}")


def zsh(description):
    commands = "\n".join("    " + shlex.quote(f"{c['name']}:{zsh_text(c['summary'])}")
                         for c in description["commands"])
    cases = []
    for command in description["commands"]:
        lines = [zsh_option(option, description) for option in options_of(command)]
        takes_rest = "[-- " in command["arguments"]
        if not takes_rest:
            lines.append("'*:file:_files'")
        cases.append(f"{command['name']})\n{ZSH_REST if takes_rest else ''}    _arguments -s \\\n        "
                     + " \\\n        ".join(lines) + "\n    ;;")
    return ZSH.replace("@COMMANDS@", commands).replace("@OPTIONS@", "\n".join(cases))


# ---- fish ---------------------------------------------------------------------------------------

FISH = """# SPDX-License-Identifier: Apache-2.0
# Completions of bolometer for fish, made from the program's own tables.
complete -c bolometer -n __fish_use_subcommand -f
function __bolometer_after_dashes
    set -l words (commandline -opc)
    set -l dashes (contains -i -- -- $words)
    complete -C (string join ' ' -- $words[(math $dashes + 1)..] (commandline -ct))
end
complete -c bolometer -n 'contains -- -- (commandline -opc)' -x -a '(__bolometer_after_dashes)'
"""


def fish_quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_action(kind, words):
    return {"words": f" -x -a {fish_quoted(' '.join(words))}", "keys": f" -x -a {fish_quoted(' '.join(words))}",
            "pid": " -x -a '(__fish_complete_pids)'", "file": " -r -F",
            "cgroup": " -x -a '(__fish_complete_directories)'"}.get(kind, " -x")


def fish(description):
    lines = [f"complete -c bolometer -n __fish_use_subcommand -a {command['name']} "
             f"-d {fish_quoted(command['summary'])}" for command in description["commands"]]
    for command in description["commands"]:
        for option in options_of(command):
            letter = f" -s {option['letter']}" if option["letter"] else ""
            value = fish_action(*values_of(option, description)) if option["value"] else ""
            lines.append(f"complete -c bolometer -n '__fish_seen_subcommand_from {command['name']}' "
                         f"-l {option['name']}{letter}{value} -d {fish_quoted(first_line(option['help']))}")
    return FISH + "\n".join(lines) + "\n"


def main():
    description = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[3]).write_text({"bash": bash, "zsh": zsh, "fish": fish}[sys.argv[2]](description))


if __name__ == "__main__":
    main()
