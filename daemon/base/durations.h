/* SPDX-License-Identifier: Apache-2.0 */
/* How long things took: how many were within each of a row of bounds, and the sum of all. */
#pragma once

#include "base/attributes.h"
#include "base/clock.h"

/* Upper bounds, ns, ascending. What took longer is only in `count` and `sum_ns`. */
static const uint64_t DURATION_BOUNDS[] = {
	1 * NS_PER_MS,	 5 * NS_PER_MS,	  25 * NS_PER_MS,    100 * NS_PER_MS,
	500 * NS_PER_MS, 2500 * NS_PER_MS, 10 * NS_PER_SECOND, 60 * NS_PER_SECOND,
};

/* Zero-initialised it is empty. */
struct durations {
	uint64_t within[ARRAY_LENGTH(DURATION_BOUNDS)]; /* above the bound before, up to this one */
	uint64_t count, sum_ns;
};

static inline void durations_add(struct durations *d, uint64_t ns)
{
	size_t i = 0;
	while (i < ARRAY_LENGTH(DURATION_BOUNDS) && ns > DURATION_BOUNDS[i])
		i++;
	if (i < ARRAY_LENGTH(DURATION_BOUNDS))
		d->within[i]++;
	d->count++;
	d->sum_ns += ns;
}
