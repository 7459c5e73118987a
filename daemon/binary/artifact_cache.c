/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the directory and reads entries. What is read is checked as if anybody had written it; what does not check out
 * is deleted and counted.
 */
#include "binary/artifact_cache_state.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCESS_TIME_GRANULARITY_S 3600

/* -- the directory -------------------------------------------------------------------------- */

int artifact_cache_default_directory(char *buffer, size_t size)
{
	const char *base = "/var/cache", *below = "";
	if (geteuid() != 0) {
		base = getenv("XDG_CACHE_HOME");
		if (!base || base[0] != '/') {
			base = getenv("HOME");
			below = "/.cache";
		}
		if (!base || base[0] != '/')
			return -ENOENT;
	}
	int n = snprintf(buffer, size, "%s%s/bolometer", base, below);
	return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int identify_program(uint8_t ret[static HTLHASH_SIZE])
{
	struct stat st;
	_cleanup_fd_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0 || fstat(self, &st) < 0)
		return -errno;
	return file_htlhash(self, (uint64_t)st.st_size, ret);
}

int artifact_cache_open(const struct artifact_cache_options *options, struct artifact_cache **ret)
{
	char path[4096];
	const char *directory = options->directory;
	*ret = NULL;
	if (directory && !directory[0])
		return 0;
	int r = directory ? 0 : artifact_cache_default_directory(path, sizeof(path));
	if (r < 0)
		return r;
	_cleanup_fd_ int fd = open_private_directory(directory ? directory : path);
	if (fd < 0)
		return fd;
	_cleanup_free_ struct artifact_cache *cache = calloc(1, sizeof(*cache));
	if (!cache)
		return -ENOMEM;
	r = identify_program(cache->program);
	if (r < 0)
		return r;
	cache->directory = take_fd(fd);
	cache->max_bytes = options->max_bytes ? options->max_bytes : ARTIFACT_CACHE_MAX_BYTES;
	cache->now_ns = options->now_ns ? options->now_ns : realtime_ns;
	pthread_mutex_init(&cache->writing, NULL);
	pthread_mutex_init(&cache->lock, NULL);
	atomic_init(&cache->references, 1);
	*ret = take_pointer(cache);
	return 0;
}

struct artifact_cache *artifact_cache_ref(struct artifact_cache *cache)
{
	if (cache)
		atomic_fetch_add(&cache->references, 1);
	return cache;
}

struct artifact_cache *artifact_cache_free(struct artifact_cache *cache)
{
	if (!cache || atomic_fetch_sub(&cache->references, 1) != 1)
		return NULL;
	close_fd(cache->directory);
	pthread_mutex_destroy(&cache->writing);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
	return NULL;
}

void artifact_cache_key(const struct artifact_cache *cache, enum artifact_kind kind,
			const struct file_identity *file, const struct file_identity *debug_file,
			struct artifact_key *ret)
{
	struct sha256_ctx hash;
	uint8_t what[2] = {(uint8_t)kind, debug_file != NULL};
	*ret = (struct artifact_key){{0}};
	if (!cache)
		return;
	sha256_init(&hash);
	sha256_update(&hash, sizeof(what), what);
	sha256_update(&hash, sizeof(cache->program), cache->program);
	sha256_update(&hash, sizeof(*file), (const uint8_t *)file);
	if (debug_file)
		sha256_update(&hash, sizeof(*debug_file), (const uint8_t *)debug_file);
	sha256_digest(&hash, sizeof(ret->bytes), ret->bytes);
}

void artifact_entry_name(const struct artifact_key *key, char ret[static ENTRY_NAME_SIZE])
{
	for (size_t i = 0; i < sizeof(key->bytes); i++)
		snprintf(ret + 2 * i, 3, "%02x", key->bytes[i]);
}

/* -- reading -------------------------------------------------------------------------------- */

void artifact_cache_count_damaged(struct artifact_cache *cache)
{
	if (cache)
		artifact_cache_count(cache, &cache->statistics.damaged);
}

bool artifact_cache_is_lasting(int error)
{
	return error == -ENODATA || error == -EBADMSG;
}

static bool header_is_valid(const struct entry_header *header, const struct artifact_key *key,
			    uint64_t file_size)
{
	if (header->magic != ENTRY_MAGIC || memcmp(&header->key, key, sizeof(*key)) != 0 ||
	    header->size != file_size - sizeof(*header))
		return false;
	return header->error == 0 || (artifact_cache_is_lasting(header->error) && header->size == 0);
}

/* Least recently used is by access time, which most file systems are mounted not to keep well. */
static void refresh_access_time(const struct artifact_cache *cache, int file, const struct stat *st)
{
	time_t now = (time_t)(cache->now_ns() / NS_PER_SECOND);
	if (now - st->st_atime < ACCESS_TIME_GRANULARITY_S)
		return;
	const struct timespec times[2] = {{.tv_sec = now}, {.tv_nsec = UTIME_OMIT}};
	futimens(file, times); /* on a read-only disk nothing is evicted either */
}

static bool may_be_entry(const struct artifact_cache *cache, const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() &&
	       st->st_size >= (off_t)sizeof(struct entry_header) &&
	       (uint64_t)st->st_size <= cache->max_bytes;
}

