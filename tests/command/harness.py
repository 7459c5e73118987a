# SPDX-License-Identifier: Apache-2.0
"""What the command tests share: running the built binary, expectations that say what was seen, and
skipping aloud."""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from load import no_idle_cpu, wait_for_sampling  # noqa: E402,F401
from verdict import SKIPPED, Failure, Stopwatch, Undecided, run_tests  # noqa: E402,F401

NOBODY = 65534


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
        # By a descriptor: a user without rights may not reach the directory where this was built.
        file = os.open(self.path, os.O_PATH)
        try:
            return subprocess.run([self.path, *map(str, arguments)], executable=f"/proc/self/fd/{file}", cwd=cwd,
                                  pass_fds=[file], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=timeout, preexec_fn=drop_rights if unprivileged else None, check=False)
        finally:
            os.close(file)

    def start(self, *arguments, cwd=None, under=()):
        return subprocess.Popen([*under, self.path, *map(str, arguments)], cwd=cwd,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, start_new_session=True)


def main(tests, needs_root=False):
    """Runs every test with a Bolometer for argv[1]; ends the process. Tests that profile need root, and get
    a host that is not idle."""
    bolometer = Bolometer(sys.argv[1])
    named = [(test.__name__, lambda test=test: test(bolometer)) for test in tests]
    if not needs_root:
        sys.exit(run_tests(named))
    if os.geteuid() != 0:
        print("needs root")
        sys.exit(SKIPPED)
    with no_idle_cpu():
        status = run_tests(named)
    sys.exit(status)
