/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_merging.h. */
#include "process/jit_merging.h"

#include <stdlib.h>

/* To add an entry takes some 0.3 us, to go over a piece some 10 ns. */
#define SHORT_ENTRIES 100
#define SHORT_PIECES 4000

struct jit_known *jit_known_new(size_t memory_limit)
{
	struct jit_known *known = calloc(1, sizeof(*known));
	if (!known)
		return NULL;
	atomic_init(&known->references, 1);
	pthread_mutex_init(&known->lock, NULL);
	known->codes.memory_limit = memory_limit;
	return known;
}

struct jit_known *jit_known_free(struct jit_known *known)
{
	if (!known || atomic_fetch_sub(&known->references, 1) != 1)
		return NULL;
	jit_codes_free(&known->codes);
	pthread_mutex_destroy(&known->lock);
	free(known);
	return NULL;
}

struct jit_merging *jit_merging_new(struct jit_known *known, const struct artifact *artifact,
				    void (*release)(const struct artifact *artifact))
{
	struct jit_merging *merging = calloc(1, sizeof(*merging));
	if (!merging)
		return NULL;
	atomic_fetch_add(&known->references, 1);
	merging->known = known;
	merging->artifact = *artifact;
	merging->release = release;
	return merging;
}

struct jit_merging *jit_merging_free(struct jit_merging *merging)
{
	if (!merging)
		return NULL;
	merging->release(&merging->artifact);
	jit_known_free(merging->known);
	free(merging);
	return NULL;
}

bool jit_merging_is_short(const struct jit_merging *merging)
{
	size_t entries = merging->table.entry_count;
	size_t commits = merging->format == JIT_DUMP ? entries : 1; /* code that moves may need one each */
	return entries <= SHORT_ENTRIES && /* nobody else changes the codes now */
	       commits * jit_codes_commit_pieces(&merging->known->codes, entries) <= SHORT_PIECES;
}

void jit_merging_run(struct jit_merging *merging)
{
	struct jit_codes *codes = &merging->known->codes;
	pthread_mutex_lock(&merging->known->lock);
	merging->bad = jit_merge(codes, &merging->table, merging->format, &merging->pending, merging->times);
	merging->result = jit_codes_commit(codes);
	merging->is_full = jit_codes_are_full(codes);
	merging->entries = codes->base.count + codes->recent.count;
	merging->added = codes->added;
	merging->dropped = codes->dropped;
	pthread_mutex_unlock(&merging->known->lock);
}
