# SPDX-License-Identifier: Apache-2.0
"""A package of the Python package index for tests, in a virtual environment of its own. It is installed
once into a directory of the build, which later calls use as it is."""
import fcntl
import shutil
import subprocess
import venv
from pathlib import Path


class Unavailable(Exception):
    """The package could not be had; the text says why."""


def install_once(directory, package):
    if (directory / "complete").exists():
        return
    shutil.rmtree(directory / "venv", ignore_errors=True)
    try:
        venv.create(directory / "venv", with_pip=True)
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"no virtual environment: {error} (package python3-venv)") from error
    result = subprocess.run([directory / "venv/bin/pip", "install", "--quiet", "--no-input",
                             "--disable-pip-version-check", package],
                            capture_output=True, text=True)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["pip failed"]
        raise Unavailable(f"{package} cannot be installed: {lines[-1]}")
    (directory / "complete").touch()


def environment(directory, package):
    """The virtual environment that has the package. Raises Unavailable."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_once(directory, package)
    return directory / "venv"
