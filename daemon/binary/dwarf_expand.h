/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The debug sections of a file that has them compressed, decompressed in a file of their own: kept in the cache, so
 * that a question about lines reads the pages it needs instead of decompressing everything again.
 */
#pragma once

#include "base/text.h"
#include "binary/elf_file.h"

/* What there is decompressed at most; a file with more is decompressed each time. */
#define DWARF_EXPANDED_LIMIT (64UL << 20)

/* Do lines, functions and calls need the debug section of this name? False of other sections too. */
bool dwarf_needs_section(const char *name);

/* Writes an ELF file with what lines need. Returns 0, -ENODATA (nothing in it is compressed, it would be past the
 * limit, its lines come from Go's table, or it is a 32-bit file), -EBADMSG, -ENOTSUP or -ENOMEM. */
int dwarf_expand(const struct elf_file *elf, struct text *ret);
