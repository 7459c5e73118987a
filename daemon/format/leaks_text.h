/* SPDX-License-Identifier: Apache-2.0 */
/* The leak view for people and for programs. */
#pragma once

#include "base/text.h"
#include "profile/leaks.h"

/* Both append to *out at most `rows` sites (0: all) and return 0 or -ENOMEM. */

/* Each site with its numbers and below it its stack, the caller of the allocator's functions first: of a deep one its
 * inner frames. */
int leaks_text(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out);

/* An object: "kept_bytes", "kept_objects", "estimated_bytes", "least_bytes", "sites": [{"kept_bytes", "kept_objects",
 * "allocated_bytes", "allocated_objects", "estimated_bytes", "least_bytes", "watched_samples", "outlived_samples",
 * "survival", "survival_low", "is_certain", "stack": leaf first}], as struct leaks has them. */
int leaks_json(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out);
