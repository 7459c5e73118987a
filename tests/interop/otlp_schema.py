# SPDX-License-Identifier: Apache-2.0
"""The official OTLP schema, from the package opentelemetry-proto of the Python package index. It is
installed once into a directory of the build, which later calls use as it is."""
import fcntl
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PACKAGE = "opentelemetry-proto>=1.45,<2"  # the first with the profiles of proto 1.11


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


def load(directory):
    """Makes `import opentelemetry.proto...` work. Raises Unavailable."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(directory)
    paths = list(directory.glob("venv/lib/python*/site-packages"))
    sys.path[:0] = [str(path) for path in paths]
    try:
        from opentelemetry.proto.profiles.v1development import profiles_pb2
    except ImportError as error:
        raise Unavailable(f"{PACKAGE}: {error}") from error
    if "samples" not in profiles_pb2.Profile.DESCRIPTOR.fields_by_name:
        raise Unavailable(f"{PACKAGE} has an older schema of profiles")
    return profiles_pb2
