# SPDX-License-Identifier: Apache-2.0
"""
Builds a C program with every allocator that this machine has: shared, preloaded and static.
"""

import pathlib
import shutil
import subprocess

LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")

ASKED_FOR = ("reallocarray", "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t",
             "_ZnamSt11align_val_tRKSt9nothrow_t", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvRKSt9nothrow_t",
             "_ZdlPvSt11align_val_t", "_ZdlPvmSt11align_val_t")


class Build:
    """A program, how it is started, and in which of its files its allocator is."""

    def __init__(self, name, kind, program, pattern, preload=None):
        self.name, self.kind, self.program = name, kind, program
        self.pattern, self.preload = pattern, preload

    def environment(self):
        return {"LD_PRELOAD": self.preload} if self.preload else {}


def library(name):
    for directory in LIBRARIES:
        path = pathlib.Path(directory) / name
        if path.exists():
            return str(path.resolve())
    return None


def compiled(directory, name, command):
    """The program's path, or None when the machine cannot build it."""
    program = pathlib.Path(directory) / name
    if not shutil.which(command[0]):
        return None
    done = subprocess.run([*command, "-o", program], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False)
    return str(program) if done.returncode == 0 else None


def builds(source, directory, options=()):
    """Yields (name, Build or None); None: this machine lacks what it takes."""
    flags = ["-O2", "-g", "-fno-builtin", *options, str(source)]
    static = ["-static", "-DLINKED_STATICALLY"]
    # Nobody else asks the linker for them.
    asked = [f"-Wl,-u,{name}" for name in ASKED_FOR]
    shared = compiled(directory, "shared", ["gcc", *flags, "-ldl"])
    yield "glibc", shared and Build("glibc", "glibc", shared, "libc.so.6")
    # Its operators are libstdc++'s, over glibc.
    program = compiled(directory, "cpp", ["g++", "-x", "c", *flags, "-x", "none",
                                         "-Wl,--no-as-needed", "-lstdc++", "-ldl"])
    yield "C++ over glibc", program and Build("C++ over glibc", "glibc", program, "libc.so.6")
    for kind, file in (("jemalloc", "libjemalloc.so.2"), ("gperftools", "libtcmalloc_minimal.so.4"),
                       ("mimalloc", "libmimalloc.so.2.0")):
        path = library(file)
        yield kind, shared and path and Build(kind, kind, shared, pathlib.Path(path).name, path)
    for name, kind, command in (
            ("static glibc", "glibc", ["gcc", *static, *flags, *asked[:1]]),
            ("static jemalloc", "jemalloc",
             ["g++", *static, "-x", "c", *flags, "-x", "none", *asked, "-ljemalloc", "-lpthread",
              "-lm"]),
            ("static gperftools", "gperftools",
             ["g++", *static, "-x", "c", *flags, "-x", "none", *asked, "-ltcmalloc_minimal",
              "-lpthread"]),
            ("musl", "musl", ["musl-gcc", *flags]),
            ("static musl", "musl", ["musl-gcc", *static, *flags, *asked[:1]])):
        program = compiled(directory, name.replace(" ", "_"), command)
        pattern = "musl/libc.so" if name == "musl" else "/" + name.replace(" ", "_")
        yield name, program and Build(name, kind, program, pattern)
