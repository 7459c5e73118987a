/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages, rows and palette.
 *
 * Body: palette, page index, rows, each at a multiple of ARENA_UNIT. The palette is sorted by use, so
 * that nearly every page needs only its first 128 rules and has narrow rows. A page that names
 * another one is wide. Where the format changes or a chunk of the arena ends, the rule in force is
 * repeated as a row at offset 0 of the page; everywhere else it is the row before the page's first.
 */
#include "binary/unwind_layout.h"

#include "binary/unwind_flatten.h"

#include <errno.h>
#include <string.h>

struct layout {
	const struct unwind_flat *flat;
	const uint64_t *rules;
	size_t rule_count;
	uint64_t base; /* of the rows' offsets, in the file */
	uint32_t *place;   /* rule index -> palette index */
	uint32_t *settled; /* palette index -> palette index of what holds after a merge */
	struct unwind_image *image;
	uint32_t *index;
	uint16_t *words; /* of the rows */
	size_t word_capacity;
	size_t used;	    /* words */
	bool wide;	    /* format of the last row written */
	bool broken;	    /* the last row written is not the rule in force */
};

/* Rows of one page. */
struct page {
	const struct unwind_row *rows;
	uint32_t count;
	uint32_t before; /* palette index in force at its start */
	uint32_t bits; /* of all palette indices in them */
};

struct usage {
	uint32_t rule, count;
	uint64_t bits;
};

static int compare_usage(const void *a, const void *b)
{
	const struct usage *x = a, *y = b;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->bits < y->bits ? -1 : x->bits > y->bits;
}

static size_t align_unit(size_t n)
{
	return (n + ARENA_UNIT - 1) & ~(size_t)(ARENA_UNIT - 1);
}

/* The rule that holds after the row: a merge, being relative to the row's start, is applied. */
static uint64_t settled(uint64_t bits)
{
	struct unwind_rule rule = unwind_rule_of(bits);
	if (rule.kind != RULE_CFA_SP || !RULE_NUMBER(rule.flags))
		return bits;
	rule.cfa_offset += RULE_NUMBER(rule.flags) <= RULE_MERGE_PLUS_AFTER_2 ? 8 : -8;
	rule.flags &= 0x0f;
	return unwind_rule_bits(rule);
}

/* Gives the palette its order. `usage` has rule_count entries. */
static uint32_t order_palette(struct layout *l, struct usage *usage)
{
	for (size_t i = 0; i < l->rule_count; i++)
		usage[i] = (struct usage){i, l->flat->uses.items[i], l->rules[i]};
	/* What a page may have to repeat at its start, without a row of its own. */
	for (size_t i = 0; i < l->rule_count; i++) {
		struct unwind_rule rule = unwind_rule_of(usage[i].bits);
		if (!usage[i].count && !(rule.flags >> 4))
			usage[i].count = 1;
	}
	qsort(usage, l->rule_count, sizeof(*usage), compare_usage);
	uint32_t used = 0;
	for (; used < l->rule_count && usage[used].count; used++)
		l->place[usage[used].rule] = used;
	return used;
}

static bool needs_wide(const struct page *page, bool repeated)
{
	return page->bits >= UNWIND_PALETTE_NARROW ||
	       (repeated && page->before >= UNWIND_PALETTE_NARROW);
}

static void put_row(struct layout *l, uint32_t offset, uint32_t rule, bool wide)
{
	offset &= UNWIND_PAGE_SIZE - 1;
	if (!wide) {
		l->words[l->used++] = offset << 7 | rule;
		return;
	}
	uint32_t row = offset << 23 | rule;
	l->words[l->used++] = row;
	l->words[l->used++] = row >> 16;
}

/*
 * Finds the rows of the page that ends at `end`, and writes them on the way as what nearly all are: narrow
 * rows that follow the last ones. put_page() takes them so, or writes others in their place.
 */
static void draft_page(struct layout *l, const struct unwind_row *stop, uint64_t end, struct page *page)
{
	const struct unwind_row *row = page->rows;
	const uint32_t *place = l->place;
	uint16_t *words = l->words + l->used;
	uint32_t bits = 0;
	for (; row < stop && row->offset < end; row++) {
		uint32_t rule = place[row->rule];
		bits |= rule;
		*words++ = row->offset << 7 | rule; /* nine bits of the offset are left */
	}
	page->count = row - page->rows;
	page->bits = bits;
}

