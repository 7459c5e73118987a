/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a profile, as a profile of its own. */
#pragma once

#include "profile/profile.h"

enum part_labels {
	PART_WITH_SPANS, /* of the labels only PROFILE_SPAN_ID stays, and samples of one stack and span become one */
	PART_WITH_LABELS,
};

/*
 * The `count` samples of these indices; only what they use is in the result. Period, times and comments are the whole's. Returns 0 or -ENOMEM.
 * The caller frees.
 */
int profile_part(const struct profile *profile, const uint32_t *samples, size_t count,
		 enum part_labels labels, struct profile **ret);
