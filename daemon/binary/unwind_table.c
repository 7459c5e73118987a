/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a finished table and searching it. The check makes every later access of the search, here
 * and on the BPF side, fall inside the body.
 */
#include "binary/unwind_table.h"

#include <errno.h>
#include <string.h>

static uint32_t read_index(const struct unwind_table *t, uint32_t page)
{
	uint32_t word;
	memcpy(&word, t->body + t->header->index_offset + 4ULL * page, sizeof(word));
	return word;
}

/* Row `i` counted from word `first`: page offset, and palette index. */
static uint32_t read_row(const struct unwind_table *t, uint32_t first, bool wide, int64_t i,
			 uint32_t *ret_palette)
{
	const char *rows = t->body + t->header->rows_offset + 2LL * first;
	if (wide) {
		uint32_t row;
		memcpy(&row, rows + 4 * i, sizeof(row));
		*ret_palette = row & ((1U << 23) - 1);
		return row >> 23;
	}
	uint16_t row;
	memcpy(&row, rows + 2 * i, sizeof(row));
	*ret_palette = row & (UNWIND_PALETTE_NARROW - 1);
	return row >> 7;
}

static bool part_fits(uint64_t offset, uint64_t size, size_t body_size)
{
	return offset % ARENA_UNIT == 0 && offset <= body_size && size <= body_size - offset;
}

static uint64_t chunk_of(const struct unwind_table *t, uint64_t word)
{
	return (t->header->rows_offset + 2 * word) / ARENA_CHUNK_SIZE;
}

/* One page's rows: inside the rows, sorted, in one chunk, with a row before them when needed. */
static bool page_is_sound(const struct unwind_table *t, uint32_t word)
{
	uint64_t first = word >> 9;
	bool wide = word & 0x100;
	uint32_t count = word & 0xff, width = wide ? 2 : 1, palette;
	uint64_t end = first + (uint64_t)count * width;
	if (end > t->header->row_words)
		return false;
	bool starts = count && read_row(t, first, wide, 0, &palette) == 0;
	if (!starts && first < width)
		return false;
	uint64_t begin = starts ? first : first - width;
	if (chunk_of(t, begin) != chunk_of(t, count ? end - 1 : first))
		return false;
	uint32_t previous = 0;
	for (int64_t i = starts ? 0 : -1; i < (int64_t)count; i++) {
		uint32_t offset = read_row(t, first, wide, i, &palette);
		if (palette >= t->header->palette_count || (i > 0 && offset <= previous))
			return false;
		previous = offset;
	}
	return true;
}

static bool palette_is_sound(const struct unwind_table *t)
{
	for (uint32_t i = 0; i < t->header->palette_count; i++) {
		struct unwind_rule rule;
		memcpy(&rule, t->body + t->header->palette_offset + 8ULL * i, sizeof(rule));
		if (rule.kind >= RULE_KIND_MAX)
			return false;
		if (rule.kind == RULE_CFA_SP && RULE_NUMBER(rule.flags) > RULE_MERGE_MINUS_AFTER_2)
			return false;
	}
	return true;
}

int unwind_table_check(const struct artifact *artifact, struct unwind_table *ret)
{
	struct unwind_table t = {0};
	size_t header_size;
	t.header = artifact_section(artifact, SECTION_UNWIND_HEADER, &header_size);
	t.body = artifact_section(artifact, SECTION_UNWIND_BODY, &t.body_size);
	if (!t.header && !t.body)
		return -ENODATA;
	if (!t.header || !t.body || header_size != sizeof(*t.header))
		return -EBADMSG;
	const struct unwind_table_header *h = t.header;
	if (!part_fits(h->index_offset, 4ULL * h->page_count, t.body_size) ||
	    !part_fits(h->rows_offset, 2ULL * h->row_words, t.body_size) ||
	    !part_fits(h->palette_offset, 8ULL * h->palette_count, t.body_size) ||
	    t.body_size % ARENA_UNIT || !h->palette_count || h->palette_count > UINT16_MAX ||
	    !palette_is_sound(&t))
		return -EBADMSG;
	for (uint32_t page = 0; page < h->page_count; page++)
		if (!page_is_sound(&t, read_index(&t, page)))
			return -EBADMSG;
	*ret = t;
	return 0;
}

/* A merged push or pop happens one or two bytes after the row's start. */
static void apply_merge(struct unwind_rule *rule, uint32_t distance)
{
	unsigned merge = RULE_NUMBER(rule->flags);
	if (rule->kind != RULE_CFA_SP || merge == RULE_MERGE_NONE)
		return;
	bool plus = merge <= RULE_MERGE_PLUS_AFTER_2;
	unsigned after = plus ? merge : merge - RULE_MERGE_PLUS_AFTER_2;
	if (distance >= after)
		rule->cfa_offset += plus ? 8 : -8;
	rule->flags &= 0x0f;
}

struct unwind_rule unwind_table_find(const struct unwind_table *t, uint64_t file_offset)
{
	struct unwind_rule rule = {.kind = RULE_NONE};
	uint64_t page = (file_offset >> UNWIND_PAGE_SHIFT) - t->header->first_page;
	if (file_offset >> UNWIND_PAGE_SHIFT < t->header->first_page ||
	    page >= t->header->page_count)
		return rule;
	uint32_t word = read_index(t, page);
	uint32_t first = word >> 9, low = 0, high = word & 0xff, palette;
	uint32_t offset = file_offset & (UNWIND_PAGE_SIZE - 1);
	bool wide = word & 0x100;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (read_row(t, first, wide, middle, &palette) <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	uint32_t start = read_row(t, first, wide, (int64_t)low - 1, &palette);
	memcpy(&rule, t->body + t->header->palette_offset + 8ULL * palette, sizeof(rule));
	/* The row before the page's first is in another page: its merge is over (never across pages). */
	apply_merge(&rule, low ? offset - start : UNWIND_PAGE_SIZE);
	return rule;
}