static size_t chunk_of(const struct layout *l, size_t word)
{
	return (l->image->header.rows_offset + 2 * word) / ARENA_CHUNK_SIZE;
}

/* Would the page's rows, and the row before them if it is needed, lie in more than one chunk? */
static bool straddles(const struct layout *l, uint32_t rows, bool wide, bool needs_before)
{
	size_t row_words = wide ? 2 : 1;
	size_t first = needs_before ? l->used - row_words : l->used;
	size_t last = l->used + rows * row_words;
	if (!needs_before)
		last -= 1;
	return chunk_of(l, first) != chunk_of(l, last);
}

static void skip_to_next_chunk(struct layout *l)
{
	size_t at = l->image->header.rows_offset + 2 * l->used;
	size_t boundary = (at + ARENA_CHUNK_SIZE - 1) / ARENA_CHUNK_SIZE * ARENA_CHUNK_SIZE;
	memset(l->words + l->used, 0, boundary - at);
	l->used += (boundary - at) / 2;
}

static void put_rows(struct layout *l, const struct page *page, uint32_t count, bool wide)
{
	for (uint32_t i = 0; i < count; i++)
		put_row(l, page->rows[i].offset, l->place[page->rows[i].rule], wide);
}

/* Writes one page, of which there is a draft. Returns its index word. */
static uint32_t put_page(struct layout *l, const struct page *page)
{
	bool starts = page->count && page->rows[0].offset % UNWIND_PAGE_SIZE == 0;
	bool wide = page->count ? needs_wide(page, false) : l->wide;
	bool repeat = !starts && (wide != l->wide || l->broken || !l->used);
	if (repeat)
		wide = needs_wide(page, true);
	bool needs_before = !starts && !repeat;
	bool moves = straddles(l, page->count + repeat, wide, needs_before);
	if (moves) {
		skip_to_next_chunk(l);
		repeat = !starts;
		wide = needs_wide(page, repeat);
	}
	size_t first = l->used;
	uint32_t room = UNWIND_MAX_PAGE_ROWS - repeat;
	uint32_t count = MIN_OF(page->count, room);
	if (repeat)
		put_row(l, 0, page->before, wide);
	if (wide || repeat || moves)
		put_rows(l, page, count, wide);
	else
		l->used += count;
	l->wide = wide;
	/* More rows than a page can count: no compiler does that; what is left stays unwritten and
	 * the next page starts afresh. */
	l->broken = count < page->count;
	return UNWIND_INDEX(first, wide, count + repeat);
}

static int put_pages(struct layout *l)
{
	const struct unwind_row *row = l->flat->rows.items;
	const struct unwind_row *stop = row + l->flat->rows.count;
	struct unwind_table_header *header = &l->image->header;
	uint64_t first_page = header->first_page - (l->base >> UNWIND_PAGE_SHIFT);
	uint32_t before = l->place[0];
	bool was_empty = false;
	for (uint32_t i = 0; i < header->page_count; i++) {
		struct page page = {.rows = row, .before = before};
		draft_page(l, stop, (first_page + i + 1) << UNWIND_PAGE_SHIFT, &page);
		/* Two pages without a row say the same. */
		if (was_empty && !page.count) {
			l->index[i] = l->index[i - 1];
			continue;
		}
		was_empty = !page.count;
		if (l->used >= UNWIND_MAX_ROW_OFFSET - ARENA_CHUNK_SIZE)
			return -E2BIG;
		l->index[i] = put_page(l, &page);
		row += page.count;
		if (page.count)
			before = l->settled[l->place[row[-1].rule]];
	}
	return 0;
}

/* Upper bound of row words: each row wide, one repeated row a page, and a chunk's end lost with
 * every page's worth of rows that did not fit it. */
static size_t row_words_bound(size_t rows, size_t pages)
{
	size_t words = 2 * (rows + pages);
	size_t lost = 2 * (UNWIND_MAX_PAGE_ROWS + 1);
	return words + (words / (ARENA_CHUNK_SIZE / 2 - lost) + 2) * lost;
}

