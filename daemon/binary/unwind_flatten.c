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

struct flattener {
	struct unwind_rows *from;
	struct unwind_flat *to;
	bool merge;
	uint32_t outside; /* rule index */
	uint32_t now;	  /* rule in force after the last row, merges applied */
	bool mergeable;	  /* the last row may absorb the next */
};

static bool ranges_sorted(const struct unwind_rows *rows)
{
	const struct unwind_range *r = rows->ranges.items;
	for (size_t i = 1; i < rows->ranges.count; i++)
		if (r[i].start < r[i - 1].start ||
		    (r[i].start == r[i - 1].start && r[i].source < r[i - 1].source))
			return false;
	return true;
}

struct sort_key {
	uint64_t key; /* start, then source */
	uint32_t index;
};

/* One pass of a stable radix sort by sixteen bits. */
static void radix_pass(const struct sort_key *from, struct sort_key *to, size_t count,
		       unsigned shift, uint32_t *counts)
{
	memset(counts, 0, 65536 * sizeof(*counts));
	for (size_t i = 0; i < count; i++)
		counts[(from[i].key >> shift) & 0xffff]++;
	uint32_t sum = 0;
	for (size_t i = 0; i < 65536; i++) {
		uint32_t n = counts[i];
		counts[i] = sum;
		sum += n;
	}
	for (size_t i = 0; i < count; i++)
		to[counts[(from[i].key >> shift) & 0xffff]++] = from[i];
}

static int compare_keys(const void *a, const void *b)
{
	const struct sort_key *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int sort_keys(struct sort_key *keys, struct sort_key *spare, size_t count)
{
	if (count < 4096) {
		qsort(keys, count, sizeof(*keys), compare_keys);
		return 0;
	}
	_cleanup_free_ uint32_t *counts = malloc(65536 * sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	/* The key has 35 bits: three passes and one to come back. */
	radix_pass(keys, spare, count, 0, counts);
	radix_pass(spare, keys, count, 16, counts);
	radix_pass(keys, spare, count, 32, counts);
	memcpy(keys, spare, count * sizeof(*keys));
	return 0;
}

static int sort_ranges(struct unwind_rows *rows)
{
	size_t count = rows->ranges.count;
	if (ranges_sorted(rows))
		return 0;
	_cleanup_free_ struct sort_key *keys = calloc(count, sizeof(*keys));
	_cleanup_free_ struct sort_key *spare = calloc(count, sizeof(*spare));
	struct unwind_range *sorted = calloc(count, sizeof(*sorted));
	int r = keys && spare && sorted ? 0 : -ENOMEM;
	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct unwind_range *range = &rows->ranges.items[i];
		keys[i] = (struct sort_key){(uint64_t)range->start << 3 | range->source, i};
	}
	if (r == 0)
		r = sort_keys(keys, spare, count);
	if (r < 0) {
		free(sorted);
		return r;
	}
	for (size_t i = 0; i < count; i++)
		sorted[i] = rows->ranges.items[keys[i].index];
	free(rows->ranges.items);
	rows->ranges.items = sorted;
	rows->ranges.capacity = count;
	return 0;
}

static bool same_page(uint32_t a, uint32_t b)
{
	return a >> UNWIND_PAGE_SHIFT == b >> UNWIND_PAGE_SHIFT;
}

/*
 * A push or pop makes two rows one or two bytes apart that differ by eight in the CFA offset: the
 * first one then says so. Never across a page: the reader of a page that steps back to the row before
 * it does not know how far away that row was, and takes the merge as done.
 */
static bool merged_rule(const struct flattener *f, const struct unwind_row *first,
			const struct unwind_row *second, uint64_t *ret)
{
	uint32_t distance = second->offset - first->offset;
	if (distance > 2 || !same_page(first->offset, second->offset))
		return false;
	struct unwind_rule a = unwind_rule_of(f->from->rules.items[first->rule]);
	struct unwind_rule b = unwind_rule_of(f->from->rules.items[second->rule]);
	if (a.kind != RULE_CFA_SP || b.kind != RULE_CFA_SP || a.flags != b.flags ||
	    a.fp_offset != b.fp_offset)
		return false;
	int64_t change = (int64_t)b.cfa_offset - a.cfa_offset;
	if (change != 8 && change != -8)
		return false;
	unsigned merge = change > 0 ? RULE_MERGE_PLUS_AFTER_1 : RULE_MERGE_MINUS_AFTER_1;
	a.flags |= (merge + distance - 1) << 4;
	*ret = unwind_rule_bits(a);
	return true;
}

static int add_row(struct flattener *f, uint32_t offset, uint32_t rule)
{
	struct unwind_flat *to = f->to;
	if (rule == f->now)
		return 0;
	to->raw_rows++;
	f->now = rule;
	struct unwind_row row = {offset, rule};
	struct unwind_row *last = to->rows.count ? &to->rows.items[to->rows.count - 1] : NULL;
	if (last && last->offset == offset) {
		/* Only `outside` after an empty remainder is ever replaced. */
		*last = row;
		f->mergeable = true;
		return 0;
	}
	uint64_t merged;
	if (f->merge && f->mergeable && last && merged_rule(f, last, &row, &merged)) {
		f->mergeable = false;
		return unwind_rows_rule(f->from, merged, &last->rule);
	}
	f->mergeable = true;
	to->rows.items[to->rows.count++] = row;
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
	for (; row < stop && row->offset < end && r == 0; row++)
		r = add_row(f, MAX_OF(row->offset, start), row->rule);
	return r;
}

/*
 * Overlaps. The sweep goes over the ranges once; at each point the best source among the open ranges
 * counts, and within a source the range that began first. Of further ranges of the same source only
 * the one that reaches furthest is remembered: damaged files overlap so, and time must stay linear.
 */
struct sweep {
	const struct unwind_range *open[UNWIND_SOURCES];
	const struct unwind_range *next[UNWIND_SOURCES];
};

static void open_range(struct sweep *s, const struct unwind_range *range)
{
	const struct unwind_range **open = &s->open[range->source];
	const struct unwind_range **next = &s->next[range->source];
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

static int add_ranges(struct flattener *f)
{
	const struct unwind_range *range = f->from->ranges.items;
	const struct unwind_range *stop = range + f->from->ranges.count;
	struct sweep sweep = {0};
	uint32_t covered = 0;
	int r = 0;
	while (r == 0) {
		for (; range < stop && range->start <= covered; range++)
			open_range(&sweep, range);
		const struct unwind_range *best = best_range(&sweep, covered);
		if (!best && range == stop)
			break;
		if (!best) {
			r = add_gap(f, covered, range->start);
			covered = range->start;
			continue;
		}
		/* A better source that starts within this range ends it, for the time being. */
		uint32_t end = best->end;
		while (range < stop && range->start < end) {
			if (range->source < best->source)
				end = range->start;
			else
				open_range(&sweep, range++);
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
	int r = sort_ranges(rows);
	if (r < 0)
		return r;
	/* A range and the two parts that others may cut it into add its rows, and one each. */
	r = array_reserve(&ret->rows, rows->rows.count + 3 * rows->ranges.count + 2);
	if (r < 0)
		return r;
	r = unwind_rows_rule(rows, unwind_rule_bits(outside), &f.outside);
	return r < 0 ? r : add_ranges(&f);
}
