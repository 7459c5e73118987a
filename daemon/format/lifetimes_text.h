/* SPDX-License-Identifier: Apache-2.0 */
/* The view of lifetimes for people and for programs. */
#pragma once

#include "base/text.h"
#include "profile/lifetimes.h"

/* Both append to *out at most `rows` sites (0: all) and return 0 or -ENOMEM. */

/* Each site with its shares and below it its stack, the caller of the allocator's functions first: of a deep one its
 * inner frames. */
int lifetimes_text(const struct profile *profile, const struct lifetimes *lifetimes, size_t rows, struct text *out);

/* An object: "allocated_bytes", "freed_within_second_bytes", "bounds_ms": of each class what all in it lived less than,
 * null for the last; "sites": [{"allocated_objects", "allocated_bytes", "held_objects", "held_bytes",
 * "watched_samples", "median_below_ms" (null: more than half were not freed, or the last class), "within_millisecond",
 * "within_second", "within_minute", "held", "unseen" (shares), "freed_objects", "freed_bytes" (by class), "stack": leaf
 * first}]. */
int lifetimes_json(const struct profile *profile, const struct lifetimes *lifetimes, size_t rows, struct text *out);
