/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread does with what the parser child found in a JIT map: it merges it into what is known of the process's
 * code, which takes milliseconds when much is known.
 *
 * The known has owners on both sides, as a thread may be left behind with it, and a lock. Who looks something up
 * while a merge goes on waits for its end: at most for one excerpt's, and after longer waits (recording_wait_for_code()).
 */
#pragma once

#include "process/jit_merge.h"

#include <pthread.h>
#include <stdatomic.h>

struct jit_known {
	atomic_uint references;
	pthread_mutex_t lock; /* of the codes */
	struct jit_codes codes;
};

/* NULL when out of memory. */
struct jit_known *jit_known_new(size_t memory_limit);

/* Gives back one reference. Accepts NULL. Returns NULL. */
struct jit_known *jit_known_free(struct jit_known *known);

/* One excerpt's merge. */
struct jit_merging {
	struct jit_known *known;  /* a reference of its own */
	struct artifact artifact; /* owned, given back with `release` */
	void (*release)(const struct artifact *artifact);
	struct jit_table table; /* of the artifact, checked */
	enum jit_format format;
	struct jit_merge_times times;
	struct jit_pending_lines pending; /* as the excerpt before left them; as this one does */
	/* When it has run: */
	uint64_t bad; /* entries that made no sense */
	int result;   /* of jit_codes_commit() */
	bool is_full; /* jit_codes_are_full() */
	uint64_t entries, added, dropped; /* of the known: now, and in all */
};

/* Takes a reference of the known, and the artifact over; neither on failure. NULL: out of memory. */
struct jit_merging *jit_merging_new(struct jit_known *known, const struct artifact *artifact,
				    void (*release)(const struct artifact *artifact));

/* Is it done faster than a thread is woken for it? */
bool jit_merging_is_short(const struct jit_merging *merging);

/* On any thread. */
void jit_merging_run(struct jit_merging *merging);

/* Accepts NULL. Returns NULL. */
struct jit_merging *jit_merging_free(struct jit_merging *merging);
