/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing, and the room for it. The directory is listed (artifact_eviction.c) when the entries together may have become
 * too large. Of a full cache that takes longer than reading many a binary, so a process that writes little does not begin
 * with it: as long as it has not listed, each write does so by chance, the larger the likelier. All processes together
 * then list once in a 64th of the cache, whoever writes; a 16th is kept free for what was written unseen.
 */
#include "binary/artifact_cache_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/artifact_eviction.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_ENTRY_PART 4 /* one entry takes at most this part of the cache */
#define UNLISTED_PART 64 /* this part of the cache is written unlisted, in the mean */
#define FREE_PART 16	 /* this part is free after a listing */
#define WRITE_PAUSE_NS (600 * NS_PER_SECOND)

/* A temporary file and rename(2): who reads sees a whole entry or none. Not synced, because what a
 * crash leaves is checked like everything else. */
static int write_entry(struct artifact_cache *cache, const struct entry_header *header,
		       const void *bytes, bool header_behind)
{
	char name[ENTRY_NAME_SIZE], temporary[64];
	artifact_entry_name(&header->key, name);
	snprintf(temporary, sizeof(temporary), ARTIFACT_TEMPORARY_PREFIX "%d-%llu", (int)getpid(),
		 (unsigned long long)cache->temporaries++);
	_cleanup_fd_ int file = openat(cache->directory, temporary,
				       O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return -errno;
	int r = header_behind ? 0 : write_all(file, header, sizeof(*header));
	if (r == 0 && header->size)
		r = write_all(file, bytes, header->size);
	if (r == 0 && header_behind)
		r = write_all(file, header, sizeof(*header));
	if (r == 0 && renameat(cache->directory, temporary, cache->directory, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(cache->directory, temporary, 0);
	return r;
}

/* By chance, which the digest that names the entry gives. */
static bool may_stay_unlisted(const struct artifact_cache *cache, const struct artifact_key *key, uint64_t size)
{
	uint64_t number;
	memcpy(&number, key->bytes, sizeof(number));
	double likely = (double)size / ((double)cache->max_bytes / UNLISTED_PART);
	return (double)number / 18446744073709551616.0 /* 2^64 */ >= likely;
}

/* Makes room for `size` more bytes. */
static int make_room(struct artifact_cache *cache, const struct artifact_key *key, uint64_t size)
{
	if (cache->listed ? cache->bytes + size <= cache->max_bytes : may_stay_unlisted(cache, key, size))
		return 0;
	uint64_t most = cache->max_bytes - cache->max_bytes / FREE_PART - size, evicted = 0;
	int r = artifact_evict(cache->directory, most, cache->now_ns(), &cache->bytes, &evicted);
	cache->listed = r == 0;
	pthread_mutex_lock(&cache->lock);
	cache->statistics.evicted += evicted;
	pthread_mutex_unlock(&cache->lock);
	return r;
}

static bool is_disk_unwritable(int error)
{
	return error == -ENOSPC || error == -EROFS || error == -EDQUOT;
}

bool artifact_cache_takes_writes(struct artifact_cache *cache)
{
	if (!cache)
		return false;
	uint64_t now = cache->now_ns();
	pthread_mutex_lock(&cache->lock);
	bool takes = now >= cache->no_write_before;
	pthread_mutex_unlock(&cache->lock);
	return takes;
}

void artifact_cache_count_write(struct artifact_cache *cache, int error)
{
	uint64_t now = cache->now_ns();
	pthread_mutex_lock(&cache->lock);
	if (error == 0)
		cache->statistics.stored++;
	else
		cache->statistics.store_failures++;
	if (is_disk_unwritable(error))
		cache->no_write_before = now + WRITE_PAUSE_NS;
	pthread_mutex_unlock(&cache->lock);
}

static int write_new(struct artifact_cache *cache, const struct artifact_key *key, int error,
		     const void *bytes, size_t bytes_size, bool header_behind)
{
	if (!artifact_cache_takes_writes(cache))
		return 0;
	struct entry_header header = {
		.magic = ENTRY_MAGIC,
		.error = error,
		.size = bytes_size,
		.key = *key,
	};
	uint64_t size = sizeof(header) + header.size;
	if (size > cache->max_bytes / MAX_ENTRY_PART)
		return -EFBIG;
	pthread_mutex_lock(&cache->writing);
	int r = make_room(cache, key, size);
	if (r == 0)
		r = write_entry(cache, &header, bytes, header_behind);
	if (r == 0)
		cache->bytes += size;
	pthread_mutex_unlock(&cache->writing);
	artifact_cache_count_write(cache, r);
	return r;
}

int artifact_cache_write(struct artifact_cache *cache, const struct artifact_key *key, int error,
			 const struct artifact *artifact)
{
	return write_new(cache, key, error, artifact ? artifact->bytes : NULL,
			 artifact ? artifact->size : 0, false);
}

int artifact_cache_write_file(struct artifact_cache *cache, const struct artifact_key *key,
			      const void *bytes, size_t size)
{
	return write_new(cache, key, 0, bytes, size, true);
}
