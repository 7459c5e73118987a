/* SPDX-License-Identifier: Apache-2.0 */
/* Private to line_build.c: who gives the answers. */
#pragma once

#include "binary/elf_file.h"
#include "binary/line_output.h"

#include <elfutils/libdw.h>

/* Index of the first address >= `wanted`. */
size_t line_lower_bound(const uint64_t *addresses, size_t count, uint64_t wanted);

/* Adds answers for `count` sorted distinct addresses of the unit whose entry is at `unit_offset`.
 * Returns 0 (damaged parts are left out) or -ENOMEM. */
int line_unit_answer(Dwarf *dwarf, Dwarf_Off unit_offset, const uint64_t *addresses, size_t count,
		     bool with_inlines, struct line_output *output);

/* Adds answers for the addresses that lie in Go code of the file, and sets answered[i] for them.
 * Returns 0 or -ENOMEM. */
int line_go_answer(const struct elf_file *elf, const uint64_t *addresses, size_t count,
		   bool with_inlines, bool *answered, struct line_output *output);
