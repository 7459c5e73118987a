/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the readers of unwind information (CFI, Go tables, code patterns) put what they find:
 * ranges of code, each with its rows. They come in any order and may overlap; unwind_layout.h makes
 * one sorted table of them.
 *
 * Addresses go in as ELF virtual addresses and are kept as 32-bit file offsets relative to `base`;
 * code that is in no executable load segment, or further than 4 GiB from the first one, is left out.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "binary/elf_file.h"
#include "bpf/wire.h"

/* Which reader a range comes from. Where ranges overlap the smaller value wins. */
enum unwind_source {
	UNWIND_FROM_CODE, /* recognised machine code: signal trampolines, entry stubs */
	UNWIND_FROM_EH_FRAME,
	UNWIND_FROM_GO,
	UNWIND_FROM_DEBUG_FRAME,
	UNWIND_FROM_ENTRY, /* machine code at the file's entry */
	UNWIND_FROM_FLOW,  /* machine code that was followed, where nothing else is */
	UNWIND_FROM_FRAME_SETUP, /* machine code that keeps frame pointers, and is too much to follow */
	UNWIND_SOURCES
};

/* Packed: there are millions, and what is not touched costs no time. */
struct unwind_row {
	uint32_t offset; /* relative to base */
	uint16_t rule;	 /* index into `rules` */
} __attribute__((packed, aligned(2)));

struct unwind_range {
	uint32_t start, end; /* relative to base */
	uint32_t first_row;
	uint32_t row_count : 28;
	uint32_t source : 4; /* enum unwind_source */
};

/* Was the code described by its makers? Otherwise it was only recognised. */
static inline bool unwind_range_describes(const struct unwind_range *range)
{
	return range->source != UNWIND_FROM_CODE && range->source != UNWIND_FROM_ENTRY;
}

#define UNWIND_MAX_RANGES (8U << 20)

/* Executable ones of a file: programs have one, some three. Each range's is searched for among them. */
#define UNWIND_MAX_SEGMENTS 64

struct unwind_segment {
	uint64_t address, size, offset;
};

/* Small and direct-mapped: a binary uses few rules, and the same ones again and again. */
#define UNWIND_RULE_CACHE_BITS 10

struct unwind_cached_rule {
	uint64_t rule;
	uint32_t index;
};

struct unwind_rows {
	uint64_t base; /* file offset */
	ARRAY(struct unwind_segment) segments; /* executable ones */
	ARRAY(struct unwind_row) rows;
	ARRAY(struct unwind_range) ranges;
	ARRAY(uint64_t) rules; /* struct unwind_rule as an integer; index 0 is RULE_NONE */
	struct hash rule_index;
	struct unwind_cached_rule cache[1 << UNWIND_RULE_CACHE_BITS];

	/* The open range; its row_count is set at its end. */
	struct unwind_range range;
	uint64_t address, size; /* of the range, clipped to its segment */
	uint64_t last_rule;
	uint32_t last_segment; /* that a range was in */
};

static inline uint64_t unwind_rule_bits(struct unwind_rule rule)
{
	uint64_t bits;
	_Static_assert(sizeof(bits) == sizeof(rule), "a rule is eight bytes");
	__builtin_memcpy(&bits, &rule, sizeof(bits));
	return bits;
}

static inline struct unwind_rule unwind_rule_of(uint64_t bits)
{
	struct unwind_rule rule;
	__builtin_memcpy(&rule, &bits, sizeof(rule));
	return rule;
}

/* Free with unwind_rows_free(), also after an error. Returns 0, -ENODATA when the file has no
 * executable segment, -E2BIG when it has more than UNWIND_MAX_SEGMENTS, or -ENOMEM. */
int unwind_rows_init(struct unwind_rows *rows, const struct elf_file *elf);
void unwind_rows_free(struct unwind_rows *rows);

/* Room for about as many more rows, which spares copying them as they grow in number. A file may claim any
 * number: a million at most count. Returns 0 or -ENOMEM. */
int unwind_rows_expect(struct unwind_rows *rows, size_t count);

/* Opens a range of code. False when nothing of it is executable: then add nothing to it. */
bool unwind_rows_begin(struct unwind_rows *rows, uint64_t address, uint64_t size,
		       enum unwind_source source);

/* Makes what unwind_rows_add() needs be there, and adds. Returns as that. */
int unwind_rows_add_with_room(struct unwind_rows *rows, uint64_t address, uint64_t rule_bits);

