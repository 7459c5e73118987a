/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a profile, as a profile of its own. */
#pragma once

#include "profile/profile.h"

/*
 * The `count` samples of these indices without their labels: those of one stack become one sample, and
 * only what they use is in the result. Period, times and comments are the whole's. Returns 0 or -ENOMEM.
 * The caller frees.
 */
int profile_part(const struct profile *profile, const uint32_t *samples, size_t count,
		 struct profile **ret);
