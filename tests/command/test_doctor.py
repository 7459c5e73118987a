#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`bolometer doctor` on this host: text and JSON agree, and so does the exit status."""
import json

from harness import expect, main


def text_and_json_agree(bolometer):
    text, data = bolometer.run("doctor"), bolometer.run("doctor", "--json")
    expect(text.returncode in (0, 3) and text.returncode == data.returncode, "status", text)
    parsed = json.loads(data.stdout)
    expect(parsed["possible"] == (text.returncode == 0), "possible agrees with the status", data)
    lines = text.stdout.decode().splitlines()
    for finding in parsed["findings"]:
        expect(any(line.startswith(finding["level"]) and finding["text"] in line for line in lines),
               f"the text has {finding}", text)
        expect(finding["level"] == "ok" or finding.get("lost"), f"says what is lost: {finding}")
    expect(b"\033" not in text.stdout, "no colours in a pipe", text)


if __name__ == "__main__":
    main([text_and_json_agree])
