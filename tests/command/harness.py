# SPDX-License-Identifier: Apache-2.0
"""What the command tests share: running the built binary, expectations that say what was seen, and
skipping aloud."""
import os
import subprocess
import sys
import traceback

SKIPPED = 77
NOBODY = 65534


class Failure(Exception):
    pass


def expect(condition, what, result=None):
    if condition:
        return
    seen = ""
    if result is not None:
        seen = (f"\n  status {result.returncode}\n  stdout: {result.stdout[-600:]!r}"
                f"\n  stderr: {result.stderr[-600:]!r}")
    raise Failure(what + seen)


def drop_rights():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


class Bolometer:
    def __init__(self, path):
        self.path = os.path.abspath(path)

    def run(self, *arguments, cwd=None, unprivileged=False, stdin=subprocess.DEVNULL, timeout=60):
        return subprocess.run([self.path, *map(str, arguments)], cwd=cwd, stdin=stdin,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              preexec_fn=drop_rights if unprivileged else None, check=False)

    def start(self, *arguments, cwd=None):
        return subprocess.Popen([self.path, *map(str, arguments)], cwd=cwd,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True)


def main(tests, needs_root=False):
    """Runs every test with a Bolometer for argv[1]; ends the process."""
    if needs_root and os.geteuid() != 0:
        print("needs root")
        sys.exit(SKIPPED)
    bolometer = Bolometer(sys.argv[1])
    failed = 0
    for test in tests:
        try:
            test(bolometer)
            print(f"ok   {test.__name__}")
        except Failure as failure:
            failed += 1
            print(f"FAIL {test.__name__}: {failure}")
        except Exception:  # pylint: disable=broad-except # one test's accident is not the others'
            failed += 1
            print(f"FAIL {test.__name__}: {traceback.format_exc()}")
    sys.exit(1 if failed else 0)
