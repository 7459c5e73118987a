/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file's DWARF, opened with libdw, which decompresses every section it knows when it opens a file: here those that
 * no line and no inlined call needs are left out, and the others decompressed faster. For the parser child only,
 * as mapped_elf.h.
 */
#pragma once

#include "binary/mapped_elf.h"

#include <elfutils/libdw.h>

struct line_dwarf {
	struct mapped_elf file;
	Elf *elf;
	Dwarf *dwarf; /* valid until closed */
};

/* The descriptor stays the caller's. Returns 0, -ENODATA (no DWARF), or what mapped_elf_open() says; close it
 * in any case. */
int line_dwarf_open(int fd, struct line_dwarf *ret);
void line_dwarf_close(struct line_dwarf *dwarf);
#define _cleanup_line_dwarf_ _cleanup_(line_dwarf_close)
