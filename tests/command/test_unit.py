#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The systemd unit: systemd reads it without a complaint, and its exposure is printed.

Usage: test_unit.py BOLOMETER UNIT"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from harness import Failure, SKIPPED, expect

MOST_EXPOSED = 4.0  # of 10; CAP_SYS_ADMIN of the opener and the whole of /proc cost the most


def with_real_paths(unit, bolometer, directory):
    """The unit as a file that names an executable that is there."""
    path = directory + "/bolometer.service"
    text = open(unit, encoding="utf-8").read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(re.sub(r"^(Exec\w+=)\S+/bolometer ", rf"\g<1>{os.path.abspath(bolometer)} ", text, flags=re.M))
    return path


def main():
    if not shutil.which("systemd-analyze"):
        print("needs systemd-analyze")
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as directory:
        path = with_real_paths(sys.argv[2], sys.argv[1], directory)
        verify = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                                capture_output=True, check=False)
        complaints = [line for line in (verify.stdout + verify.stderr).decode().splitlines()
                      if "bolometer.service" in line]
        expect(not complaints, f"systemd understands every line: {complaints}", verify)
        security = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", path],
                                  capture_output=True, check=False)
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+) (\w+)",
                          security.stdout.decode())
        if not found:
            print("this systemd-analyze judges no unit off line")
            sys.exit(SKIPPED)
        print(f"systemd-analyze security: {found[1]} {found[2]}")
        expect(float(found[1]) <= MOST_EXPOSED, f"at most {MOST_EXPOSED}")


try:
    main()
except Failure as failure:
    print(f"FAIL {failure}")
    sys.exit(1)
