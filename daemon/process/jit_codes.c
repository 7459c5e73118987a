/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See jit_codes.h. A batch is flattened with a sweep over its starts: the active codes form a heap by
 * order of addition, and the newest one names the stretch up to the next start or end.
 */
#include "process/jit_codes.h"

#include <errno.h>
#include <string.h>

#define MAX_OLD_PIECES 16384
#define RECENT_SHARE 8 /* recent is merged when it is larger than base / RECENT_SHARE … */
#define RECENT_MIN 1024 /* … plus this */

static uint64_t piece_end(const struct jit_piece *p)
{
	return p->start + p->size;
}

/* The part of `p` in [start, end). */
static struct jit_piece cut(struct jit_piece p, uint64_t start, uint64_t end)
{
	p.lead += (uint32_t)(start - p.start);
	p.start = start;
	p.size = (uint32_t)(end - start);
	return p;
}

size_t jit_codes_memory(const struct jit_codes *codes)
{
	return (codes->base.capacity + codes->recent.capacity + codes->batch.capacity) *
		       sizeof(struct jit_piece) +
	       codes->old.capacity * sizeof(struct jit_old_piece) +
	       codes->lines.capacity * sizeof(struct jit_line) +
	       codes->line_ranges.capacity * sizeof(struct jit_line_range) +
	       codes->names.bytes_capacity +
	       (codes->names.capacity + codes->names.bucket_count) * sizeof(uint32_t);
}

/* A merge holds the old and the new array for a moment: stay at half of the limit. */
bool jit_codes_are_full(const struct jit_codes *codes)
{
	return jit_codes_memory(codes) > codes->memory_limit / 2;
}

void jit_codes_add(struct jit_codes *codes, uint64_t start, uint64_t size, const char *name,
		   size_t name_length, uint64_t valid_from, uint32_t lines)
{
	struct jit_piece piece = {
		.start = start,
		.size = (uint32_t)size,
		.code_size = (uint32_t)size,
		.valid_from = valid_from,
		.lines = lines,
		.generation = ++codes->generation,
	};
	if (jit_codes_are_full(codes) ||
	    strings_add(&codes->names, name, name_length, &piece.name) < 0 ||
	    array_add(&codes->batch, piece) < 0) {
		codes->dropped++;
		return;
	}
	codes->added++;
}

static int compare_starts(const void *left, const void *right)
{
	const struct jit_piece *a = left, *b = right;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->generation < b->generation ? -1 : 1;
}

/* Moves the newest of heap[0..count) to the front, assuming that only heap[i] may be out of place. */
static void sift_down(struct jit_piece *heap, size_t count, size_t i)
{
	for (;;) {
		size_t newest = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < count; child++)
			if (heap[child].generation > heap[newest].generation)
				newest = child;
		if (newest == i)
			return;
		struct jit_piece swapped = heap[i];
		heap[i] = heap[newest];
		heap[newest] = swapped;
		i = newest;
	}
}

static void sift_up(struct jit_piece *heap, size_t i)
{
	while (i > 0 && heap[(i - 1) / 2].generation < heap[i].generation) {
		struct jit_piece swapped = heap[i];
		heap[i] = heap[(i - 1) / 2];
		heap[(i - 1) / 2] = swapped;
		i = (i - 1) / 2;
	}
}

/* Sorted pieces without overlap from a batch in any order. Returns 0 or -ENOMEM. */
static int flatten(jit_pieces *batch, jit_pieces *ret)
{
	jit_pieces active = {0};
	if (array_reserve(&active, batch->count) < 0 ||
	    array_reserve(ret, 2 * batch->count) < 0) {
		array_free(&active);
		return -ENOMEM;
	}
	qsort(batch->items, batch->count, sizeof(*batch->items), compare_starts);
	uint64_t at = 0;
	for (size_t next = 0; next < batch->count || active.count > 0;) {
		uint64_t next_start = next < batch->count ? batch->items[next].start : UINT64_MAX;
		if (active.count == 0)
			at = next_start;
		while (active.count > 0 && at < next_start) {
			struct jit_piece *top = &active.items[0];
			uint64_t end = MIN_OF(piece_end(top), next_start);
			if (end > at) {
				ret->items[ret->count++] = cut(*top, at, end);
				at = end;
			}
			if (piece_end(top) <= at) {
				active.items[0] = active.items[--active.count];
				sift_down(active.items, active.count, 0);
			}
		}
		while (next < batch->count && batch->items[next].start == next_start) {
			at = next_start;
			active.items[active.count++] = batch->items[next++];
			sift_up(active.items, active.count - 1);
		}
	}
	array_free(&active);
	return 0;
}

static bool same_code(const struct jit_piece *a, const struct jit_piece *b)
{
	return a->start - a->lead == b->start - b->lead && a->code_size == b->code_size &&
	       a->name == b->name && a->lines == b->lines;
}

static void log_old(struct jit_codes *codes, struct jit_piece piece, uint64_t valid_until)
{
	if (piece.valid_from >= valid_until)
		return;
	if (codes->old.count == MAX_OLD_PIECES) {
		size_t kept = MAX_OLD_PIECES / 2;
		memmove(codes->old.items, codes->old.items + codes->old.count - kept,
			kept * sizeof(*codes->old.items));
		codes->old.count = kept;
	}
	if (array_add(&codes->old, (struct jit_old_piece){piece, valid_until}) < 0)
		codes->dropped++;
}

