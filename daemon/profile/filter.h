/* SPDX-License-Identifier: Apache-2.0 */
/* Which samples of a profile a person wants to see: by the functions on their stacks, by what they belong to. */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/*
 * Keeps the samples with a frame whose name matches `focus`, and drops those with one that matches
 * `ignore`; both are regular expressions (base/expression.h) that match anywhere in the name, NULL for none.
 * Samples keep their order; locations that nothing uses any more stay. Returns 0, -EINVAL with a
 * message in *error for a broken expression, or -ENOMEM.
 */
int profile_filter(struct profile *profile, const char *focus, const char *ignore,
		   struct text *error);

/*
 * Each of `groups` is WORD=REGEX: a word of profile/group_word.h, and an expression as above that matches anywhere in the
 * name of a sample's group. `wanted` keeps the samples of which, for each word, one of its expressions matches; else those
 * that match any are dropped. Returns 0; -EINVAL with a message in *error for what is not of that form, a broken
 * expression or a word that cannot be told of this profile; or -ENOMEM: then the profile can only be freed.
 */
int profile_filter_groups(struct profile *profile, const char *const *groups, size_t count, bool wanted,
			  struct text *error);
