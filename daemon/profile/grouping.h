/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes what the frames of a profile are, for a person who wants another view of it: each process under
 * a frame of its own, each source line as a function of its own. Trees, tables and pages work on the result
 * as on any profile.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

/*
 * Puts frames below the root of every stack that tell what its sample belongs to: one for each word of the
 * comma-separated `by` (profile/group_word.h), the first outermost. The added frames are FRAME_TYPE_MARK. Returns 0, or
 * -ENOMEM: then the profile can only be freed.
 */
int profile_group_by(struct profile *profile, const char *by);

/* Whether `by` can be told of this profile: group_word_check() of each word. */
int profile_check_grouping(const struct profile *profile, const char *by, struct text *error);

/* Gives all code of a file that has no names one: "[cc1]", where each address was "[cc1+0xa36adf]". Returns 0 or -ENOMEM, as
 * above. */
int profile_join_unnamed(struct profile *profile);

/* Makes each line of a function a function of its own, named "function file.c:12"; what has no line number
 * stays. Returns 0 or -ENOMEM, as above. */
int profile_split_lines(struct profile *profile);
