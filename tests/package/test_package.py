#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian package builds, holds everything where Debian wants it, and lintian finds nothing.

Usage: test_package.py BOLOMETER BUILD"""
import re
import shutil
import subprocess
import sys

from debian_root import SKIPPED, Failure, Missing, Undecided, field_of, make_package

CONTENTS = {
    "/usr/bin/bolometer": "-rwxr-xr-x",
    "/lib/systemd/system/bolometer.service": "-rw-r--r--",
    "/etc/bolometer/bolometer.yaml": "-rw-r--r--",
    "/usr/share/man/man1/bolometer.1.gz": "-rw-r--r--",
    "/usr/share/man/man5/bolometer.yaml.5.gz": "-rw-r--r--",
    "/usr/share/man/man8/bolometer.service.8.gz": "-rw-r--r--",
    "/usr/share/bash-completion/completions/bolometer": "-rw-r--r--",
    "/usr/share/zsh/vendor-completions/_bolometer": "-rw-r--r--",
    "/usr/share/fish/vendor_completions.d/bolometer.fish": "-rw-r--r--",
    "/usr/share/bolometer/bolometer-rules.yaml": "-rw-r--r--",
    "/usr/share/doc/bolometer/copyright": "-rw-r--r--",
    "/usr/share/doc/bolometer/changelog.gz": "-rw-r--r--",
}
# Who distributes the package puts an address of his own there.
ADDRESS = "bogus-mail-host,bogus-mail-host-in-debian-changelog"


def contents(package):
    listed = subprocess.run(["dpkg-deb", "--contents", package], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    for mode, owner, path in re.findall(r"^(\S+) (\S+) .*? \.(/\S*)", listed, re.M):
        if not path.endswith("/"):
            # where / and /usr are one, newer releases ship the unit below /usr
            yield re.sub("^/usr(/lib/systemd)", r"\1", path), mode, owner


def problems(package, bolometer):
    held = {}
    for path, mode, owner in contents(package):
        held[path] = mode
        if owner != "root/root":
            yield f"{path} belongs to {owner}"
    if held != CONTENTS:
        yield f"the package holds {held}"
    version = subprocess.run([bolometer, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if field_of(package, "Version") != version.split()[-1]:
        yield f"version {field_of(package, 'Version')} of the package, {version.strip()} of the program"
    depends = field_of(package, "Depends")
    for library in ("libc6", "libbpf", "libdw", "libcurl", "libyaml", "libmicrohttpd"):
        if not re.search(rf"\b{library}\S* \(|\b{library}\S*(,|$)", depends):
            yield f"no {library} in Depends: {depends}"
    if shutil.which("lintian"):
        checked = subprocess.run(["lintian", "--allow-root", "--suppress-tags", ADDRESS, package],
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        yield from (line for line in checked.stdout.splitlines() if re.match("[EW]: ", line))
    else:
        print("without lintian: not installed")


def main():
    try:
        package = make_package(sys.argv[2])
    except Missing as missing:
        print(missing)
        return SKIPPED
    except Undecided as undecided:
        print("SKIPPED:", undecided)
        return SKIPPED
    except Failure as failure:
        print("FAIL", failure)
        return 1
    print(f"{package.name}: {package.stat().st_size / 1000:.0f} kB, depends on {field_of(package, 'Depends')}")
    found = list(problems(package, sys.argv[1]))
    for problem in found:
        print("FAIL", problem)
    return 1 if found else 0


sys.exit(main())
