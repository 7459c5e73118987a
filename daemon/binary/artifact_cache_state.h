/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the cache, for artifact_cache.c (the directory, and reading) and artifact_cache_write.c alone.
 *
 * An entry is a header with the key and the artifact behind it, or a file with the header behind that; the header is a
 * multiple of 16 bytes, so that the artifact is aligned where it was read. The key in the header also tells a file that
 * was renamed or copied over another.
 */
#pragma once

#include "binary/artifact_cache.h"

#include <pthread.h>
#include <stdatomic.h>

#define ENTRY_MAGIC 0x45434c42 /* "BLCE" */
#define ENTRY_NAME_SIZE (2 * ARTIFACT_KEY_SIZE + 1)

struct entry_header {
	uint32_t magic;
	int32_t error; /* 0, or a lasting error without an artifact */
	uint64_t size; /* of the artifact or file */
	struct artifact_key key;
};
_Static_assert(sizeof(struct entry_header) == 48, "the artifact behind it stays aligned");

struct artifact_cache {
	int directory;
	uint64_t max_bytes;
	uint64_t (*now_ns)(void);
	uint8_t program[HTLHASH_SIZE];
	atomic_uint references;

	pthread_mutex_t writing; /* held while the disk writes: one entry at a time */
	uint64_t bytes;		 /* of all entries, estimated; valid with `listed` */
	bool listed;
	uint64_t temporaries; /* made so far */

	pthread_mutex_t lock; /* never held while the disk works */
	uint64_t no_write_before;
	struct artifact_cache_statistics statistics;
};

/* Counts one of the statistics. */
static inline void artifact_cache_count(struct artifact_cache *cache, uint64_t *statistic)
{
	pthread_mutex_lock(&cache->lock);
	(*statistic)++;
	pthread_mutex_unlock(&cache->lock);
}

/* The file of an entry, in the cache's directory. */
void artifact_entry_name(const struct artifact_key *key, char ret[static ENTRY_NAME_SIZE]);
