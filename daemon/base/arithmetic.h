/* SPDX-License-Identifier: Apache-2.0 */
/* Sums of foreign numbers that stay defined. */
#pragma once

#include "base/attributes.h"

/* a + b, or the nearest representable number. */
static inline int64_t add_saturating(int64_t a, int64_t b)
{
	int64_t sum;
	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

/* The number without its sign, or the nearest representable one. */
static inline int64_t magnitude_of(int64_t number)
{
	return number >= 0 ? number : number == INT64_MIN ? INT64_MAX : -number;
}
