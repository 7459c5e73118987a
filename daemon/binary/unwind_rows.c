/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collecting rows. Memory is bounded by the three limits below, about 350 MB at the very worst and
 * for the largest programs known (a browser) a tenth of it.
 */
#include "binary/unwind_rows.h"

#include <errno.h>

#define MAX_ROWS (32UL << 20) /* a capacity that doubling comes to */
#define MAX_RULES (1U << 16)

/* What is not used of them costs address space alone. */
#define MAX_EXPECTED_ROWS (1UL << 20)

static int find_rule(struct unwind_rows *rows, uint64_t rule_bits, uint32_t *ret_index)
{
	uint64_t *known = hash_get(&rows->rule_index, rule_bits);
	uint32_t index = known ? *known : rows->rules.count;
	if (!known) {
		if (index == MAX_RULES)
			return -E2BIG;
		if (array_add(&rows->rules, rule_bits) < 0 ||
		    hash_put(&rows->rule_index, rule_bits, index) < 0)
			return -ENOMEM;
	}
	*ret_index = index;
	return 0;
}

int unwind_rows_init(struct unwind_rows *rows, const struct elf_file *elf)
{
	*rows = (struct unwind_rows){.base = UINT64_MAX};
	Elf64_Phdr load;
	for (uint32_t i = 0; elf_file_segment(elf, i, &load); i++) {
		if (load.p_type != PT_LOAD || !(load.p_flags & PF_X) || load.p_offset >= elf->size)
			continue;
		struct unwind_segment segment = {load.p_vaddr,
						 MIN_OF(load.p_filesz, elf->size - load.p_offset),
						 load.p_offset};
		if (rows->segments.count == UNWIND_MAX_SEGMENTS)
			return -E2BIG;
		if (array_add(&rows->segments, segment) < 0)
			return -ENOMEM;
		rows->base = MIN_OF(rows->base, load.p_offset);
	}
	if (!rows->segments.count)
		return -ENODATA;
	rows->base &= ~(uint64_t)(UNWIND_PAGE_SIZE - 1);
	uint32_t none;
	return find_rule(rows, 0, &none);
}

void unwind_rows_free(struct unwind_rows *rows)
{
	array_free(&rows->segments);
	array_free(&rows->rows);
	array_free(&rows->ranges);
	array_free(&rows->rules);
	hash_free(&rows->rule_index);
}

static bool is_in(const struct unwind_segment *segment, uint64_t address)
{
	return address - segment->address < segment->size;
}

/* Mostly the one of the range before. */
static const struct unwind_segment *segment_of(struct unwind_rows *rows, uint64_t address)
{
	const struct unwind_segment *segments = rows->segments.items;
	if (is_in(&segments[rows->last_segment], address))
		return &segments[rows->last_segment];
	for (size_t i = 0; i < rows->segments.count; i++)
		if (is_in(&segments[i], address)) {
			rows->last_segment = i;
			return &segments[i];
		}
	return NULL;
}

int unwind_rows_expect(struct unwind_rows *rows, size_t count)
{
	count = MIN_OF(count, MAX_EXPECTED_ROWS);
	count = MIN_OF(count, MAX_ROWS - rows->rows.count);
	return array_reserve(&rows->rows, rows->rows.count + count);
}

bool unwind_rows_begin(struct unwind_rows *rows, uint64_t address, uint64_t size,
		       enum unwind_source source)
{
	const struct unwind_segment *segment = segment_of(rows, address);
	if (!segment || !size)
		return false;
	uint64_t skip = address - segment->address;
	uint64_t start = segment->offset - rows->base + skip;
	size = MIN_OF(size, segment->size - skip);
	if (start >= UINT32_MAX || size > UINT32_MAX - start)
		return false;
	rows->range.start = start;
	rows->range.end = start + size;
	rows->range.first_row = rows->rows.count;
	rows->range.source = source;
	rows->address = address;
	rows->size = size;
	rows->last_rule = UINT64_MAX;
	return true;
}

int unwind_rows_rule(struct unwind_rows *rows, uint64_t rule_bits, uint32_t *ret_index)
{
	/* Nothing cached reads as rule 0 at index 0, which is true. */
	struct unwind_cached_rule *cached = unwind_rows_cached(rows, rule_bits);
	if (cached->rule == rule_bits) {
		*ret_index = cached->index;
		return 0;
	}
	int r = find_rule(rows, rule_bits, ret_index);
	if (r == 0)
		*cached = (struct unwind_cached_rule){rule_bits, *ret_index};
	return r;
}

int unwind_rows_add_with_room(struct unwind_rows *rows, uint64_t address, uint64_t rule_bits)
{
	uint32_t index;
	if (rows->rows.count == MAX_ROWS)
		return -E2BIG;
	int r = unwind_rows_rule(rows, rule_bits, &index);
	if (r == 0)
		r = array_reserve(&rows->rows, rows->rows.count + 1);
	return r < 0 ? r : unwind_rows_add_bits(rows, address, rule_bits);
}

int unwind_rows_end(struct unwind_rows *rows)
{
	rows->range.row_count = rows->rows.count - rows->range.first_row;
	if (!rows->range.row_count)
		return 0;
	if (rows->ranges.count == UNWIND_MAX_RANGES)
		return -E2BIG;
	return array_add(&rows->ranges, rows->range);
}

int unwind_rows_fail(struct unwind_rows *rows)
{
	rows->rows.count = rows->range.first_row;
	rows->last_rule = UINT64_MAX;
	int r = unwind_rows_add(rows, rows->address, (struct unwind_rule){.kind = RULE_NONE});
	return r < 0 ? r : unwind_rows_end(rows);
}

int unwind_rows_add_range(struct unwind_rows *rows, uint64_t address, uint64_t size,
			  enum unwind_source source, struct unwind_rule rule)
{
	if (!unwind_rows_begin(rows, address, size, source))
		return 0;
	int r = unwind_rows_add(rows, address, rule);
	return r < 0 ? r : unwind_rows_end(rows);
}
