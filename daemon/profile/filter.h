/* SPDX-License-Identifier: Apache-2.0 */
/* Which samples of a profile a person wants to see, by the functions on their stacks. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/*
 * Keeps the samples with a frame whose name matches `focus`, and drops those with one that matches
 * `ignore`; both are POSIX extended regular expressions that match anywhere in the name, NULL for none.
 * Samples keep their order; locations that nothing uses any more stay. Returns 0, -EINVAL with a
 * message in *error for a broken expression, or -ENOMEM.
 */
int profile_filter(struct profile *profile, const char *focus, const char *ignore,
		   struct text *error);
