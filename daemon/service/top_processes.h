/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes a profile's samples come from. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/* Appends a JSON list of at most `limit` processes, the most costly first: [{pid, name, container,
 * value}], in the unit of sample type `value`; `container` is null outside one. Empty for a profile
 * without labels. Returns 0 or -ENOMEM. */
int top_processes_write(const struct profile *profile, size_t value, size_t limit,
			struct text *out);
