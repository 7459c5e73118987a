/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C libraries such as musl have no call frame information, nor have the start files of compilers and
 * much assembly. What is left of the executable sections when the described ranges are taken away, in
 * units of 16 bytes, is followed from where functions start (unwind_starts.h).
 *
 * Most files have a few hundred such bytes, so only what costs little is done for all of them. Large stretches
 * in large files are not followed; where they keep frame pointers, these lead to the callers.
 */
#include "binary/unwind_gaps.h"

#include "binary/unwind_flow.h"
#include "binary/unwind_frame_setup.h"
#include "binary/unwind_starts.h"

#include <errno.h>
#include <string.h>

#define UNIT_SHIFT 4
#define UNIT (1U << UNIT_SHIFT)
#define LEAST_GAP UNIT
#define START_FILE_SIZE 256 /* the largest .init or .fini that is taken for one */
#define FEW_BYTES (256U << 10) /* libraries with loops in assembly have about as much */
/* A file with more of such code is left alone: its frames would be few among many, and its table late for
 * all. musl has 400 KiB. */
#define MAX_CODE (512U << 10)
#define ANY_CODE (64U << 20) /* for UNWIND_GAPS_ALL: some GB of memory */

struct gaps {
	const struct elf_file *elf;
	struct unwind_rows *rows;
	uint64_t *described; /* a bit for each unit, by offset from rows->base */
	uint32_t units;
	uint64_t described_size;
	bool all; /* follow code that is not worth it too */
	uint64_t section_budget; /* bytes of sections that may still be looked at */
	struct flow flow;
};

/* The executable code's end, as ranges count. */
static uint32_t end_of_code(const struct unwind_rows *rows)
{
	uint64_t end = 0;
	for (size_t i = 0; i < rows->segments.count; i++) {
		const struct unwind_segment *segment = &rows->segments.items[i];
		end = MAX_OF(end, segment->offset + segment->size - rows->base);
	}
	return MIN_OF(end, (uint64_t)UINT32_MAX);
}

static inline void mark_units(uint64_t *bits, uint32_t first, uint32_t last)
{
	uint64_t from = ~0ULL << first % 64, to = ~0ULL >> (63 - last % 64);
	uint32_t word = first / 64, last_word = last / 64;
	for (; word < last_word; word++) {
		bits[word] |= from;
		from = ~0ULL;
	}
	bits[word] |= from & to;
}

/* The first unit from `unit` on that is described, or is not; g->units when there is none. */
static uint64_t next_unit(const struct gaps *g, uint64_t unit, bool described)
{
	uint64_t flip = described ? 0 : ~0ULL;
	if (unit >= g->units)
		return g->units;
	uint64_t word = unit / 64, words = g->units / 64 + 1UL;
	uint64_t bits = (g->described[word] ^ flip) & ~0ULL << unit % 64;
	while (!bits && ++word < words)
		bits = g->described[word] ^ flip;
	return bits ? MIN_OF(word * 64 + (unsigned)__builtin_ctzll(bits), (uint64_t)g->units) : g->units;
}

static int mark_described(struct gaps *g)
{
	const struct unwind_rows *rows = g->rows;
	g->units = (end_of_code(rows) >> UNIT_SHIFT) + 1;
	g->described = calloc(g->units / 64 + 1, sizeof(*g->described));
	if (!g->described)
		return -ENOMEM;
	/* Ranges that overlap a lot must not cost more than the file is large: 64 GiB of bits. */
	uint64_t budget = 1ULL << 32;
	for (size_t i = 0; i < rows->ranges.count; i++) {
		const struct unwind_range *range = &rows->ranges.items[i];
		uint32_t size = range->end - range->start;
		if (!unwind_range_describes(range) || !size || size > budget)
			continue;
		budget -= size;
		g->described_size += size;
		mark_units(g->described, range->start >> UNIT_SHIFT,
			   MIN_OF((range->end - 1) >> UNIT_SHIFT, g->units - 1));
	}
	return 0;
}

/* The gaps of one section or segment. */
static int add_gaps(struct gaps *g, uint64_t address, uint64_t offset, uint64_t size)
{
	const unsigned char *bytes = elf_file_range(g->elf, offset, size);
	int r = 0;
	if (!bytes || offset < g->rows->base)
		return 0;
	/* Positions count from rows->base here. */
	uint64_t first = offset - g->rows->base, last = first + size;
	uint64_t unit = next_unit(g, first >> UNIT_SHIFT, false);
	while (unit < g->units && unit << UNIT_SHIFT < last && r == 0) {
		uint64_t stop = next_unit(g, unit, true);
		uint64_t start = MAX_OF(unit << UNIT_SHIFT, first), end = MIN_OF(stop << UNIT_SHIFT, last);
		if (end - start >= LEAST_GAP)
			r = code_map_add(&g->flow.code, address + (start - first), bytes + (start - first),
					 end - start);
		unit = next_unit(g, stop, false);
	}
	return r;
}

static bool is_code(const Elf64_Shdr *section)
{
	return (section->sh_flags & SHF_EXECINSTR) && (section->sh_flags & SHF_ALLOC) &&
	       section->sh_type == SHT_PROGBITS;
}

