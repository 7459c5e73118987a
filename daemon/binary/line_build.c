/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns one batch of line queries: Go's table answers for Go code (line_go.c); for the rest the DWARF is
 * opened with libdw, every address is given its unit, and each unit answers for its own (line_unit.c).
 *
 * libdw's own way (dwarf_addrdie + dwarf_getscopes for each address) walks the unit's whole tree
 * again for every address. Here addresses are grouped by unit first, and each unit's tree is walked
 * once for all of them.
 */
#include "binary/line_build.h"
#include "binary/artifact.h"
#include "binary/line_dwarf.h"
#include "binary/line_unit.h"
#include "binary/mapped_elf.h"

#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

/* A unit's header and one entry without attributes (DWARF 4, section 7.5.1.1): what is shorter is none, and zeros would
 * be a unit for each four bytes. */
#define LEAST_UNIT_SIZE 12

struct batch {
	Dwarf *dwarf;
	const uint64_t *addresses;
	size_t count;
	uint64_t *left; /* of them, those Go's table does not know */
	Dwarf_Off *units; /* for each address: offset of its unit's entry, 0: none */
	struct line_listed_units listed;
	struct line_output output;
};

static bool all_assigned(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (!b->units[i])
			return false;
	return true;
}

static void assign_range(struct batch *b, uint64_t low, uint64_t high, Dwarf_Off die)
{
	for (size_t i = line_lower_bound(b->addresses, b->count, low);
	     i < b->count && b->addresses[i] < high; i++)
		if (!b->units[i])
			b->units[i] = die;
}

/* What .debug_aranges did not cover (clang writes none): the ranges of the entry of every unit that is not listed
 * there. */
static void assign_from_units(struct batch *b)
{
	Dwarf_Off offset = 0, next;
	size_t header_size;
	for (uint32_t i = 0; i < LINE_MAX_UNITS; i++) {
		Dwarf_Die unit;
		if (dwarf_nextcu(b->dwarf, offset, &next, &header_size, NULL, NULL, NULL) != 0 ||
		    next < offset + LEAST_UNIT_SIZE)
			return;
		if (!line_unit_is_listed(&b->listed, offset) &&
		    dwarf_offdie(b->dwarf, offset + header_size, &unit)) {
			Dwarf_Addr base, low, high;
			ptrdiff_t cursor = 0;
			while ((cursor = dwarf_ranges(&unit, cursor, &base, &low, &high)) > 0)
				assign_range(b, low, high, offset + header_size);
		}
		offset = next;
	}
}

static int answer_units(struct batch *b, bool with_inlines)
{
	/* Units are often interleaved in the address space only a little: visit the addresses in
	 * order, and let each unit answer all of its own the first time it is met. */
	_cleanup_free_ uint64_t *own = malloc(b->count * sizeof(*own));
	_cleanup_free_ bool *done = calloc(b->count, sizeof(*done));
	if (!own || !done)
		return -ENOMEM;
	for (size_t i = 0; i < b->count; i++) {
		if (done[i] || !b->units[i])
			continue;
		size_t count = 0;
		for (size_t k = i; k < b->count; k++) {
			if (b->units[k] != b->units[i])
				continue;
			done[k] = true;
			if (count == 0 || own[count - 1] != b->addresses[k])
				own[count++] = b->addresses[k];
		}
		int r = line_unit_answer(b->dwarf, b->units[i], own, count, with_inlines,
					 &b->output);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The addresses that Go's table does not answer for are left, in a list of the batch's own. */
static int answer_go(struct batch *b, int fd, bool with_inlines)
{
	_cleanup_mapped_elf_ struct mapped_elf file;
	_cleanup_free_ bool *answered = calloc(MAX_OF(b->count, 1u), sizeof(*answered));
	b->left = malloc(MAX_OF(b->count, 1u) * sizeof(*b->left));
	int r = mapped_elf_open(fd, &file);
	if (!b->left || !answered)
		return -ENOMEM;
	if (r < 0)
		return -EBADMSG;
	r = line_go_answer(&file.elf, b->addresses, b->count, with_inlines, answered, &b->output);
	size_t left = 0;
	for (size_t i = 0; i < b->count; i++)
		if (!answered[i])
			b->left[left++] = b->addresses[i];
	b->addresses = b->left;
	b->count = left;
	return r;
}

/* Is it the file that the DWARF refers to? libdw takes what it is given. */
static bool is_supplementary(int supplementary_fd, int dwarf_fd)
{
	_cleanup_mapped_elf_ struct mapped_elf file = {0}, shared = {0};
	_cleanup_elf_data_ struct elf_data link = {0};
	const char *path;
	const unsigned char *wanted;
	size_t wanted_size, size;
	if (mapped_elf_open(dwarf_fd, &file) < 0 || mapped_elf_open(supplementary_fd, &shared) < 0 ||
	    elf_file_supplementary(&file.elf, &link, &path, &wanted, &wanted_size) < 0)
		return false;
	const unsigned char *id = elf_file_find_note(&shared.elf, "GNU", NT_GNU_BUILD_ID, &size);
	return id && size == wanted_size && !memcmp(id, wanted, size);
}

static int answer_dwarf(struct batch *b, int dwarf_fd, int supplementary_fd, bool with_inlines)
{
	_cleanup_line_dwarf_ struct line_dwarf own = {0}, supplementary = {0};
	b->units = calloc(MAX_OF(b->count, 1u), sizeof(*b->units));
	if (!b->units)
		return -ENOMEM;
	if (line_dwarf_open(dwarf_fd, &own) < 0)
		return -ENODATA;
	b->dwarf = own.dwarf;
	if (supplementary_fd >= 0 && is_supplementary(supplementary_fd, dwarf_fd) &&
	    line_dwarf_open(supplementary_fd, &supplementary) == 0)
		dwarf_setalt(b->dwarf, supplementary.dwarf);
	int r = line_aranges_assign(&own, b->addresses, b->count, b->units, &b->listed);
	if (r < 0)
		return r;
	if (!all_assigned(b))
		assign_from_units(b);
	return answer_units(b, with_inlines);
}

static int answer_batch(struct batch *b, int dwarf_fd, int supplementary_fd, bool with_inlines)
{
	int r = answer_go(b, dwarf_fd, with_inlines);
	if (r < 0 || (b->count == 0 && b->output.answers.count > 0))
		return r;
	r = answer_dwarf(b, dwarf_fd, supplementary_fd, with_inlines);
	return r == -ENODATA && b->output.answers.count > 0 ? 0 : r;
}

int line_build(int dwarf_fd, int supplementary_fd, const uint64_t *addresses, size_t count,
	       bool with_inlines, struct text *artifact)
{
	struct batch b = {.addresses = addresses, .count = count};
	int r = answer_batch(&b, dwarf_fd, supplementary_fd, with_inlines);
	if (r == 0)
		r = line_output_finish(&b.output, artifact);
	line_output_free(&b.output);
	free(b.units);
	free(b.left);
	array_free(&b.listed.offsets);
	return r;
}
