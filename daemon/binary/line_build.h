/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source lines and inlined functions from Go's function table and DWARF 2 to 5, for a batch of
 * addresses. Runs in the parser child, which can open nothing: only the two descriptors are read
 * (libdw may try to open other files, such as .dwo, and finds that it can't).
 */
#pragma once

#include "base/text.h"

/*
 * `addresses`: `count` ELF virtual addresses, sorted ascending. `supplementary_fd` is dwz's
 * .gnu_debugaltlink file, or -1. With `with_inlines` an answer has a frame for each inlined call;
 * without it, one: the function that has the machine code, with the line that is executed in it.
 * `artifact` receives a whole ARTIFACT_LINES. Returns 0, -EBADMSG (no ELF file), -ENODATA (neither
 * DWARF nor Go's table) or -ENOMEM. Damaged units are skipped: their addresses have no answer.
 */
int line_build(int dwarf_fd, int supplementary_fd, const uint64_t *addresses, size_t count,
	       bool with_inlines, struct text *artifact);