/* .init and .fini: the compiler's start files put a function of a few bytes there, without a description. */
static bool is_of_start_files(const struct gaps *g, const Elf64_Shdr *section)
{
	const char *name = elf_file_section_name(g->elf, section);
	return section->sh_size <= START_FILE_SIZE && (!strcmp(name, ".init") || !strcmp(name, ".fini"));
}

/* A small section as a whole: the unit that it begins in may be a described function's, too. */
static int add_section(struct gaps *g, const Elf64_Shdr *section)
{
	const unsigned char *bytes = elf_file_range(g->elf, section->sh_offset, section->sh_size);
	return bytes && section->sh_size ? code_map_add(&g->flow.code, section->sh_addr, bytes, section->sh_size) : 0;
}

/* Sections that do not overlap have no more bytes than the file. Those of a damaged one may all be the same
 * bytes at other addresses: they must not be searched as often as there are sections. */
static int add_section_gaps(struct gaps *g, const Elf64_Shdr *section)
{
	if (section->sh_size > g->section_budget)
		return 0;
	g->section_budget -= section->sh_size;
	return is_of_start_files(g, section) ? add_section(g, section)
					     : add_gaps(g, section->sh_addr, section->sh_offset, section->sh_size);
}

static int find_gaps(struct gaps *g)
{
	Elf64_Shdr section;
	int r = 0;
	bool any = false;
	for (uint32_t i = 0; r == 0 && elf_file_section(g->elf, i, &section); i++) {
		if (!is_code(&section))
			continue;
		any = true;
		r = add_section_gaps(g, &section);
	}
	for (size_t i = 0; r == 0 && !any && i < g->rows->segments.count; i++) {
		const struct unwind_segment *segment = &g->rows->segments.items[i];
		r = add_gaps(g, segment->address, segment->offset, segment->size);
	}
	code_map_order(&g->flow.code);
	return r;
}

/* ---- Rows ----------------------------------------------------------------------------------------- */

/* The steps within one stretch of code; between them nothing is known. */
static int add_rows(struct gaps *g, const struct code_stretch *code, size_t *next)
{
	static const struct unwind_rule none = {.kind = RULE_NONE};
	uint64_t end = code->address, stop = code->address + code->size;
	const struct flow_step *steps = g->flow.steps.items;
	size_t count = g->flow.steps.count;
	int r = 0;
	if (*next == count || steps[*next].address >= stop ||
	    !unwind_rows_begin(g->rows, code->address, code->size, UNWIND_FROM_FLOW))
		return 0;
	for (; *next < count && steps[*next].address < stop && r == 0; (*next)++) {
		const struct flow_step *step = &steps[*next];
		if (step->address > end)
			r = unwind_rows_add(g->rows, end, none);
		if (r == 0)
			r = unwind_rows_add(g->rows, step->address, flow_rule(step));
		end = MAX_OF(end, step->address + step->length);
	}
	if (r == 0 && end < stop)
		r = unwind_rows_add(g->rows, end, none);
	return r < 0 ? r : unwind_rows_end(g->rows);
}

/* Is it worth its time? All other tables wait meanwhile: a few gaps in any file, many only in one that
 * consists of them, as a C library without CFI does. */
static bool is_worth_following(const struct gaps *g)
{
	uint64_t code = 0;
	for (size_t i = 0; i < g->rows->segments.count; i++)
		code += g->rows->segments.items[i].size;
	return !g->flow.code.too_much && (g->all || g->flow.code.size <= FEW_BYTES || g->flow.code.size >= code / 4);
}

static int add_frame_pointers(struct gaps *g)
{
	int r = 0;
	for (size_t i = 0; i < g->flow.code.stretches.count && r == 0; i++) {
		const struct code_stretch *code = &g->flow.code.stretches.items[i];
		if (unwind_keeps_frame_pointers(code->bytes, code->size))
			r = unwind_rows_add_range(g->rows, code->address, code->size,
						  UNWIND_FROM_FRAME_SETUP,
						  (struct unwind_rule){.kind = RULE_FRAME_POINTER});
	}
	return r;
}

static int follow_gaps(struct gaps *g)
{
	size_t next = 0;
	int r = flow_begin(&g->flow);
	if (r == 0)
		r = unwind_starts_add(g->elf, g->rows, g->described_size, &g->flow);
	if (r == 0)
		r = flow_follow(&g->flow);
	if (r < 0)
		return r;
	r = flow_sort(&g->flow);
	for (size_t i = 0; i < g->flow.code.stretches.count && r == 0; i++)
		r = add_rows(g, &g->flow.code.stretches.items[i], &next);
	return r;
}

static int read_gaps(struct gaps *g)
{
	int r = find_gaps(g);
	if (r < 0 || !g->flow.code.stretches.count)
		return r;
	return is_worth_following(g) ? follow_gaps(g) : add_frame_pointers(g);
}

int unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
		     struct unwind_rows *rows)
{
	bool all = effort == UNWIND_GAPS_ALL;
	struct gaps gaps = {.elf = elf,
			    .rows = rows,
			    .all = all,
			    .section_budget = elf->size,
			    .flow.code.max_size = all ? ANY_CODE : MAX_CODE,
			    .flow.code.least_past_max = UNWIND_LEAST_FRAME_SETUPS};
	if (elf->machine != EM_X86_64)
		return 0;
	int r = mark_described(&gaps);
	if (r == 0)
		r = read_gaps(&gaps);
	flow_free(&gaps.flow);
	free(gaps.described);
	return r;
}
