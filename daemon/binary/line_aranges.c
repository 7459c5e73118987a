/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .debug_aranges is a list of sets, one for each unit: a header and the ranges of its code (DWARF 5, section 6.1.2).
 * libdw's dwarf_getaranges() keeps and sorts all of them, and opens every unit on the way; here only what holds a
 * queried address is looked at further.
 */
#include "binary/cursor.h"
#include "binary/line_unit.h"

#include <errno.h>
#include <gelf.h>
#include <stdlib.h>

#define LONG_FORMAT 0xffffffffU /* 64-bit DWARF: the length follows in 8 bytes */
#define ADDRESS_SIZE 8

struct arange_set {
	struct cursor ranges;
	uint64_t unit; /* offset of its header in .debug_info */
};

/* Returns false at the end, or where the rest makes no sense. */
static bool next_set(struct cursor *c, struct arange_set *ret)
{
	const unsigned char *start = c->at;
	uint64_t length = cursor_u32(c);
	bool is_long = length == LONG_FORMAT;
	if (is_long)
		length = cursor_u64(c);
	const unsigned char *body = cursor_take(c, length);
	if (!body || c->failed)
		return false;
	struct cursor set = cursor_over(body, length);
	uint16_t version = cursor_u16(&set);
	ret->unit = is_long ? cursor_u64(&set) : cursor_u32(&set);
	uint8_t address_size = cursor_u8(&set), segment_size = cursor_u8(&set);
	if (version != 2 || address_size != ADDRESS_SIZE || segment_size != 0)
		set.failed = true;
	/* Ranges are aligned to their own size, from the start of the set. */
	cursor_take(&set, -(uint64_t)(set.at - start) % (2 * ADDRESS_SIZE));
	ret->ranges = set;
	return true;
}

/* The section's bytes; empty where there is none, or where it is still compressed. */
static struct cursor find_aranges(Elf *elf)
{
	size_t names;
	Elf_Scn *section = NULL;
	if (elf_getshdrstrndx(elf, &names) != 0)
		return cursor_over(NULL, 0);
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS ||
		    header.sh_flags & SHF_COMPRESSED)
			continue;
		const char *name = elf_strptr(elf, names, header.sh_name);
		if (!name || strcmp(name, ".debug_aranges") != 0)
			continue;
		const Elf_Data *data = elf_rawdata(section, NULL);
		return data && data->d_buf ? cursor_over(data->d_buf, data->d_size) : cursor_over(NULL, 0);
	}
	return cursor_over(NULL, 0);
}

/* Offset of the entry of the unit whose header is at `offset`; 0: there is none. */
static Dwarf_Off entry_of_unit(Dwarf *dwarf, uint64_t offset)
{
	Dwarf_Off next;
	size_t header_size;
	return dwarf_nextcu(dwarf, offset, &next, &header_size, NULL, NULL, NULL) == 0 ? offset + header_size : 0;
}

/* Returns whether the set tells of any code. */
static bool assign_set(Dwarf *dwarf, struct arange_set *set, const uint64_t *addresses, size_t count,
		       Dwarf_Off *units)
{
	Dwarf_Off entry = 0;
	bool has_code = false;
	while (!set->ranges.failed && cursor_left(&set->ranges) >= 2 * ADDRESS_SIZE) {
		uint64_t low = cursor_u64(&set->ranges), size = cursor_u64(&set->ranges);
		has_code |= size != 0;
		for (size_t i = size ? line_lower_bound(addresses, count, low) : count;
		     i < count && addresses[i] - low < size; i++) {
			if (!entry)
				entry = entry_of_unit(dwarf, set->unit);
			if (!units[i])
				units[i] = entry;
		}
	}
	return has_code;
}

static int compare_offsets(const void *a, const void *b)
{
	Dwarf_Off x = *(const Dwarf_Off *)a, y = *(const Dwarf_Off *)b;
	return x < y ? -1 : x > y;
}

int line_aranges_assign(const struct line_dwarf *dwarf, const uint64_t *addresses, size_t count, Dwarf_Off *units,
			struct line_listed_units *listed)
{
	struct cursor section = find_aranges(dwarf->elf);
	struct arange_set set;
	for (uint32_t i = 0; i < LINE_MAX_UNITS && cursor_left(&section) && next_set(&section, &set); i++)
		if (assign_set(dwarf->dwarf, &set, addresses, count, units) &&
		    array_add(&listed->offsets, set.unit) < 0)
			return -ENOMEM;
	if (listed->offsets.count)
		qsort(listed->offsets.items, listed->offsets.count, sizeof(Dwarf_Off), compare_offsets);
	return 0;
}

bool line_unit_is_listed(const struct line_listed_units *listed, Dwarf_Off offset)
{
	return listed->offsets.count && bsearch(&offset, listed->offsets.items, listed->offsets.count,
						sizeof(offset), compare_offsets);
}
