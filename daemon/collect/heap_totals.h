/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What places that allocate amount to, estimated from samples; and the totals of those of which the kernel has
 * nothing any more, each place once, however often more of it became final.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "bpf/wire.h"
#include "collect/heap_lifetimes.h"

/* A variance is that of the value before it, estimated from the same samples; 0: exact. */
struct heap_amount {
	double objects, object_variance;
	double bytes, byte_variance;
	struct heap_lifetimes freed;
};

/* What windows that look at frees tell of what a place still holds. */
struct heap_outliving {
	double bytes;	  /* that may be held: not seen freed by the end of the window, nor in a later one */
	double least;	  /* of that, held at least: see heap_windows_survivors.c */
	uint64_t watched; /* samples taken in such windows */
	uint64_t samples; /* of them, those that `bytes` are estimated from */
};

/* Of one place. A variance is that of the value before it, estimated from the same samples; 0: exact. */
struct heap_total {
	struct heap_site_key key;
	double objects, object_variance; /* allocated since the probes were set */
	double bytes, byte_variance;
	double held_objects, held_object_variance; /* of them, alive */
	double held_bytes, held_byte_variance;
	struct heap_lifetimes freed; /* and freed */
	struct heap_sum watched;     /* what `freed` is seen of, of what was seen in windows; see wire_heap.h */
	struct heap_outliving outliving; /* of what was seen in windows; `held` is 0 then */
	struct heap_amount current; /* of what was allocated and freed, what the kernel still has */
	uint64_t samples, held_samples;
	bool is_final; /* the kernel has nothing of it any more */
};

struct heap_totals {
	ARRAY(struct heap_total) list;
	uint64_t interval; /* bytes between two samples now; HEAP_EXACT_INTERVAL: everything is taken */
	uint64_t first_interval; /* at the start */
	uint64_t raised;	 /* how often it was raised since */
	uint64_t followed;	 /* objects alive of processes that run */
	double survived_bytes;	 /* that outlived windows, before they are held against memory */
	uint64_t windows;	 /* in which some of it was seen; 0: probes stayed */
	/* Between which the sums of what was seen in windows are since the last profile, with 95 % */
	double objects_low, objects_high, bytes_low, bytes_high;
	double share_error;   /* of the bytes, as a part of 1: how far off a place's share may be, with 95 % */
	double share_seconds; /* so long was looked for that; 0: not at all */
};

/* Places of processes that have ended, and what was known of a place when something became final. */
struct heap_ended {
	ARRAY(struct heap_total) list;
	struct hash index; /* heap_site_mix() -> index + 1 */
	size_t limit;
	uint64_t lost; /* times that a place was given up for lack of room: what it allocated is in no total */
};

void heap_outliving_add(struct heap_outliving *sum, const struct heap_outliving *more);

/* 64 bits that stand for the place. */
uint64_t heap_site_mix(const struct heap_site_key *key);

/* Adds it, as final, to what is there of its place. */
void heap_ended_add(struct heap_ended *ended, const struct heap_total *total);

/* Adds all to `totals`, in which each place is once, before and after. Returns 0 or -ENOMEM. */
int heap_ended_add_to(const struct heap_ended *ended, struct heap_totals *totals);

/* Forgets the places, not how many were lost. */
void heap_ended_clear(struct heap_ended *ended);
void heap_ended_free(struct heap_ended *ended);
