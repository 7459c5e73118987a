/* SPDX-License-Identifier: Apache-2.0 */
/* Private to line_build.c: who gives the answers. */
#pragma once

#include "base/array.h"
#include "binary/elf_file.h"
#include "binary/line_dwarf.h"
#include "binary/line_output.h"

/* More of them are no program, but somebody who wants to keep the parser busy: the largest have some hundred thousand, and
 * libdw keeps a KiB of each that was looked at. */
#define LINE_MAX_UNITS (256U << 10)

/* Index of the first address >= `wanted`. */
size_t line_lower_bound(const uint64_t *addresses, size_t count, uint64_t wanted);

/* Units whose code .debug_aranges tells: offsets of their headers, sorted. Zero-initialise; array_free(). */
struct line_listed_units {
	ARRAY(Dwarf_Off) offsets;
};

/* units[i] becomes the offset of the entry of the unit that claims addresses[i] (sorted) in .debug_aranges, where it is
 * not 0 already and where there is one. Returns 0 or -ENOMEM. */
int line_aranges_assign(const struct line_dwarf *dwarf, const uint64_t *addresses, size_t count, Dwarf_Off *units,
			struct line_listed_units *listed);

/* Is the unit whose header is at `offset` among them? */
bool line_unit_is_listed(const struct line_listed_units *listed, Dwarf_Off offset);

/* Adds answers for `count` sorted distinct addresses of the unit whose entry is at `unit_offset`.
 * Returns 0 (damaged parts are left out) or -ENOMEM. */
int line_unit_answer(Dwarf *dwarf, Dwarf_Off unit_offset, const uint64_t *addresses, size_t count,
		     bool with_inlines, struct line_output *output);

/* Adds answers for the addresses that lie in Go code of the file, and sets answered[i] for them.
 * Returns 0 or -ENOMEM. */
int line_go_answer(const struct elf_file *elf, const uint64_t *addresses, size_t count,
		   bool with_inlines, bool *answered, struct line_output *output);
