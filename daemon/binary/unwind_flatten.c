/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting, overlaps, gaps, and the merging of pushes and pops.
 *
 * Functions are padded to 16 bytes. The padding after one is never executed, so it keeps the
 * function's last rule, usually the one the next function starts with: a third of all rows would
 * otherwise only say "nothing here" for a few bytes. Wider gaps are code that nobody described.
 */
#include "binary/unwind_flatten.h"

#include "binary/unwind_order.h"

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

/* Where rows are added; copied by those that add many, so that it stays in registers. */
struct tail {
	struct unwind_row *next;
	uint32_t now;	 /* rule in force after the last row, merges applied */
	uint32_t last;	 /* offset of the last row */
	uint32_t reach;	 /* a row as close as this behind it may be merged into it */
	uint32_t merged; /* rows, so far */
};

struct flattener {
	struct unwind_rows *from;
	struct unwind_flat *to;
	uint32_t reach;	  /* of each row that is not a merged one */
	uint32_t outside; /* rule index */
	struct tail tail;
	struct known_merge known[KNOWN_MERGES];
};

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

/* Counts for all rules that there are. */
static int extend_uses(struct flattener *f)
{
	size_t known = f->to->uses.count, count = f->from->rules.count;
	if (array_reserve(&f->to->uses, count) < 0)
		return -ENOMEM;
	memset(f->to->uses.items + known, 0, (count - known) * sizeof(*f->to->uses.items));
	f->to->uses.count = count;
	return 0;
}

static __attribute__((noinline)) int find_merge(struct flattener *f, uint32_t first, uint32_t second,
						uint32_t distance, struct known_merge *known)
{
	uint64_t bits;
	uint32_t index = 0;
	int r = 0;
	if (merged_rule(f, first, second, distance, &bits))
		r = unwind_rows_rule(f->from, bits, &index);
	if (r == 0 && index >= f->to->uses.count)
		r = extend_uses(f);
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

static inline bool same_page(uint32_t a, uint32_t b)
{
	return a >> UNWIND_PAGE_SHIFT == b >> UNWIND_PAGE_SHIFT;
}

/*
 * Rows in order of offset, the first one behind the last one there is. Never is one merged into another across
 * a page: the reader of a page that steps back to the row before it does not know how far away that row was,
 * and takes the merge as done.
 */
static inline int add_rows(struct flattener *f, struct tail *tail, const struct unwind_row *row,
			   const struct unwind_row *stop)
{
	struct tail t = *tail;
	uint32_t *uses = f->to->uses.items, reach = f->reach;
	int r = 0;
	for (; row < stop; row++) {
		uint32_t offset = row->offset, rule = row->rule, merged = 0;
		if (rule == t.now)
			continue;
		uint32_t distance = offset - t.last;
		if (distance - 1 < t.reach && same_page(offset, t.last)) {
			r = merge(f, t.now, rule, distance, &merged);
			if (r < 0)
				break;
			uses = f->to->uses.items;
		}
		if (merged) {
			uses[t.now]--;
			uses[merged]++;
			t.next[-1].rule = merged;
			t.merged++;
			t.now = rule;
			t.reach = 0;
			continue;
		}
		uses[rule]++;
		*t.next++ = (struct unwind_row){offset, rule};
		t.now = rule;
		t.last = offset;
		t.reach = reach;
	}
	*tail = t;
	return r;
}

static int add_row(struct flattener *f, uint32_t offset, uint32_t rule)
{
	struct tail *t = &f->tail;
	struct unwind_row row = {offset, rule};
	if (rule == t->now)
		return 0;
	if (t->next == f->to->rows.items || t->last != offset)
		return add_rows(f, t, &row, &row + 1);
	/* Only `outside` after an empty remainder is ever replaced. */
	f->to->uses.items[t->now]--;
	f->to->uses.items[rule]++;
	f->to->raw_rows++;
	t->next[-1] = row;
	t->now = rule;
	t->reach = f->reach;
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

/* The rows of a range from `start` to `end`; the one in force at the start counts from there. */
static int add_range(struct flattener *f, const struct unwind_range *range, uint32_t start,
		     uint32_t end)
{
	const struct unwind_row *rows = &f->from->rows.items[range->first_row];
	const struct unwind_row *row = row_at(rows, range->row_count, start);
	/* Before a range's first row nothing is known of it. */
	int r = row->offset > start ? add_row(f, start, f->outside) : 0;
	if (r < 0 || row->offset >= end)
		return r;
	const struct unwind_row *last = row_at(rows, range->row_count, end - 1);
	r = add_row(f, MAX_OF(row->offset, start), row->rule);
	return r < 0 ? r : add_rows(f, &f->tail, row + 1, last + 1);
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
	int r = 0;
	for (; *next < stop && r == 0; (*next)++) {
		const struct unwind_range *range = &f->from->ranges.items[unwind_order_index(**next)];
		const struct unwind_row *rows = &f->from->rows.items[range->first_row];
		if (range->start < *covered || range->end <= range->start ||
		    (*next + 1 < stop && unwind_order_start((*next)[1]) < range->end))
			break;
		if (range->start > *covered)
			r = add_gap(f, *covered, range->start);
		if (r == 0 && rows->offset == range->start)
			r = add_rows(f, &f->tail, rows, rows + range->row_count);
		else if (r == 0)
			r = add_range(f, range, range->start, range->end);
		*covered = range->end;
	}
	return r;
}

static int add_ranges(struct flattener *f, const uint64_t *order)
{
	const struct unwind_range *ranges = f->from->ranges.items;
	const uint64_t *next = order, *stop = order + f->from->ranges.count;
	struct sweep sweep = {0};
	uint32_t covered = 0;
	int r = 0;
	while (r == 0) {
		if (sweep.furthest <= covered) {
			r = add_ranges_without_overlap(f, &next, stop, &covered);
			if (r < 0)
				return r;
		}
		for (; next < stop && unwind_order_start(*next) <= covered; next++)
			open_range(&sweep, &ranges[unwind_order_index(*next)]);
		const struct unwind_range *best = best_range(&sweep, covered);
		if (!best && next == stop)
			break;
		if (!best) {
			r = add_gap(f, covered, unwind_order_start(*next));
			covered = unwind_order_start(*next);
			continue;
		}
		/* A better source that starts within this range ends it, for the time being. */
		uint32_t end = best->end;
		while (next < stop && unwind_order_start(*next) < end) {
			const struct unwind_range *range = &ranges[unwind_order_index(*next)];
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
	struct flattener f = {.from = rows, .to = ret, .reach = merge ? MERGE_DISTANCE : 0,
			      .tail.now = UINT32_MAX};
	_cleanup_free_ uint64_t *order = NULL;
	int r = unwind_order(rows, &order);
	if (r < 0)
		return r;
	/* A range and the two parts that others may cut it into add its rows, and one each. */
	r = array_reserve(&ret->rows, rows->rows.count + 3 * rows->ranges.count + 2);
	if (r < 0)
		return r;
	f.tail.next = ret->rows.items;
	r = unwind_rows_rule(rows, unwind_rule_bits(outside), &f.outside);
	if (r == 0)
		r = extend_uses(&f);
	if (r == 0)
		r = add_ranges(&f, order);
	ret->rows.count = f.tail.next - ret->rows.items;
	ret->raw_rows += ret->rows.count + f.tail.merged;
	return r;
}

void unwind_flat_free(struct unwind_flat *flat)
{
	array_free(&flat->rows);
	array_free(&flat->uses);
}
