/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile of a server that was never there: any number of distinct stacks, 8 to 40 frames deep, of
 * every kind of frame, some inlined. The same arguments give the same profile.
 */
#pragma once

#include "profile/profile.h"

/* `variant` makes another distribution over the same stacks, for differences. Sample types are
 * samples/count and cpu/nanoseconds. Returns 0 or -ENOMEM. */
int flame_sample_profile(size_t stacks, uint32_t variant, struct profile **ret);
