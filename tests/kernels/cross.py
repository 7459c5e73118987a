# SPDX-License-Identifier: Apache-2.0
"""Builds the product and the workloads for arm64, against the sysroot of fetch.py."""

import pathlib
import re
import shutil
import subprocess

import fetch

PREFIX = "aarch64-linux-gnu-"
LOADER = "lib/ld-linux-aarch64.so.1"
MACHINE_FILE = """[binaries]
c = ['{prefix}gcc', '--sysroot={sysroot}']
ar = '{prefix}ar'
strip = '{prefix}strip'
pkgconfig = 'pkg-config'
[properties]
sys_root = '{sysroot}'
pkg_config_libdir = '{sysroot}/usr/lib/aarch64-linux-gnu/pkgconfig:{sysroot}/usr/share/pkgconfig'
needs_exe_wrapper = true
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


class CannotBuild(Exception):
    """The machine lacks what a build for arm64 needs."""


class CrossBuild:
    def __init__(self, source, directory):
        """`directory` is kept from run to run, so that little is compiled the second time."""
        for tool in (PREFIX + "gcc", "pkg-config", "meson", "ninja"):
            if not shutil.which(tool):
                raise CannotBuild(f"{tool} is not installed")
        try:
            self.sysroot = fetch.sysroot()
        except fetch.FetchError as error:
            raise CannotBuild(f"no arm64 libraries: {error}") from error
        self.source, self.directory = source, pathlib.Path(directory)

    def build(self, *targets):
        """Paths of the built targets."""
        machine = self.directory.with_suffix(".ini")
        text = MACHINE_FILE.format(prefix=PREFIX, sysroot=self.sysroot)
        if not machine.exists() or machine.read_text(encoding="ascii") != text:
            shutil.rmtree(self.directory, ignore_errors=True)
            machine.write_text(text, encoding="ascii")
        if not (self.directory / "build.ninja").exists():
            subprocess.run(["meson", "setup", self.directory, self.source, "--cross-file", machine],
                           check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", self.directory, *targets], check=True, stdout=subprocess.DEVNULL)
        return [self.directory / target for target in targets]

    def libraries(self, binary):
        """{path on the machine that runs it: file}, with what the libraries need in turn."""
        found, wanted = {}, [pathlib.Path(binary)]
        while wanted:
            said = subprocess.run([PREFIX + "readelf", "-d", wanted.pop()], stdout=subprocess.PIPE,
                                  text=True, check=True).stdout
            for name in re.findall(r"\(NEEDED\).*\[(.*)\]", said):
                target = f"/lib/aarch64-linux-gnu/{name}"
                if target in found or name in LOADER:
                    continue
                places = [self.sysroot / place / name for place in ("lib/aarch64-linux-gnu",
                                                                    "usr/lib/aarch64-linux-gnu")]
                found[target] = next(place for place in places if place.exists())
                wanted.append(found[target])
        if found:
            found["/" + LOADER] = self.sysroot / LOADER
        return found
