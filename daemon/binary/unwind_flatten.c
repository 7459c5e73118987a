/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting, overlaps, gaps, and the merging of pushes and pops.
 *
 * Functions are padded to 16 bytes. The padding after one is never executed, so it keeps the
 * function's last rule, usually the one the next function starts with: a third of all rows would
 * otherwise only say "nothing here" for a few bytes. Wider gaps are code that nobody described.
 */
#include "binary/unwind_flatten.h"

#include <errno.h>
#include <string.h>

#define FUNCTION_ALIGNMENT 16
#define MERGE_DISTANCE 2

/* Rules that were to be merged before, and what came of it. Direct-mapped: a file merges the same few. */
#define KNOWN_MERGES 256

struct known_merge {
	uint64_t key; /* never 0, as a distance is not */
	uint32_t merged; /* rule index; 0, which is RULE_NONE, if they cannot be */
};

struct flattener {
	struct unwind_rows *from;
	struct unwind_flat *to;
	bool merge;
	uint32_t outside; /* rule index */
	uint32_t now;	  /* rule in force after the last row, merges applied */
	uint32_t close;	  /* a row before this offset may be merged into the last one; 0: none may */
	struct known_merge known[KNOWN_MERGES];
};

/*
 * The order of the ranges: one word for each, of start, source and index in this order of weight. The
 * ranges themselves stay where they are.
 */
#define INDEX_BITS 23
#define SOURCE_BITS 3
_Static_assert(UNWIND_MAX_RANGES <= 1U << INDEX_BITS, "an index fits");
_Static_assert(UNWIND_SOURCES <= 1U << SOURCE_BITS, "a source fits");

static uint64_t order_key(const struct unwind_range *range, size_t index)
{
	return ((uint64_t)range->start << SOURCE_BITS | range->source) << INDEX_BITS | index;
}

static uint32_t key_start(uint64_t key)
{
	return (uint32_t)(key >> (SOURCE_BITS + INDEX_BITS));
}

#define RADIX_BITS 12 /* whose counts stay in the first cache */
#define LEAST_FOR_RADIX 512 /* about where three passes over the counts cost what qsort() does */

