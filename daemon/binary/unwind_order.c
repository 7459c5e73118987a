/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linkers put a file's functions into a few stretches, such as the unlikely parts, those that run at the start
 * and all others, and describe them in the order of the object files they come from. So the keys are a few
 * ascending runs that take turns: each key goes behind the run whose last key is the nearest one below it, and
 * the runs are merged, mostly by taking one as a whole. What is in no such order, as with functions that a
 * profile or a linker script has sorted, is sorted by radix.
 */
#include "binary/unwind_order.h"

#include <errno.h>
#include <string.h>

#define MOST_RUNS 16 /* compilers and linkers make up to six */

struct run {
	uint64_t last;		     /* key in it */
	size_t count;
	const uint64_t *next, *stop; /* of what is not merged yet */
};

/* By descending last keys. */
struct runs {
	unsigned count;
	struct run items[MOST_RUNS];
};

static uint64_t key_of(const struct unwind_range *range, size_t index)
{
	return ((uint64_t)range->start << UNWIND_SOURCE_BITS | range->source) << UNWIND_INDEX_BITS | index;
}

/* Says in `place` which run each key belongs to. False: there are too many. */
static bool find_runs(const uint64_t *keys, size_t count, struct runs *runs, uint8_t *place)
{
	for (size_t i = 0; i < count; i++) {
		unsigned run = 0;
		while (run < runs->count && runs->items[run].last > keys[i])
			run++;
		if (run == MOST_RUNS)
			return false;
		runs->count = MAX_OF(runs->count, run + 1);
		runs->items[run].last = keys[i];
		runs->items[run].count++;
		place[i] = run;
	}
	return true;
}

/* Puts the keys of each run together. */
static void part_runs(const uint64_t *keys, size_t count, struct runs *runs, const uint8_t *place, uint64_t *ret)
{
	uint64_t *next[MOST_RUNS];
	for (unsigned i = 0; i < runs->count; i++) {
		struct run *run = &runs->items[i];
		run->next = next[i] = ret;
		run->stop = ret += run->count;
	}
	for (size_t i = 0; i < count; i++)
		*next[place[i]]++ = keys[i];
}

/* The run that begins lowest; the others begin at `ret_limit` or above. NULL: nothing is left. */
static struct run *lowest_run(struct runs *runs, uint64_t *ret_limit)
{
	struct run *lowest = NULL;
	*ret_limit = UINT64_MAX;
	for (unsigned i = 0; i < runs->count; i++) {
		struct run *run = &runs->items[i];
		if (run->next == run->stop)
			continue;
		if (lowest && *run->next > *lowest->next) {
			*ret_limit = MIN_OF(*ret_limit, *run->next);
			continue;
		}
		if (lowest)
			*ret_limit = *lowest->next;
		lowest = run;
	}
	return lowest;
}

static void merge_runs(struct runs *runs, uint64_t *ret)
{
	struct run *run;
	uint64_t limit;
	while ((run = lowest_run(runs, &limit)))
		while (run->next < run->stop && *run->next < limit)
			*ret++ = *run->next++;
}

#define RADIX_BITS 12 /* whose counts stay in the first cache */

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

/* Start and source have 35 bits; an index is where its key was. */
static void radix_sort(uint64_t *keys, size_t count, uint64_t *room)
{
	radix_pass(keys, room, count, UNWIND_INDEX_BITS);
	radix_pass(room, keys, count, UNWIND_INDEX_BITS + RADIX_BITS);
	radix_pass(keys, room, count, UNWIND_INDEX_BITS + 2 * RADIX_BITS);
	memcpy(keys, room, count * sizeof(*keys));
}

static int sort_keys(uint64_t *keys, size_t count)
{
	_cleanup_free_ uint64_t *room = malloc(count * sizeof(*room));
	_cleanup_free_ uint8_t *place = malloc(count);
	struct runs runs = {0};
	if (!room || !place)
		return -ENOMEM;
	if (!find_runs(keys, count, &runs, place)) {
		radix_sort(keys, count, room);
		return 0;
	}
	part_runs(keys, count, &runs, place, room);
	merge_runs(&runs, keys);
	return 0;
}

int unwind_order(const struct unwind_rows *rows, uint64_t **ret)
{
	size_t count = rows->ranges.count;
	_cleanup_free_ uint64_t *keys = malloc(MAX_OF(count, 1u) * sizeof(*keys));
	bool sorted = true;
	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		keys[i] = key_of(&rows->ranges.items[i], i);
		sorted = sorted && (!i || keys[i] > keys[i - 1]);
	}
	int r = sorted ? 0 : sort_keys(keys, count);
	if (r == 0)
		*ret = take_pointer(keys);
	return r;
}
