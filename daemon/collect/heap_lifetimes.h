/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the blocks of a place lived that were freed: sums over its samples by classes of powers of four of time
 * (bpf/wire_heap.h), as they are added up where a free is seen. What is not freed is in none.
 *
 * Of a process that is seen in windows, the samples are those of windows that look at frees. What a window sees freed is
 * in its class; what a later one finds freed, or its address given out again, had lived no longer than that. The rest is
 * not known to have been freed: it is not in the sums.
 */
#pragma once

#include "bpf/wire_heap.h"

struct heap_lifetimes {
	double objects[HEAP_LIFETIMES], bytes[HEAP_LIFETIMES];
};

/* The sums as the kernel side has them. */
struct heap_lifetimes heap_lifetimes_read(const struct heap_site *site);

void heap_lifetimes_add(struct heap_lifetimes *sum, const struct heap_lifetimes *more);
void heap_lifetimes_subtract(struct heap_lifetimes *sum, const struct heap_lifetimes *less);

/* Makes of those of the watched samples, which stand for `watched` objects and bytes, those of all `objects` and `bytes`
 * that were allocated: the shares stay. Zeros where nothing was watched. */
void heap_lifetimes_scale(struct heap_lifetimes *lifetimes, const struct heap_sum *watched, double objects,
			  double bytes);
