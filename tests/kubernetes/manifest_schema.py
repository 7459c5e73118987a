# SPDX-License-Identifier: Apache-2.0
"""The schemas of Kubernetes, from the package kubernetes-validate of the Python package index. It is
installed once into a directory of the build, which later calls use as it is."""
import fcntl
import shutil
import subprocess
import venv
from pathlib import Path

PACKAGE = "kubernetes-validate==1.37.0"
# The first with every field the manifests use, and the newest the package has.
VERSIONS = ["1.30", "1.37"]


class Unavailable(Exception):
    """The package could not be had; the text says why."""


def install(directory):
    complete = directory / "complete"
    if complete.exists():
        return
    shutil.rmtree(directory / "venv", ignore_errors=True)
    try:
        venv.create(directory / "venv", with_pip=True)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"no virtual environment: {error} (package python3-venv)") from error
    result = subprocess.run([directory / "venv/bin/pip", "install", "--quiet", "--no-input",
                             "--disable-pip-version-check", PACKAGE],
                            capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["pip failed"]
        raise Unavailable(f"{PACKAGE} cannot be installed: {lines[-1]}")
    complete.touch()


def validator(directory):
    """The program. Raises Unavailable."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(directory)
    return directory / "venv/bin/kubernetes-validate"