static int allocate_body(struct layout *l, uint32_t palette_count)
{
	const struct unwind_row *rows = l->flat->rows.items;
	size_t count = l->flat->rows.count;
	struct unwind_table_header *header = &l->image->header;
	uint64_t first = (l->base + rows[0].offset) >> UNWIND_PAGE_SHIFT;
	uint64_t last = (l->base + rows[count - 1].offset) >> UNWIND_PAGE_SHIFT;
	if (last > UINT32_MAX || palette_count > UINT16_MAX)
		return -E2BIG;
	header->first_page = first;
	header->page_count = last - first + 1;
	header->raw_rows = l->flat->raw_rows;
	header->palette_count = palette_count;
	header->palette_offset = 0;
	header->index_offset = align_unit(palette_count * sizeof(struct unwind_rule));
	header->rows_offset = align_unit(header->index_offset +
					 header->page_count * sizeof(uint32_t));
	l->word_capacity = row_words_bound(count, header->page_count);
	size_t size = header->rows_offset + 2 * l->word_capacity;
	if (header->rows_offset > UNWIND_MAX_BODY)
		return -E2BIG;
	l->image->body = malloc(align_unit(size));
	if (!l->image->body)
		return -ENOMEM;
	/* Everything else is written. */
	memset(l->image->body + header->index_offset - ARENA_UNIT, 0, ARENA_UNIT);
	memset(l->image->body + header->rows_offset - ARENA_UNIT, 0, ARENA_UNIT);
	l->index = (uint32_t *)(l->image->body + header->index_offset);
	l->words = (uint16_t *)(l->image->body + header->rows_offset);
	return 0;
}

static void finish_body(struct layout *l)
{
	struct unwind_image *image = l->image;
	image->header.row_words = l->used;
	size_t end = image->header.rows_offset + 2 * l->used;
	image->body_size = align_unit(end);
	memset(image->body + end, 0, image->body_size - end);
	/* The bound was generous; the rest of it goes back. */
	char *shrunk = realloc(image->body, image->body_size);
	if (shrunk)
		image->body = shrunk;
}

/* The settled form of a merged rule is the plain rule it was merged with: it has an index. */
static void find_settled(struct layout *l, const struct unwind_rows *rows,
			 const struct usage *usage, uint32_t palette_count)
{
	for (uint32_t i = 0; i < palette_count; i++) {
		uint64_t bits = settled(usage[i].bits);
		uint64_t *rule = hash_get(&rows->rule_index, bits);
		l->settled[i] = rule ? l->place[*rule] : i;
	}
}

static int lay_out(struct layout *l, struct unwind_rows *rows, struct unwind_flat *flat)
{
	_cleanup_free_ struct usage *usage = calloc(l->rule_count, sizeof(*usage));
	_cleanup_free_ uint32_t *place = calloc(l->rule_count, sizeof(*place));
	_cleanup_free_ uint32_t *settled_place = calloc(l->rule_count, sizeof(*settled_place));
	if (!usage || !place || !settled_place)
		return -ENOMEM;
	l->place = place;
	l->settled = settled_place;
	uint32_t palette_count = order_palette(l, usage);
	int r = allocate_body(l, palette_count);
	if (r < 0)
		return r;
	uint64_t *palette = (uint64_t *)(l->image->body + l->image->header.palette_offset);
	for (uint32_t i = 0; i < palette_count; i++)
		palette[i] = usage[i].bits;
	find_settled(l, rows, usage, palette_count);
	r = put_pages(l);
	if (r == 0)
		finish_body(l);
	return r;
}

int unwind_layout(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
		  struct unwind_image *ret)
{
	if (!rows->ranges.count)
		return -ENODATA;
	_cleanup_(unwind_flat_free) struct unwind_flat flat = {0};
	int r = unwind_flatten(rows, merge, outside, &flat);
	if (r < 0)
		return r;
	struct unwind_image image = {0};
	struct layout l = {.flat = &flat, .rules = rows->rules.items,
			   .rule_count = rows->rules.count, .base = rows->base, .image = &image};
	r = lay_out(&l, rows, &flat);
	if (r < 0) {
		unwind_image_free(&image);
		return r;
	}
	*ret = image;
	return 0;
}

void unwind_image_free(struct unwind_image *image)
{
	free(image->body);
	*image = (struct unwind_image){0};
}