/* *under becomes *under with the stretches of `over` on top. `codes` non-NULL: what disappears goes to
 * its log. Pieces that say the same keep the older one's time and generation. */
static int overlay(jit_pieces *under, jit_pieces *over, struct jit_codes *codes)
{
	jit_pieces merged = {0};
	if (over->count == 0)
		return 0;
	if (array_reserve(&merged, under->count + 2 * over->count) < 0)
		return -ENOMEM;
	size_t o = 0;
	for (size_t u = 0; u < under->count; u++) {
		struct jit_piece low = under->items[u];
		while (low.size > 0) {
			while (o < over->count && piece_end(&over->items[o]) <= low.start)
				merged.items[merged.count++] = over->items[o++];
			if (o == over->count || over->items[o].start >= piece_end(&low))
				break;
			struct jit_piece *high = &over->items[o];
			uint64_t start = MAX_OF(low.start, high->start);
			uint64_t end = MIN_OF(piece_end(&low), piece_end(high));
			if (start > low.start)
				merged.items[merged.count++] = cut(low, low.start, start);
			if (same_code(&low, high)) {
				high->generation = low.generation;
				high->valid_from = low.valid_from;
			} else if (codes) {
				log_old(codes, cut(low, start, end), high->valid_from);
			}
			low = cut(low, end, piece_end(&low));
		}
		if (low.size > 0)
			merged.items[merged.count++] = low;
	}
	while (o < over->count)
		merged.items[merged.count++] = over->items[o++];
	array_free(under);
	*under = merged;
	over->count = 0;
	return 0;
}

/* Logs what a batch covers in base, which the overlay on recent does not see. */
static void log_covered_base(struct jit_codes *codes, jit_pieces *over)
{
	size_t b = 0;
	for (size_t i = 0; i < over->count; i++) {
		struct jit_piece *high = &over->items[i];
		size_t low = b, count = codes->base.count;
		while (low < count) { /* first piece that ends behind high's start */
			size_t middle = low + (count - low) / 2;
			if (piece_end(&codes->base.items[middle]) <= high->start)
				low = middle + 1;
			else
				count = middle;
		}
		b = low;
		for (; low < codes->base.count && codes->base.items[low].start < piece_end(high);
		     low++) {
			const struct jit_piece *piece = &codes->base.items[low];
			if (same_code(piece, high)) {
				high->generation = piece->generation;
				high->valid_from = piece->valid_from;
				continue;
			}
			log_old(codes,
				cut(*piece, MAX_OF(piece->start, high->start),
				    MIN_OF(piece_end(piece), piece_end(high))),
				high->valid_from);
		}
	}
}

/* Is a recent array of so many pieces to be merged into the base? */
static bool is_large(const struct jit_codes *codes, size_t recent)
{
	return recent > codes->base.count / RECENT_SHARE + RECENT_MIN;
}

size_t jit_codes_commit_pieces(const struct jit_codes *codes, size_t added)
{
	size_t recent = codes->recent.count + added;
	return recent + (is_large(codes, recent) ? codes->base.count : 0);
}

int jit_codes_commit(struct jit_codes *codes)
{
	jit_pieces flat = {0};
	if (codes->batch.count == 0)
		return 0;
	size_t added = codes->batch.count;
	int r = flatten(&codes->batch, &flat);
	array_free(&codes->batch);
	if (r == 0) {
		log_covered_base(codes, &flat);
		r = overlay(&codes->recent, &flat, codes);
	}
	array_free(&flat);
	if (r < 0)
		codes->dropped += added;
	else if (is_large(codes, codes->recent.count))
		r = overlay(&codes->base, &codes->recent, NULL);
	return r;
}

static const struct jit_piece *pieces_find(const struct jit_piece *items, size_t count,
					   uint64_t address)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && address - items[low - 1].start < items[low - 1].size ? &items[low - 1]
									       : NULL;
}

bool jit_codes_find(const struct jit_codes *codes, uint64_t address, uint64_t time,
		    struct jit_piece *ret)
{
	const struct jit_piece *p = pieces_find(codes->recent.items, codes->recent.count, address);
	if (!p)
		p = pieces_find(codes->base.items, codes->base.count, address);
	if (!p)
		return false;
	if (p->valid_from <= time) {
		*ret = *p;
		return true;
	}
	for (size_t i = codes->old.count; i-- > 0;) {
		const struct jit_old_piece *old = &codes->old.items[i];
		if (address - old->piece.start < old->piece.size &&
		    old->piece.valid_from <= time && time < old->valid_until) {
			*ret = old->piece;
			return true;
		}
	}
	return false;
}

void jit_codes_free(struct jit_codes *codes)
{
	array_free(&codes->base);
	array_free(&codes->recent);
	array_free(&codes->batch);
	array_free(&codes->old);
	array_free(&codes->lines);
	array_free(&codes->line_ranges);
	strings_free(&codes->names);
}
