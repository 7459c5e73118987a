/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The places in a heap profile from which memory was taken and not given back: the leak view. Works on any
 * profile with alloc_objects, alloc_space, inuse_objects and inuse_space, Go's included.
 *
 * What is in use at the end is no leak by itself: it may be a cache, or just not be finished yet. How sure
 * one can be that a place keeps what it takes is told by the share of its objects that survived, and by the
 * lower end of that share's 95 % interval (Wilson's score interval): 2 of 2 say little, 1990 of 2000 much.
 *
 * Of programs that were seen in windows the share is that of the watched samples that no window saw die, and what
 * is kept is an estimate, and at least what explains the process's growth: see collect/heap_windows_survivors.c.
 */
#pragma once

#include "profile/profile.h"

/* All allocations with one stack, by its names (profile/stack_sums.h), in all processes and threads. No value is negative. */
struct leak_site {
	uint32_t sample; /* one of its samples: the stack */
	int64_t allocated_objects, allocated_bytes, kept_objects, kept_bytes;
	int64_t estimated_bytes, least_bytes; /* of what was seen in windows: kept by estimate, and at least */
	int64_t watched, outlived;	      /* samples of it; not seen to die */
	double survival;     /* kept of allocated objects, 0 to 1 */
	double survival_low; /* lower end of the 95 % interval */
	bool is_certain;     /* it keeps most of what it takes, and some of that is certainly there */
};

struct leaks {
	ARRAY(struct leak_site) sites; /* those that keep something, those that keep most for certain first */
	int64_t kept_bytes, kept_objects, estimated_bytes, least_bytes; /* of all */
	size_t certain; /* how many of them are */
};

/* Returns 0, -ENODATA (not a heap profile) or -ENOMEM. Free in any case. */
int leaks_find(const struct profile *profile, struct leaks *ret);
void leaks_free(struct leaks *leaks);
