#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Programs whose files are hostile to who parses them: 4 GB of nothing, headers that lie, contents that
change under the parser.

    test_binaries.py BOLOMETER WORKLOADS HOSTILE
"""

import contextlib
import os
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import threading
import time

from faults import count, expect, main, mark

SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
SHT_SYMTAB, SHF_EXECINSTR, STT_FUNC = 2, 4, 2
SEED = 20240521


class Program:
    """A copy of the harmless program under another name, to be damaged and run."""

    def __init__(self, faults, directory, name):
        self.path = pathlib.Path(directory) / name
        shutil.copy(faults.workloads / "split", self.path)

    @contextlib.contextmanager
    def running(self):
        with subprocess.Popen([self.path, "1000"], stdout=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    def sections(self):
        """(place of the header in the file, its fields), sh_offset is field 4 and sh_size 5."""
        data = self.path.read_bytes()
        start, = struct.unpack_from("<Q", data, 0x28)
        size, number = struct.unpack_from("<HH", data, 0x3a)
        return [(start + i * size, SECTION_HEADER.unpack_from(data, start + i * size))
                for i in range(number)]

    def claim_all(self, sections, size):
        """Each section ends where the file does."""
        self.write_sections([(place, (*fields[:5], size - fields[4], *fields[6:])) for place, fields in sections[1:]])

    def write_sections(self, sections):
        with open(self.path, "r+b") as file:
            for place, fields in sections:
                file.seek(place)
                file.write(SECTION_HEADER.pack(*fields))


def seen(result, name):
    """Samples of a damaged program: whatever is lost, each is there and says why it ends."""
    samples = result.named(name)
    expect(count(samples) > 50, f"{count(samples)} samples of {name}")
    return samples


def sparse_4_gb(faults):
    with tempfile.TemporaryDirectory() as directory:
        program = Program(faults, directory, "sparse")
        with open(program.path, "r+b") as file:
            file.truncate(4 << 30)
        with program.running():
            result = faults.record("--no-cache")
    samples = seen(result, "sparse")
    whole = count(s for s in samples if s.names[-1] == "_start")
    expect(whole >= 0.5 * count(samples), f"only {whole} of {count(samples)} complete")
    return faults.check(result)


def sections_of_4_gb(faults):
    """Every section claims all of a 4 GB file, whose holes would be memory if they were read. A file system
    that knows no holes leaves them all to the parser, and the kernel to take their pages back."""
    with tempfile.TemporaryDirectory() as directory:
        program = Program(faults, directory, "large")
        sections = program.sections()
        with open(program.path, "r+b") as file:
            file.truncate(4 << 30)
            has_holes = os.lseek(file.fileno(), 0, os.SEEK_HOLE) < 4 << 30
        program.claim_all(sections, 4 << 30)
        with program.running():
            result = faults.record("--no-cache")
    seen(result, "large")
    if has_holes:
        return faults.check(result)
    # The parser works on it for seconds, and the harmless program's table may have to wait.
    return faults.check(result, names=False, largest_rss=5 << 30)


def sections_of_written_zeros(faults):
    """The same where there are no holes: what the parser reads, it lets go."""
    size = 768 << 20
    with tempfile.TemporaryDirectory() as directory:
        program = Program(faults, directory, "zeros")
        sections = program.sections()
        with open(program.path, "ab") as file:
            while file.tell() < size:
                file.write(bytes(min(16 << 20, size - file.tell())))
        program.claim_all(sections, size)
        with program.running():
            result = faults.record("--no-cache")
    seen(result, "zeros")
    return faults.check(result)


def names_without_end(faults):
    """Every symbol is called by all that follows of 64 MiB of one letter."""
    with tempfile.TemporaryDirectory() as directory:
        program = Program(faults, directory, "endless")
        sections = program.sections()
        place, symbols = next(s for s in sections if s[1][1] == SHT_SYMTAB)
        code = next(fields for _, fields in sections if fields[2] & SHF_EXECINSTR)
        table = bytes(SYMBOL.size) + b"".join(SYMBOL.pack(1 + i, STT_FUNC, 0, 1, code[3] + i % code[5], 16)
                                              for i in range(100000))
        with open(program.path, "ab") as file:
            start = file.tell()
            file.write(table + b"A" * (64 << 20))
        link, names = sections[symbols[6]]
        program.write_sections([(place, (*symbols[:4], start, len(table), symbols[6], 1, *symbols[8:])),
                                (link, (*names[:4], start + len(table), 64 << 20, *names[6:]))])
        with program.running():
            result = faults.record("--no-cache")
    samples = seen(result, "endless")
    longest = max(len(name) for s in samples for name in s.names)
    expect(longest < 1 << 16, f"a name of {longest} bytes")
    return faults.check(result)


LIES = [0, 1, 7, 1 << 12, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1]


def sections_that_lie(faults):
    """A dozen copies with every offset, size, link and entry size drawn from bad numbers."""
    draw = random.Random(SEED)
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as stack:
        for number in range(12):
            program = Program(faults, directory, f"liar-{number}")
            program.write_sections([
                (place, (fields[0], fields[1], fields[2], fields[3],
                         fields[4] if draw.random() < 0.7 else draw.choice(LIES),
                         fields[5] if draw.random() < 0.3 else draw.choice(LIES),
                         fields[6] if draw.random() < 0.7 else draw.randrange(1 << 32), *fields[7:9],
                         fields[9] if draw.random() < 0.7 else draw.choice(LIES)))
                for place, fields in program.sections()])
            stack.enter_context(program.running())
        result = faults.record("--no-cache", seconds=3)
    liars = [s for s in result.profile.samples
             if s.labels.get("process.executable.name", "").startswith("liar-")]
    expect(count(liars) > 100, f"{count(liars)} samples of the liars")
    ended = count(s for s in liars if mark(s))
    return f"{faults.check(result)}; {ended} of {count(liars)} of the liars' stacks end early and say so"


def replaced_while_it_is_parsed(faults):
    """Hundreds of versions one after the other, each started, with one build id for two contents."""
    with tempfile.TemporaryDirectory() as directory:
        program, other = Program(faults, directory, "changing"), pathlib.Path(directory) / "other"
        copy = pathlib.Path(directory) / "copy"
        subprocess.run(["objcopy", "--redefine-sym=split_leaf=other_leaf", program.path, other], check=True)
        stop, versions = threading.Event(), [0]

        def replace():
            while not stop.is_set():
                shutil.copy(other if versions[0] % 2 else faults.workloads / "split", copy)
                os.rename(copy, program.path)
                subprocess.run([program.path, "0.005"], stdout=subprocess.DEVNULL, check=True)
                versions[0] += 1

        thread = threading.Thread(target=replace)
        thread.start()
        try:
            result = faults.record("--no-cache")
        finally:
            stop.set()
            thread.join()
    seen(result, "changing")
    return f"{faults.check(result)}, {versions[0]} versions"


def overwritten_while_it_is_parsed(faults):
    """A library written in place, which nothing forbids: sizes and contents move under the parser."""
    with tempfile.TemporaryDirectory() as directory:
        library = pathlib.Path(directory) / "moving.so"
        good = (faults.workloads / "libreload_first.so").read_bytes()
        library.write_bytes(good)
        stop = threading.Event()

        def overwrite():
            draw = random.Random(SEED)
            # the code and what the loader needs stay; the section headers and debug sections do not
            first = good.find(b".symtab") - 4096
            while not stop.is_set():
                with open(library, "r+b") as file:
                    file.seek(draw.randrange(first, len(good)))
                    file.write(draw.randbytes(64))
                    if draw.random() < 0.1:
                        file.truncate(draw.randrange(first, len(good)))
                        time.sleep(0.001)
                        file.seek(0)
                        file.write(good)

        thread = threading.Thread(target=overwrite)
        with faults.victim("library", library, "first_library_work"):
            thread.start()
            try:
                result = faults.record("--no-cache")
            finally:
                stop.set()
                thread.join()
    samples = seen(result, "hostile")
    return f"{faults.check(result)}; {count(s for s in samples if mark(s))} of {count(samples)} end early"


if __name__ == "__main__":
    main([sparse_4_gb, sections_of_4_gb, sections_of_written_zeros, names_without_end, sections_that_lie,
          replaced_while_it_is_parsed, overwritten_while_it_is_parsed])
