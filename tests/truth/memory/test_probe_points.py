# SPDX-License-Identifier: Apache-2.0
"""
For every allocator of this machine: the finder's places see the same calls with the same arguments as the
functions' entries do. See probe_points.c.
"""

import subprocess
import sys
import tempfile

from builds import builds

SKIPPED = 77


def main():
    checker, source = sys.argv[1:]
    results = []
    with tempfile.TemporaryDirectory(prefix="bolometer-test-") as directory:
        for name, build in builds(source, directory):
            if not build:
                print(f"{name}: skipped: this machine lacks it", flush=True)
                continue
            print(f"{name}:", flush=True)
            command = [checker, build.pattern, build.program]
            if build.preload:
                command.append(build.preload)
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
            print(done.stdout, end="", flush=True)
            if done.returncode == 0 and f": {build.kind}\n" not in done.stdout:
                print(f"failed: {build.kind} was not recognised")
                done.returncode = 1
            results.append(done.returncode)
    if any(r not in (0, SKIPPED) for r in results):
        return 1
    return 0 if 0 in results else SKIPPED


sys.exit(main())
