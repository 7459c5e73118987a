#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer check-config` as a program: statuses, places, forms. The rules are the unit test's."""
import json
import os
import tempfile

from harness import expect, main

GOOD = """exporters:
  - {type: otlp-grpc, endpoint: "http://collector:4317", headers: {key: hidden-secret}}
"""
BAD = "interval: 10s\nsampling:\n  frequency: 100000\n  inline: true\n"


def file_with(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".yaml")
    file.write(text)
    file.flush()
    return file


def good_file(bolometer):
    with file_with(GOOD) as file:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 0 and b": good" in result.stdout, "good", result)
        result = bolometer.run("check-config", "--json", file.name)
        expect(json.loads(result.stdout)["valid"] is True, "valid", result)


def bad_file(bolometer):
    with file_with(BAD) as file:
        result = bolometer.run("check-config", file.name)
        lines = result.stderr.decode().splitlines()
        expect(result.returncode == 1 and len(lines) == 2, "both mistakes", result)
        expect(lines[0].startswith(f"{file.name}:3:14: sampling.frequency: '100000' is not")
               and "from 1 to 10000" in lines[0], "line, column, range", result)
        expect(lines[1].startswith(f"{file.name}:4:3: ")
               and lines[1].endswith("did you mean sampling.inlines?"), "nearest key", result)
        result = bolometer.run("check-config", "--json", file.name)
        problems = json.loads(result.stdout)["problems"]
        expect(result.returncode == 1 and [p["line"] for p in problems] == [3, 4]
               and problems[0]["key"] == "sampling.frequency", "the same as JSON", result)


def values_cannot_steer_a_terminal(bolometer):
    with file_with('exporters:\n  - type: "otlp\\e[2J\\u009b31m\\u00e9"\n') as file:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 1 and b"\033" not in result.stderr and b"\xc2\x9b" not in result.stderr
               and "otlp?[2J??31m\u00e9".encode() in result.stderr, "control characters are none", result)


def patterns_that_match_nothing(bolometer):
    with file_with("selection:\n  comm: [nginx, systemd-journald]\n  exe: [bin/nginx]\n") as file:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 1 and b"selection.comm: no thread is called" in result.stderr
               and b"selection.exe: 'bin/nginx' is neither" in result.stderr, "both are told", result)


TOGETHER = """sampling: {ring: 100KiB}
http:
  address: 127.0.0.1:7070
exporters:
  - type: pprof-directory
    directory: relative
"""


def mistakes_beside_other_values(bolometer):
    """Each is told where it stands: the value, or for one that is missing the section."""
    with file_with(TOGETHER) as file:
        result = bolometer.run("check-config", file.name)
        lines = [line.removeprefix(file.name) for line in result.stderr.decode().splitlines()]
        starts = [":1:18: sampling.ring: ", ":2:1: http.token_file: missing", ":6:16: exporters[0].directory: "]
        expect(len(lines) == 3 and all(map(str.startswith, lines, starts)), "places", result)
        result = bolometer.run("check-config", "--set", "sampling.ring=3MiB", file.name)
        expect(b"--set sampling.ring: sampling.ring: not a power" in result.stderr, "the last source", result)


def files_that_are_not_there(bolometer):
    """They may come later, so they are no mistakes."""
    with file_with("exporters:\n  - {type: otlp-http, endpoint: 'https://h', bearer_token_file: /no/token,"
                   " tls: {ca: /no/ca}}\n") as file:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 0, "no mistake", result)
        expect(result.stderr.decode().splitlines() ==
               ["warning: exporter otlp-http: bearer_token_file: there is no file /no/token",
                "warning: exporter otlp-http: tls.ca: there is no file /no/ca"], "both are told", result)


def too_many_labels(bolometer):
    labels = ", ".join(f"l{number}: v" for number in range(29))
    text = f"exporters:\n  - {{type: pyroscope-push, endpoint: 'http://x', labels: {{{labels}}}}}\n"
    with file_with(text) as file, file_with(text.replace("l28: v", "service_name: v")) as fitting:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 0 and b"would have 31 labels" in result.stderr, "a warning", result)
        result = bolometer.run("check-config", "--json", file.name)
        said = json.loads(result.stdout)
        expect(said["valid"] and len(said["warnings"]) == 1, "the same as JSON", result)
        result = bolometer.run("check-config", fitting.name)
        expect(result.returncode == 0 and not result.stderr, "30 fit", result)


def missing_and_odd_files(bolometer):
    for path in ("/nonexistent.yaml", "/", "/dev/zero"):
        result = bolometer.run("check-config", path)
        expect(result.returncode == 1 and path.encode() in result.stderr, path, result)
    result = bolometer.run("check-config")
    expect(result.returncode == 2, "a file is needed", result)


def effective(bolometer):
    with file_with(GOOD) as file:
        result = bolometer.run("check-config", "--effective", "--set", "sampling.frequency=7",
                               file.name)
        expect(result.returncode == 0 and b"frequency: 7\n" in result.stdout, "--set", result)
        expect(b"hidden-secret" not in result.stdout and b"(secret)" in result.stdout,
               "no secrets", result)
        os.environ["BOLOMETER_SAMPLING_FREQUENCY"] = "11"
        for option, wanted in ((), b"frequency: 99\n"), (("--environment",), b"frequency: 11\n"):
            result = bolometer.run("check-config", "--effective", *option, file.name)
            expect(wanted in result.stdout, "the environment only when asked", result)
        del os.environ["BOLOMETER_SAMPLING_FREQUENCY"]


def reference_is_a_configuration(bolometer):
    result = bolometer.run("daemon", "--print-config-reference")
    with file_with(result.stdout.decode()) as file:
        result = bolometer.run("check-config", file.name)
        expect(result.returncode == 0, "as printed", result)


main([good_file, bad_file, mistakes_beside_other_values, values_cannot_steer_a_terminal, patterns_that_match_nothing, too_many_labels,
      files_that_are_not_there, missing_and_odd_files, effective, reference_is_a_configuration])
