/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the blocks of each place lived, from a heap profile with freed_objects and freed_space: samples with the
 * label "lifetime", which say how much was freed that lived less than so many milliseconds, and at least a quarter of
 * that. (The last class, of more than an hour, holds all that lived longer.) Places that allocate much and keep it for a
 * moment only come first: there a developer saves by using a buffer again.
 *
 * Shares are simple counts: of the objects that a place allocated, those that were freed within a time, the rest being
 * still held. A block that is held lately may be freed within that time yet, so they are at least what they say, and by
 * no more than the held share, which stands beside them. Kaplan and Meier's estimator would use how old each held block
 * is; but ages, unlike counts, do not add up over the profiles of a recording, as `merge` does it, it cannot be had where
 * most of what dies is not seen (windows), and it differs only for lifetimes of about the recording's length, where
 * a longer recording is the better answer.
 *
 * In a profile of an interval what is freed may have been allocated before. Then the shares are of what was freed,
 * and of what came and is still there.
 *
 * Of places that were seen in windows, what no window saw freed is not known to be held: it is "unseen".
 */
#pragma once

#include "bpf/wire.h"
#include "profile/profile.h"

/* The classes that end nearest to a second and to a minute: 1.02 s, 65.5 s. */
#define LIFETIME_MILLISECOND 0
#define LIFETIME_SECOND 5
#define LIFETIME_MINUTE 8

/* All allocations with one stack, by its names (profile/stack_sums.h), in all processes and threads. */
struct lifetime_site {
	uint32_t sample; /* one of its samples: the stack */
	int64_t allocated_objects, allocated_bytes, held_objects, held_bytes;
	int64_t watched; /* samples of it in windows; 0: its probes stayed */
	int64_t freed_objects[HEAP_LIFETIMES], freed_bytes[HEAP_LIFETIMES]; /* by class of lifetime */
	double objects;	     /* that the shares are of */
	double held, unseen; /* shares of them, 0 to 1: still there; not seen to be freed */
	unsigned median;     /* the class in which half were freed; HEAP_LIFETIMES: more than half were not */
};

struct lifetimes {
	ARRAY(struct lifetime_site) sites;
	int64_t allocated_bytes, brief_bytes; /* of all; freed within a second */
};

/* The longest time that a class holds, in milliseconds; of the last one what it would be. */
uint64_t lifetime_bound_ms(unsigned class);

/* Which share of its objects was freed within the times of the classes up to that one, 0 to 1. */
double lifetime_share(const struct lifetime_site *site, unsigned class);

/* Returns 0, -ENODATA (no heap profile with lifetimes) or -ENOMEM. Free in any case. */
int lifetimes_find(const struct profile *profile, struct lifetimes *ret);
void lifetimes_free(struct lifetimes *lifetimes);
