/* SPDX-License-Identifier: Apache-2.0 */
/* The leak view for people and for programs. */
#pragma once

#include "base/text.h"
#include "profile/leaks.h"

/* Both append to *out at most `rows` sites (0: all) and return 0 or -ENOMEM. */

/* Each site with its numbers and below it its stack, the caller of the allocator's functions last. */
int leaks_text(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out);

/* An object: "kept_bytes", "kept_objects", "sites": [{"kept_bytes", "kept_objects", "allocated_bytes",
 * "allocated_objects", "survival", "survival_low", "stack": leaf first}]. */
int leaks_json(const struct profile *profile, const struct leaks *leaks, size_t rows, struct text *out);
