/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as flame graph pages: what of a profile goes where on the page. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/* Appends a page with a view for each sample type, `value` the one shown first. `title` may be NULL.
 * Returns 0, -EINVAL when the profile has no such sample type, or -ENOMEM. */
int flame_profile_write(const struct profile *profile, size_t value, const char *title,
			struct text *out);

/* Appends the data of a page with the one view of sample type `value`, see flame_page_write_data(). Returns as
 * flame_profile_write(). */
int flame_profile_write_data(const struct profile *profile, size_t value, const char *title,
			     struct text *out);

/* One profile of a difference. */
struct flame_side {
	const struct profile *profile;
	size_t value;
	const char *name; /* for people: the file's */
};

/* Appends the page of what changed from A to B: red grew, blue shrank, as shares of each total. Returns
 * as flame_profile_write(). */
int flame_difference_write(const struct flame_side *a, const struct flame_side *b,
			   struct text *out);
