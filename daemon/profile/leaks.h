/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places in a heap profile from which memory was taken and not given back: the leak view. Works on any
 * profile with alloc_objects, alloc_space, inuse_objects and inuse_space, Go's included.
 *
 * What is in use at the end is no leak by itself: it may be a cache, or just not be finished yet. How sure
 * one can be that a place keeps what it takes is told by the share of its objects that survived, and by the
 * lower end of that share's 95 % interval (Wilson's score interval): 2 of 2 say little, 1990 of 2000 much.
 */
#pragma once

#include "profile/profile.h"

/* All allocations with one stack, in all processes and threads. */
struct leak_site {
	uint32_t sample; /* one of its samples: the stack */
	int64_t allocated_objects, allocated_bytes, kept_objects, kept_bytes;
	double survival;     /* kept of allocated objects, 0 to 1 */
	double survival_low; /* lower end of the 95 % interval */
};

struct leaks {
	ARRAY(struct leak_site) sites; /* those that keep something, most bytes first */
	int64_t kept_bytes, kept_objects; /* of all */
};

/* Returns 0, -ENODATA (not a heap profile) or -ENOMEM. Free in any case. */
int leaks_find(const struct profile *profile, struct leaks *ret);
void leaks_free(struct leaks *leaks);
