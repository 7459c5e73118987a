/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands once in a profile, of several: sample types, times, period.
 */
#pragma once

#include "profile/profile.h"

/* Which value of `source` has this type and unit, as texts of the profile `of`? Its count when none. */
size_t merge_find_type(const struct profile *of, struct profile_value_type type,
		       const struct profile *source);

/* Gives `sum` the sample types that all profiles share, in the first one's order. Returns 0, -EINVAL when there are none,
 * or -ENOMEM. */
int merge_sample_types(struct profile *sum, const struct profile *const *profiles, size_t count);

/* Gives `sum` the earliest time, the sum of the durations, and of the rest what the first profile has; the period only
 * where all agree. Returns 0 or -ENOMEM. */
int merge_header(struct profile *sum, const struct profile *const *profiles, size_t count);