static inline struct unwind_cached_rule *unwind_rows_cached(struct unwind_rows *rows, uint64_t rule_bits)
{
	/* Kind, flags and offsets lie in different bytes: a multiplication brings them together. */
	return &rows->cache[rule_bits * 0x9e3779b97f4a7c15ULL >> (64 - UNWIND_RULE_CACHE_BITS)];
}

/* unwind_rows_add() by unwind_rule_bits(). In the header because it runs for every row. */
static inline int unwind_rows_add_bits(struct unwind_rows *rows, uint64_t address, uint64_t bits)
{
	uint64_t skip = address - rows->address;
	if (skip >= rows->size || bits == rows->last_rule)
		return 0;
	const struct unwind_cached_rule *cached = unwind_rows_cached(rows, bits);
	size_t count = rows->rows.count;
	if (cached->rule != bits || count == rows->rows.capacity)
		return unwind_rows_add_with_room(rows, address, bits);
	struct unwind_row row = {rows->range.start + skip, cached->index};
	struct unwind_row *next = &rows->rows.items[count];
	if (count > rows->range.first_row && row.offset <= next[-1].offset) {
		if (row.offset < next[-1].offset)
			return 0;
		next--;
		count--;
	}
	*next = row;
	rows->rows.count = count + 1;
	rows->last_rule = bits;
	return 0;
}

/*
 * What adding many rows to the open range needs of struct unwind_rows, for a loop that keeps it in
 * registers: between unwind_writer_open() and unwind_writer_close() nothing else adds rows.
 */
struct unwind_writer {
	struct unwind_row *next, *stop;
	uint64_t end;	     /* of the range, an offset */
	uint32_t last_index; /* UINT32_MAX: none yet, or RULE_NONE, which is no rule for unwind_writer_add() */
};

static inline struct unwind_writer unwind_writer_open(const struct unwind_rows *rows)
{
	struct unwind_row *next = rows->rows.items + rows->rows.count;
	uint32_t last = rows->rows.count == rows->range.first_row ? 0 : next[-1].rule;
	return (struct unwind_writer){next, rows->rows.items + rows->rows.capacity, rows->range.end,
				      last ? last : UINT32_MAX};
}

static inline void unwind_writer_close(const struct unwind_writer *w, struct unwind_rows *rows)
{
	rows->rows.count = w->next - rows->rows.items;
	if (w->last_index != UINT32_MAX)
		rows->last_rule = rows->rules.items[w->last_index];
}

/* Where an address of the range, or behind it, would be as an offset. */
static inline uint64_t unwind_writer_offset(const struct unwind_rows *rows, uint64_t address)
{
	return rows->range.start + (address - rows->address);
}

static inline uint64_t unwind_writer_address(const struct unwind_rows *rows, uint64_t offset)
{
	return rows->address + (offset - rows->range.start);
}

/* As unwind_rows_add(), by the index of another rule than the last one, behind all rows of the range. False:
 * there is no room. */
static inline bool unwind_writer_add(struct unwind_writer *w, uint64_t offset, uint32_t index)
{
	if (offset >= w->end)
		return true;
	if (w->next == w->stop)
		return false;
	w->next->offset = offset;
	w->next->rule = index;
	w->next++;
	w->last_index = index;
	return true;
}

/* From `address` on this rule holds. Addresses ascend within a range; a rule at the address of the
 * one before replaces it; one outside the range is ignored. Returns 0, -ENOMEM, or -E2BIG past the
 * limits of rows and rules. */
static inline int unwind_rows_add(struct unwind_rows *rows, uint64_t address, struct unwind_rule rule)
{
	return unwind_rows_add_bits(rows, address, unwind_rule_bits(rule));
}

/* Closes the range. Returns 0, -ENOMEM or -E2BIG. */
int unwind_rows_end(struct unwind_rows *rows);

/* Forgets the rows of the open range and says RULE_NONE for all of it. Returns as unwind_rows_end(). */
int unwind_rows_fail(struct unwind_rows *rows);

/* A range of one rule. */
int unwind_rows_add_range(struct unwind_rows *rows, uint64_t address, uint64_t size,
			  enum unwind_source source, struct unwind_rule rule);

/* Index of a rule, added when new. Returns 0, -ENOMEM or -E2BIG. */
int unwind_rows_rule(struct unwind_rows *rows, uint64_t rule_bits, uint32_t *ret_index);
