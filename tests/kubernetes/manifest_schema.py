# SPDX-License-Identifier: Apache-2.0
"""The schemas of Kubernetes, from the package kubernetes-validate of the Python package index."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from python_package import Unavailable, environment  # noqa: E402,F401

PACKAGE = "kubernetes-validate==1.37.0"
# The first with every field the manifests use, and the newest the package has.
VERSIONS = ["1.30", "1.37"]


def validator(directory):
    """The program. Raises Unavailable."""
    return environment(directory, PACKAGE) / "bin/kubernetes-validate"
