#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Fetches what the kernel matrix needs from Debian's archive, without touching the machine's packages:
kernel images (only vmlinuz is unpacked) and a sysroot of arm64 libraries.

The mirror is the one the machine itself is configured for; suites the machine does not use are added
in a private apt configuration inside the cache directory. Everything fetched stays in the cache: a
second run works without a network.

    fetch.py kernel NAME        prints the path of a kernel image; names are in KERNELS
    fetch.py package NAME ARCH  unpacks one package and prints the directory
    fetch.py sysroot            prints the path of the arm64 sysroot
"""

import os
import pathlib
import shutil
import subprocess
import sys

CACHE = pathlib.Path(os.environ.get("BOLOMETER_KERNEL_CACHE",
                                    pathlib.Path.home() / ".cache" / "bolometer-kernels"))

# name: (architecture, suites, prefix of the kernel's version)
KERNELS = {
    "5.10": ("amd64", ("bullseye", "bullseye-security"), "5.10."),
    "6.1": ("amd64", ("bookworm", "bookworm-security"), "6.1."),
    "6.12": ("amd64", ("trixie", "trixie-security"), "6.12."),
    "newest": ("amd64", ("trixie", "trixie-security", "trixie-backports"), ""),
    "arm64-5.10": ("arm64", ("bullseye", "bullseye-security"), "5.10."),
}

# What the product links with, for arm64, and what a virtual machine needs to run it.
SYSROOT_SUITES = ("bookworm", "bookworm-security")
SYSROOT_PACKAGES = """
    libbpf1 libbpf-dev libelf1 libelf-dev libdw1 libdw-dev zlib1g zlib1g-dev libdeflate0 libdeflate-dev libzstd1 libzstd-dev
    liblzma5 liblzma-dev libprotobuf-c1 libprotobuf-c-dev libcap2 libcap-dev libseccomp2
    libseccomp-dev libnettle8 nettle-dev libiberty-dev libbz2-1.0 libbz2-dev libhogweed6
    libgmp10 libcurl4 libcurl4-openssl-dev libyaml-0-2 libyaml-dev libmicrohttpd12 libmicrohttpd-dev
    libncursesw6 libtinfo6 libncurses-dev linux-libc-dev busybox-static
