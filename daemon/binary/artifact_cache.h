/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts on disk, so that a binary is parsed once and not in every recording. One file an entry,
 * named after its key: a digest of the binary's identity, of this very program, and of what was asked.
 * A new version of the program therefore never reads what another one wrote.
 *
 * The directory is ours alone (mode 0700, our owner), and still its contents are foreign bytes: disks
 * fail and backups truncate. An entry is read into memory, never mapped, because a mapping of a file
 * that shrinks raises SIGBUS; what does not check out is deleted and counted.
 *
 * Every function accepts a NULL cache, which holds nothing. Reading and writing block for the disk; any thread may
 * write, and artifact_writing.h has one do it.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"
#include "binary/file_identity.h"

#define ARTIFACT_KEY_SIZE 32
#define ARTIFACT_CACHE_MAX_BYTES (512ULL << 20)

struct artifact_cache;

struct artifact_key {
	uint8_t bytes[ARTIFACT_KEY_SIZE];
};

struct artifact_cache_options {
	const char *directory;	   /* created when missing; NULL: the default one; "": no cache */
	uint64_t max_bytes;	   /* past it the least recently used go; 0: default */
	uint64_t (*now_ns)(void); /* CLOCK_REALTIME; NULL: the machine's */
};

struct artifact_cache_statistics {
	uint64_t hits, misses, damaged, stored, store_failures, evicted;
};

/* The default directory: /var/cache/bolometer as root, otherwise below $XDG_CACHE_HOME or
 * $HOME/.cache. Returns 0, -ENOENT (no home) or -ENAMETOOLONG. */
int artifact_cache_default_directory(char *buffer, size_t size);

/* *ret is NULL with "" as directory. Returns 0, -EPERM when the directory belongs to somebody else or
 * others can write to it, or -errno. */
int artifact_cache_open(const struct artifact_cache_options *options, struct artifact_cache **ret);

/* Another reference, for who outlives the owner. Each is given back with artifact_cache_free(), which returns NULL. */
struct artifact_cache *artifact_cache_ref(struct artifact_cache *cache);
struct artifact_cache *artifact_cache_free(struct artifact_cache *cache);

/* The key of what is asked of a file, and of its debug file unless that is NULL. */
void artifact_cache_key(const struct artifact_cache *cache, enum artifact_kind kind,
			const struct file_identity *file, const struct file_identity *debug_file,
			struct artifact_key *ret);

/* Reads an entry. Returns 0 with the artifact, whose bytes the caller frees through *ret_bytes;
 * -ENOENT: not there (or damaged, and deleted); otherwise the error that was stored. */
int artifact_cache_read(struct artifact_cache *cache, const struct artifact_key *key,
			enum artifact_kind kind, char **ret_bytes, struct artifact *ret);

/* Opens an entry that is too large to be held, to be read where it lies. Returns as artifact_cache_read() does; the
 * caller closes ret->file. What is open stays readable when the entry is evicted. */
int artifact_cache_open_artifact(struct artifact_cache *cache, const struct artifact_key *key,
				 enum artifact_kind kind, struct artifact_file *ret);

/* The same of an entry that was just read or written: it does not count again. Returns 0, -ENOENT, -EUCLEAN when it is
 * damaged, the error that was stored, or -ENOMEM. */
int artifact_cache_reopen_artifact(const struct artifact_cache *cache, const struct artifact_key *key,
				   enum artifact_kind kind, struct artifact_file *ret);

/* An entry that was opened turned out to be damaged while it was read. Accepts NULL. */
void artifact_cache_count_damaged(struct artifact_cache *cache);

/* Can this error be stored? Those that parsing the file again would give again: -ENODATA, -EBADMSG. */
bool artifact_cache_is_lasting(int error);

/* Stores an artifact (`error` 0), or with `artifact` NULL a lasting error. After a full or read-only
 * disk nothing is written for ten minutes. Returns 0 or -errno; failures are counted. */
int artifact_cache_write(struct artifact_cache *cache, const struct artifact_key *key, int error,
			 const struct artifact *artifact);

/* A file that somebody else is to read is kept as it is, with the header behind it instead of before it. Who reads
 * it must survive that it is damaged or shrinks. */

/* Opens it for reading. Returns 0 with a descriptor, -ENOENT, or the error that was stored. */
int artifact_cache_open_file(struct artifact_cache *cache, const struct artifact_key *key, int *ret);

/* Stores it. Returns as artifact_cache_write() does; -EFBIG: the cache is too small for it. */
int artifact_cache_write_file(struct artifact_cache *cache, const struct artifact_key *key,
			      const void *bytes, size_t size);

/* Would anything be written now? Not without a cache, and not after a full disk. */
bool artifact_cache_takes_writes(struct artifact_cache *cache);

/* Counts a write that has ended, 0 or -errno, as artifact_cache_write() does by itself: for one that never ends. */
void artifact_cache_count_write(struct artifact_cache *cache, int error);

/* Counts since it was opened; of no cache all are 0. */
void artifact_cache_get_statistics(struct artifact_cache *cache, struct artifact_cache_statistics *ret);