/* Of an entry of this key, before its bytes or behind them. Returns 0, -EUCLEAN when it is damaged, or -errno. */
static int read_header(const struct artifact_cache *cache, int file, const struct artifact_key *key, bool is_behind,
		       struct entry_header *header, struct stat *st)
{
	if (fstat(file, st) < 0)
		return -errno;
	if (!may_be_entry(cache, st))
		return -EUCLEAN;
	uint64_t at = is_behind ? (uint64_t)st->st_size - sizeof(*header) : 0;
	int r = read_exactly_at(file, header, sizeof(*header), at);
	return r < 0 || !header_is_valid(header, key, (uint64_t)st->st_size) ? -EUCLEAN : 0;
}

/* Returns 0, -EUCLEAN when the entry is damaged, the stored error, or -errno. */
static int read_entry(const struct artifact_cache *cache, int file, const struct artifact_key *key,
		      enum artifact_kind kind, char **ret_bytes, struct artifact *ret)
{
	struct stat st;
	struct entry_header header;
	int r = read_header(cache, file, key, false, &header, &st);
	if (r < 0)
		return r;
	if (header.error == 0) {
		_cleanup_free_ char *bytes = malloc(header.size ? header.size : 1);
		if (!bytes)
			return -ENOMEM;
		r = read_exactly_at(file, bytes, header.size, sizeof(header));
		if (r < 0 || artifact_check(bytes, header.size, kind, ret) < 0)
			return -EUCLEAN;
		*ret_bytes = take_pointer(bytes);
	}
	refresh_access_time(cache, file, &st);
	return header.error;
}

/* Returns the descriptor, -EUCLEAN when it is none of ours, or -ENOENT. */
static int open_entry(const struct artifact_cache *cache, const struct artifact_key *key)
{
	char name[ENTRY_NAME_SIZE];
	artifact_entry_name(key, name);
	/* O_NONBLOCK: a FIFO of that name would hold us up. */
	int file = openat(cache->directory, name,
			  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (file < 0)
		return errno == ELOOP ? -EUCLEAN : -ENOENT;
	return file;
}

/* Counts what came of it, and deletes what is damaged. Returns what the caller is told. */
static int finish_reading(struct artifact_cache *cache, const struct artifact_key *key, int r)
{
	if (r == 0 || artifact_cache_is_lasting(r)) {
		artifact_cache_count(cache, &cache->statistics.hits);
		return r;
	}
	artifact_cache_count(cache, &cache->statistics.misses);
	if (r == -EUCLEAN) {
		char name[ENTRY_NAME_SIZE];
		artifact_entry_name(key, name);
		artifact_cache_count(cache, &cache->statistics.damaged);
		unlinkat(cache->directory, name, 0);
	}
	return -ENOENT;
}

int artifact_cache_read(struct artifact_cache *cache, const struct artifact_key *key,
			enum artifact_kind kind, char **ret_bytes, struct artifact *ret)
{
	if (!cache)
		return -ENOENT;
	*ret_bytes = NULL;
	_cleanup_fd_ int file = open_entry(cache, key);
	int r = file < 0 ? file : read_entry(cache, file, key, kind, ret_bytes, ret);
	return finish_reading(cache, key, r);
}

/* As read_entry(). */
static int check_artifact(const struct artifact_cache *cache, int file, const struct artifact_key *key,
			  enum artifact_kind kind, struct artifact_file *ret)
{
	struct stat st;
	struct entry_header header;
	int r = read_header(cache, file, key, false, &header, &st);
	if (r < 0)
		return r;
	if (header.error == 0)
		r = artifact_file_check(file, sizeof(header), header.size, kind, ret);
	if (r < 0)
		return r == -ENOMEM ? r : -EUCLEAN;
	refresh_access_time(cache, file, &st);
	return header.error;
}

int artifact_cache_reopen_artifact(const struct artifact_cache *cache, const struct artifact_key *key,
				   enum artifact_kind kind, struct artifact_file *ret)
{
	if (!cache)
		return -ENOENT;
	_cleanup_fd_ int file = open_entry(cache, key);
	int r = file < 0 ? file : check_artifact(cache, file, key, kind, ret);
	if (r == 0)
		ret->file = take_fd(file);
	return r;
}

int artifact_cache_open_artifact(struct artifact_cache *cache, const struct artifact_key *key,
				 enum artifact_kind kind, struct artifact_file *ret)
{
	if (!cache)
		return -ENOENT;
	return finish_reading(cache, key, artifact_cache_reopen_artifact(cache, key, kind, ret));
}

/* As read_entry(), of the header behind the file. */
static int check_file(const struct artifact_cache *cache, int file, const struct artifact_key *key)
{
	struct stat st;
	struct entry_header header;
	int r = read_header(cache, file, key, true, &header, &st);
	if (r < 0)
		return r;
	refresh_access_time(cache, file, &st);
	return header.error;
}

int artifact_cache_open_file(struct artifact_cache *cache, const struct artifact_key *key, int *ret)
{
	if (!cache)
		return -ENOENT;
	_cleanup_fd_ int file = open_entry(cache, key);
	int r = finish_reading(cache, key, file < 0 ? file : check_file(cache, file, key));
	if (r == 0)
		*ret = take_fd(file);
	return r;
}

void artifact_cache_get_statistics(struct artifact_cache *cache, struct artifact_cache_statistics *ret)
{
	*ret = (struct artifact_cache_statistics){0};
	if (!cache)
		return;
	pthread_mutex_lock(&cache->lock);
	*ret = cache->statistics;
	pthread_mutex_unlock(&cache->lock);
}