""".split()


class FetchError(Exception):
    """Something cannot be had: no network, no mirror, no such package."""


def run(arguments, **options):
    try:
        return subprocess.run(arguments, check=True, capture_output=True, text=True, **options).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", "") or str(error)
        raise FetchError(f"{arguments[0]}: {detail.strip()[-400:]}") from error


def mirrors():
    """The machine's own addresses of Debian's main and security archives."""
    main = security = None
    listing = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)"])
    for line in sorted(set(listing.splitlines())):
        uri, release, origin = (line.split(" ", 2) + ["", ""])[:3]
        if origin != "Debian":
            continue
        if release.endswith("-security"):
            security = uri
        elif not release.endswith("-updates") and "-backports" not in release:
            main = uri
    if not main:
        raise FetchError("no Debian archive among this machine's apt sources")
    return main, security or main.rstrip("/") + "-security/"


class PrivateApt:
    """An apt of its own under CACHE for one architecture and a few suites."""

    def __init__(self, architecture, suites):
        self.directory = CACHE / "apt" / f"{architecture}-{suites[0]}-{len(suites)}"
        self.architecture = architecture
        for part in ("lists/partial", "cache/archives/partial", "preferences", "sources.d"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (self.directory / "status").touch()
        main, security = mirrors()
        keyring = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
        signed = f" [signed-by={keyring}]" if keyring.exists() else ""
        (self.directory / "sources.list").write_text("".join(
            f"deb{signed} {security if suite.endswith('-security') else main} {suite} main\n"
            for suite in suites))
        self.updated = False

    def call(self, tool, *arguments, cwd=None):
        own = {
            "Dir::Etc::sourcelist": self.directory / "sources.list",
            "Dir::Etc::sourceparts": self.directory / "sources.d",
            "Dir::Etc::preferencesparts": self.directory / "preferences",
            "Dir::State::lists": self.directory / "lists",
            "Dir::State::status": self.directory / "status",
            "Dir::Cache": self.directory / "cache",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        options = [text for key, value in own.items() for text in ("-o", f"{key}={value}")]
        return run([tool, *options, *arguments], cwd=cwd)

    def update(self):
        if not self.updated:
            self.call("apt-get", "update", "-qq")
            self.updated = True

    def unpack(self, package, target, member=None):
        """Downloads one package and unpacks it, or one member of it, into `target`."""
        self.update()
        downloads = self.directory / "downloads"
        shutil.rmtree(downloads, ignore_errors=True)
        downloads.mkdir()
        self.call("apt-get", "download", package, cwd=downloads)
        for archive in downloads.glob("*.deb"):
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)],
                                   stdout=subprocess.PIPE)
            wanted = ["--wildcards", member] if member else []
            run(["tar", "-xf", "-", "-C", str(target), *wanted], stdin=tar.stdout)
            tar.stdout.close()
            tar.wait()
        shutil.rmtree(downloads)

    def unpack_all(self, packages, target):
        """Downloads packages with everything they depend on, and unpacks all of it."""
        self.update()
        self.call("apt-get", "install", "--download-only", "--yes", "--no-install-recommends", "-qq",
                  *packages)
        archives = sorted((self.directory / "cache/archives").glob("*.deb"))
        for archive in archives:
            # A pipe to tar, and not dpkg-deb -x: that replaces links to directories by directories.
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
            run(["tar", "-xf", "-", "--keep-directory-symlink", "-C", str(target)], stdin=tar.stdout)
            tar.stdout.close()
            tar.wait()
            archive.unlink()

    def kernels(self, prefix):
        """Packages that hold cloud kernel images, newest first, with their versions."""
        self.update()
        found = []
        for line in self.call("apt-cache", "search", "--names-only",
                              r"^linux-(image|binary)-[0-9].*-cloud-" + self.architecture
                              + "$").splitlines():
            name = line.split(" ", 1)[0]
            version = name.split("-", 2)[2]
            if version.startswith(prefix) and "-rt" not in version:
                # where both exist for one version, "binary" holds the image
                key = (version_key(version), name.startswith("linux-binary-"))
                found.append((key, name, version))
        return [(name, version) for _, name, version in sorted(found, reverse=True)]


def version_key(version):
    return [int(part) if part.isdigit() else 0
            for part in version.replace("-", ".").replace("+", ".").split(".")]


def kernel(name):
    """Path of the kernel image, fetched when it is not in the cache."""
    directory = CACHE / "kernels" / name
    found = sorted(directory.glob("vmlinu*"))
    if found:
        return found[0]
    architecture, suites, prefix = KERNELS[name]
    failure = FetchError(f"no kernel {prefix or '(newest)'} for {architecture}")
    # A security suite's index may name a version its pool has dropped: then the release's own will do.
    for choice in (suites, suites[:1]):
        apt = PrivateApt(architecture, choice)
        try:
            candidate, version = next(iter(apt.kernels(prefix)), (None, None))
            if candidate:
                return kernel_from(apt, candidate, directory / f"vmlinuz-{version}")
        except FetchError as error:
            failure = error
    raise failure


def kernel_from(apt, candidate, target):
    unpacked = CACHE / "unpack"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True)
    apt.unpack(candidate, unpacked, "*/vmlinu*")
    images = sorted(unpacked.glob("**/vmlinu*"))
    if not images:
        raise FetchError(f"{candidate} holds no kernel image")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(images[0], target)
    shutil.rmtree(unpacked)
    return target


def package(name, architecture):
    """Directory with one package of the machine's own Debian release, unpacked."""
    target = CACHE / "packages" / architecture / name
    if not target.exists():
        apt = PrivateApt(architecture, SYSROOT_SUITES)
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        apt.unpack(name, partial)
        partial.rename(target)
    return target


def sysroot():
    """An arm64 tree with headers and libraries to build and run the product."""
    target = CACHE / "sysroot-arm64"
    stamp = target / ".complete"
    wanted = "\n".join(SYSROOT_PACKAGES)
    if stamp.exists() and stamp.read_text() == wanted:
        return target
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    apt = PrivateApt("arm64", SYSROOT_SUITES)
    apt.unpack_all(SYSROOT_PACKAGES, target)
    make_links_relative(target)
    stamp.write_text(wanted)
    return target


def make_links_relative(root):
    """Debian's libX.so may be a link to /lib/...: make it point into the tree instead."""
    for link in root.rglob("*"):
        if link.is_symlink() and os.readlink(link).startswith("/"):
            inside = root / os.readlink(link).lstrip("/")
            link.unlink()
            link.symlink_to(os.path.relpath(inside, link.parent))


def main(arguments):
    CACHE.mkdir(parents=True, exist_ok=True)
    commands = {("kernel", 1): kernel, ("package", 2): package, ("sysroot", 0): sysroot}
    command = commands.get((arguments[0], len(arguments) - 1)) if arguments else None
    if not command:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    try:
        print(command(*arguments[1:]))
    except FetchError as error:
        print(f"fetch: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
