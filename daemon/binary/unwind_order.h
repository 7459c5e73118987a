/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of ranges of code: one word for each, of start, source and index in this order of weight. The
 * ranges themselves stay where they are.
 */
#pragma once

#include "binary/unwind_rows.h"

#define UNWIND_INDEX_BITS 23
#define UNWIND_SOURCE_BITS 3
_Static_assert(UNWIND_MAX_RANGES <= 1U << UNWIND_INDEX_BITS, "an index fits");
_Static_assert(UNWIND_SOURCES <= 1U << UNWIND_SOURCE_BITS, "a source fits");

static inline uint32_t unwind_order_start(uint64_t key)
{
	return (uint32_t)(key >> (UNWIND_SOURCE_BITS + UNWIND_INDEX_BITS));
}

static inline uint32_t unwind_order_index(uint64_t key)
{
	return key & ((1U << UNWIND_INDEX_BITS) - 1);
}

/* A key for each of the ranges, ascending: by start, then by source, then as they came. The caller frees them.
 * Returns 0 or -ENOMEM. */
int unwind_order(const struct unwind_rows *rows, uint64_t **ret);