/* One pass of a stable radix sort. */
static void radix_pass(const uint64_t *from, uint64_t *to, size_t count, unsigned shift)
{
	uint32_t counts[1 << RADIX_BITS] = {0}, sum = 0;
	const uint32_t mask = (1 << RADIX_BITS) - 1;
	for (size_t i = 0; i < count; i++)
		counts[(from[i] >> shift) & mask]++;
	for (size_t i = 0; i <= mask; i++) {
		uint32_t n = counts[i];
		counts[i] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		to[counts[(from[i] >> shift) & mask]++] = from[i];
}

static int compare_keys(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* Sorts *keys by start and source; equal ones keep their order. *keys may become another array. */
static int sort_keys(uint64_t **keys, size_t count)
{
	if (count < LEAST_FOR_RADIX) {
		qsort(*keys, count, sizeof(**keys), compare_keys);
		return 0;
	}
	uint64_t *sorted = malloc(count * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	/* Start and source have 35 bits. */
	radix_pass(*keys, sorted, count, INDEX_BITS);
	radix_pass(sorted, *keys, count, INDEX_BITS + RADIX_BITS);
	radix_pass(*keys, sorted, count, INDEX_BITS + 2 * RADIX_BITS);
	free(*keys);
	*keys = sorted;
	return 0;
}

/* The caller frees the order. Returns 0 or -ENOMEM. */
static int order_ranges(const struct unwind_rows *rows, uint64_t **ret)
{
	size_t count = rows->ranges.count;
	_cleanup_free_ uint64_t *keys = malloc(MAX_OF(count, 1u) * sizeof(*keys));
	bool sorted = true;
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		keys[i] = order_key(&rows->ranges.items[i], i);
		sorted = sorted && (!i || keys[i] > keys[i - 1]);
	}
	int r = sorted ? 0 : sort_keys(&keys, count);
	if (r == 0)
		*ret = take_pointer(keys);
	return r;
}

static bool same_page(uint32_t a, uint32_t b)
{
	return a >> UNWIND_PAGE_SHIFT == b >> UNWIND_PAGE_SHIFT;
}

/*
 * A push or pop makes two rows one or two bytes apart that differ by eight in the CFA offset: the
 * first one then says so.
 */
static bool merged_rule(const struct flattener *f, uint32_t first, uint32_t second, uint32_t distance,
			uint64_t *ret)
{
	/* The lower half has all but the CFA's offset. */
	uint64_t a = f->from->rules.items[first], b = f->from->rules.items[second];
	if ((uint32_t)a != (uint32_t)b || unwind_rule_of(a).kind != RULE_CFA_SP)
		return false;
	int64_t change = (int64_t)unwind_rule_of(b).cfa_offset - unwind_rule_of(a).cfa_offset;
	if (change != 8 && change != -8)
		return false;
	unsigned merge = change > 0 ? RULE_MERGE_PLUS_AFTER_1 : RULE_MERGE_MINUS_AFTER_1;
	struct unwind_rule rule = unwind_rule_of(a);
	rule.flags |= (merge + distance - 1) << 4;
	*ret = unwind_rule_bits(rule);
	return true;
}

static __attribute__((noinline)) int find_merge(struct flattener *f, uint32_t first, uint32_t second,
						uint32_t distance, struct known_merge *known)
{
	uint64_t bits;
	uint32_t index = 0;
	int r = 0;
	if (merged_rule(f, first, second, distance, &bits))
		r = unwind_rows_rule(f->from, bits, &index);
	if (r == 0)
		known->merged = index;
	return r;
}

/* The index of the rule that stands for both, or 0. Rows have no index past 16 bits. */
static inline int merge(struct flattener *f, uint32_t first, uint32_t second, uint32_t distance,
			uint32_t *ret)
{
	uint64_t key = (uint64_t)distance << 32 | first << 16 | second;
	struct known_merge *known = &f->known[(first * 16 + second * 2 + distance) % KNOWN_MERGES];
	int r = 0;
	if (known->key != key) {
		*known = (struct known_merge){key, 0};
		r = find_merge(f, first, second, distance, known);
	}
	*ret = known->merged;
	return r;
}

/* The offset before which rows may be merged into one at this offset. */
static uint32_t close_to(const struct flattener *f, uint32_t offset)
{
	return f->merge ? offset + MERGE_DISTANCE + 1 : 0;
}

/*
 * Rows in order of offset, the first one behind the last one there is. Never is one merged into another
 * across a page: the reader of a page that steps back to the row before it does not know how far away that
 * row was, and takes the merge as done.
 */
static int add_rows(struct flattener *f, const struct unwind_row *row, const struct unwind_row *stop,
		    uint64_t end)
{
	struct unwind_flat *to = f->to;
	struct unwind_row *next = to->rows.items + to->rows.count;
	uint32_t now = f->now, close = f->close, close_distance = close_to(f, 0), raw_rows = 0;
	int r = 0;
	for (; row < stop && row->offset < end; row++) {
		uint32_t offset = row->offset, rule = row->rule, merged = 0;
		if (rule == now)
			continue;
		raw_rows++;
		if (offset < close && same_page(offset, next[-1].offset)) {
			r = merge(f, now, rule, offset - next[-1].offset, &merged);
			if (r < 0)
				break;
		}
		now = rule;
		if (merged) {
			next[-1].rule = merged;
			close = 0;
			continue;
		}
		next->offset = offset;
		next->rule = rule;
		next++;
		close = close_distance ? offset + close_distance : 0;
	}
	to->rows.count = next - to->rows.items;
	to->raw_rows += raw_rows;
	f->now = now;
	f->close = close;
	return r;
}

static int add_row(struct flattener *f, uint32_t offset, uint32_t rule)
{
	struct unwind_flat *to = f->to;
	struct unwind_row row = {offset, rule};
	if (rule == f->now)
		return 0;
	if (!to->rows.count || to->rows.items[to->rows.count - 1].offset != offset)
		return add_rows(f, &row, &row + 1, UINT64_MAX);
	/* Only `outside` after an empty remainder is ever replaced. */
	to->rows.items[to->rows.count - 1] = row;
	to->raw_rows++;
	f->now = rule;
	f->close = close_to(f, offset);
	return 0;
}

/* The last row at or before `offset`, or the first one. */
static const struct unwind_row *row_at(const struct unwind_row *rows, uint32_t count,
				       uint32_t offset)
{
	uint32_t low = 0, high = count;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (rows[middle].offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return &rows[low];
}

/* The rows of a range from `start` on; the one in force there counts from `start`. */
static int add_range(struct flattener *f, const struct unwind_range *range, uint32_t start,
		     uint32_t end)
{
	const struct unwind_row *row = &f->from->rows.items[range->first_row];
	const struct unwind_row *stop = row + range->row_count;
	if (start > range->start)
		row = row_at(row, range->row_count, start);
	/* Before a range's first row nothing is known of it. */
	int r = row->offset > start ? add_row(f, start, f->outside) : 0;
	if (r < 0 || row->offset >= end)
		return r;
	r = add_row(f, MAX_OF(row->offset, start), row->rule);
	return r < 0 ? r : add_rows(f, row + 1, stop, end);
}

/*
 * Overlaps. The sweep goes over the ranges once; at each point the best source among the open ranges
 * counts, and within a source the range that began first. Of further ranges of the same source only
 * the one that reaches furthest is remembered: damaged files overlap so, and time must stay linear.
 */
struct sweep {
	const struct unwind_range *open[UNWIND_SOURCES];
	const struct unwind_range *next[UNWIND_SOURCES];
	uint32_t furthest; /* end of all that were ever open */
};

static void open_range(struct sweep *s, const struct unwind_range *range)
{
	const struct unwind_range **open = &s->open[range->source];
	const struct unwind_range **next = &s->next[range->source];
	s->furthest = MAX_OF(s->furthest, range->end);
	if (!*open || (*open)->end <= range->start)
		*open = range;
	else if (range->end > (*open)->end && (!*next || range->end > (*next)->end))
		*next = range;
}

/* Closes what ended by `offset`. Returns the best open range, or NULL. */
static const struct unwind_range *best_range(struct sweep *s, uint32_t offset)
{
	const struct unwind_range *best = NULL;
	for (unsigned i = 0; i < UNWIND_SOURCES; i++) {
		if (s->open[i] && s->open[i]->end <= offset) {
			s->open[i] = s->next[i] && s->next[i]->end > offset ? s->next[i] : NULL;
			s->next[i] = NULL;
		}
		if (!best)
			best = s->open[i];
	}
	return best;
}

/* Code that nobody described, except the padding between functions. */
static int add_gap(struct flattener *f, uint32_t start, uint32_t end)
{
	bool padding = start && end - start < FUNCTION_ALIGNMENT && end % FUNCTION_ALIGNMENT == 0;
	return padding ? 0 : add_row(f, start, f->outside);
}

/* Nearly all ranges: nothing else is open, and the next one begins behind it. Stops at any other. */
static int add_ranges_without_overlap(struct flattener *f, const uint64_t **next, const uint64_t *stop,
				      uint32_t *covered)
{
	const uint64_t index_mask = (1U << INDEX_BITS) - 1;
	int r = 0;
	for (; *next < stop && r == 0; (*next)++) {
		const struct unwind_range *range = &f->from->ranges.items[**next & index_mask];
		if (range->start < *covered || range->end <= range->start ||
		    (*next + 1 < stop && key_start((*next)[1]) < range->end))
			break;
		if (range->start > *covered)
			r = add_gap(f, *covered, range->start);
		if (r == 0)
			r = add_range(f, range, range->start, range->end);
		*covered = range->end;
	}
	return r;
}

static int add_ranges(struct flattener *f, const uint64_t *order)
{
	const struct unwind_range *ranges = f->from->ranges.items;
	const uint64_t *next = order, *stop = order + f->from->ranges.count;
	const uint64_t index_mask = (1U << INDEX_BITS) - 1;
	struct sweep sweep = {0};
	uint32_t covered = 0;
	int r = 0;
	while (r == 0) {
		if (sweep.furthest <= covered) {
			r = add_ranges_without_overlap(f, &next, stop, &covered);
			if (r < 0)
				return r;
		}
		for (; next < stop && key_start(*next) <= covered; next++)
			open_range(&sweep, &ranges[*next & index_mask]);
		const struct unwind_range *best = best_range(&sweep, covered);
		if (!best && next == stop)
			break;
		if (!best) {
			r = add_gap(f, covered, key_start(*next));
			covered = key_start(*next);
			continue;
		}
		/* A better source that starts within this range ends it, for the time being. */
		uint32_t end = best->end;
		while (next < stop && key_start(*next) < end) {
			const struct unwind_range *range = &ranges[*next & index_mask];
			if (range->source < best->source) {
				end = range->start;
				continue;
			}
			open_range(&sweep, range);
			next++;
		}
		r = add_range(f, best, covered, end);
		covered = end;
	}
	return r == 0 ? add_row(f, covered, f->outside) : r;
}

int unwind_flatten(struct unwind_rows *rows, bool merge, struct unwind_rule outside,
		   struct unwind_flat *ret)
{
	struct flattener f = {.from = rows, .to = ret, .merge = merge, .now = UINT32_MAX};
	_cleanup_free_ uint64_t *order = NULL;
	int r = order_ranges(rows, &order);
	if (r < 0)
		return r;
	/* A range and the two parts that others may cut it into add its rows, and one each. */
	r = array_reserve(&ret->rows, rows->rows.count + 3 * rows->ranges.count + 2);
	if (r < 0)
		return r;
	r = unwind_rows_rule(rows, unwind_rule_bits(outside), &f.outside);
	return r < 0 ? r : add_ranges(&f, order);
}
