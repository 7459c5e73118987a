/* SPDX-License-Identifier: Apache-2.0 */
/* Many profiles become one. */
#pragma once

#include "profile/profile.h"

/*
 * Sums `count` >= 1 profiles. The sample types are those that all have in common (type and unit), in
 * the first one's order. Mappings are one when build id (else file), addresses and offset agree,
 * locations when mapping, address, type and lines agree, samples when stack and labels agree: their
 * values are added; but of inuse_space, inuse_objects and the like, which are the state at the end of an
 * interval, each process's latest profile counts alone (where labels say which process it is). Time is the earliest start, duration the sum. When the periods differ the
 * result says period 0 and a comment names that. Returns 0, -EINVAL when no sample type is common,
 * or -ENOMEM. The caller frees.
 */
int profile_merge(const struct profile *const *profiles, size_t count, struct profile **ret);
