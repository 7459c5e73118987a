# SPDX-License-Identifier: Apache-2.0
"""The official OTLP schema, from the package opentelemetry-proto of the Python package index."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from python_package import Unavailable, environment  # noqa: E402

PACKAGE = "opentelemetry-proto>=1.45,<2"  # the first with the profiles of proto 1.11


def load(directory):
    """Makes `import opentelemetry.proto...` work. Raises Unavailable."""
    paths = environment(directory, PACKAGE).glob("lib/python*/site-packages")
    sys.path[:0] = [str(path) for path in paths]
    try:
        from opentelemetry.proto.profiles.v1development import profiles_pb2
    except ImportError as error:
        raise Unavailable(f"{PACKAGE}: {error}") from error
    if "samples" not in profiles_pb2.Profile.DESCRIPTOR.fields_by_name:
        raise Unavailable(f"{PACKAGE} has an older schema of profiles")
    return profiles_pb2
