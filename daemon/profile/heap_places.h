/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A heap told of in one profile after another. The kernel's table has for each place what was allocated since the
 * probes were set; a profile has what came since the one before, and what is held at its end.
 *
 * What is estimated of a place may become less while more is known. No profile takes back what an earlier one told: the
 * next ones tell less until both agree. So the sum over all profiles is right, and exact where the totals are.
 *
 * A place stays for as long as its program runs, or the kernel has something of it, and leaves when its end was told.
 *
 * Where a strategy chose by chance whose heaps are looked at (strategies.h), each value of a process is told as often as
 * the process stands for, so that sums over a host are right in the mean. What is kept of a place is of itself: a factor
 * may change while the process lives. By how much the sums may be off follows from the processes that were chosen: one with
 * the factor f and the value v adds f (f - 1) v^2 to the variance (Horvitz and Thompson, as in strategy.h).
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "collect/heap_table.h"
#include "profile/aggregate.h"
#include "profile/strategies.h"

/* Of one place, by how long they lived: see struct heap_lifetimes. */
struct heap_freed {
	int64_t objects[HEAP_LIFETIMES], bytes[HEAP_LIFETIMES];
};

/* Of one place, in one profile. */
struct heap_values {
	int64_t objects, bytes;	     /* allocated */
	int64_t held_objects, held_bytes; /* alive at the end, of all that were ever allocated */
	int64_t estimated_bytes, least_bytes; /* that may be, and that are at least, see struct heap_outliving */
	int64_t watched, outlived; /* samples of it */
	struct heap_freed freed;
	double factor; /* that is in them; 0: the place is not told of */
};

/* Is there a value that is not 0? */
bool heap_values_any(const struct heap_values *values);

/* Of sums over all that is told. */
struct heap_variances {
	double objects, bytes;		 /* allocated: by which heaps are looked at */
	double held_objects, held_bytes; /* by that, and by which samples were taken */
};

/* Of each entry of a window of the heap, in its order. */
struct heap_told {
	struct heap_values *values;
	uint64_t interval;  /* bytes between two samples at the end */
	bool has_estimates; /* is there inuse_estimated_space? The caller's to say */
	bool in_all;	    /* see heap_places_tell() */
	bool is_weighed;    /* a factor is not 1 */
	double objects, bytes; /* sums of what is told to be allocated */
	struct heap_variances variances;
	uint64_t lost_places, lost_bytes; /* of which the stack is not known */
};

/* One that was told. */
struct heap_place {
	uint64_t key;
	struct heap_amount current; /* as of heap_total, then */
	double objects, bytes;	    /* estimated by then, in all */
	double told_objects, told_bytes; /* without the factor */
	struct heap_lifetimes freed, told_freed; /* as well */
};

/* Zero-initialise; free with heap_places_free(). */
struct heap_places {
	ARRAY(struct heap_place) list;
	struct hash by_key; /* key -> index */
	uint64_t told; /* how many in all profiles, each as often as it was in one */
};

/* Leaves it empty and usable. */
void heap_places_free(struct heap_places *places);

/* Makes of the totals what came since the last profile. */
void heap_places_subtract(const struct heap_places *places, struct heap_totals *totals);

/* What a profile tells of the window's entries; `totals` as heap_places_subtract() left them. `in_all`: of allocations
 * all since the program is looked at, instead of those since the last profile. `strategies`: what processes stand for;
 * NULL: for themselves. Free ret->values. Returns 0 or -ENOMEM. */
int heap_places_tell(const struct heap_places *places, const struct aggregate *aggregate,
		     const struct aggregate_window *window, const struct heap_totals *totals,
		     struct strategies *strategies, bool in_all, struct heap_told *ret);

/* It was told, not `in_all`: the next profile begins there. The window keeps the entries of places that stay.
 * Returns 0 or -ENOMEM: nothing changed. */
int heap_places_next(struct heap_places *places, const struct aggregate *aggregate, struct aggregate_window *window,
		     const struct heap_totals *totals, const struct heap_told *told);
