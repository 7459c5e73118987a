/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An artifact on its way into the cache. To make a file takes a tenth of a millisecond on a good day and seconds behind
 * somebody else's sync, so a thread does it (base/offload.h): the loop that drains the rings never waits for the
 * cache's disk, and a disk that hangs costs what would have been stored, nothing else.
 *
 * It has owners on both sides: a thread that was left behind may read the artifact long after the loop has gone on.
 */
#pragma once

#include "base/offload.h"
#include "binary/artifact_cache.h"
#include "binary/symbol_index.h"

#include <stdatomic.h>

/* The offload's keys of all that writes to the cache and all that reads it: who hangs, hangs alone. No device has these
 * numbers. */
#define ARTIFACT_WRITING_KEY UINT64_MAX
#define ARTIFACT_READING_KEY (UINT64_MAX - 1)
#define ARTIFACT_WORK_TIMEOUT_NS (3 * NS_PER_SECOND)

struct artifact_writing {
	atomic_uint references;
	struct artifact_cache *cache; /* a reference of its own */
	struct artifact_key key;
	int error;		  /* 0, or what is stored instead of an artifact */
	struct artifact artifact; /* .bytes NULL: none */
	void (*release)(const struct artifact *artifact); /* of its bytes */
	bool is_file; /* the entry is the file in the artifact's section SECTION_DWARF_FILE */
	bool wants_index; /* it is an ARTIFACT_SYMBOLS that will be read where it lies */
	/* When it is done: */
	int result; /* of artifact_cache_write() */
	int file;   /* with is_file: the entry, opened; -1: it cannot be */
	bool has_index; /* with wants_index: it could be opened */
	struct symbol_index index;
};

/* Copies the key, takes the artifact over, and neither on failure. Returns 0 or -ENOMEM. */
int artifact_writing_new(struct artifact_cache *cache, const struct artifact_key *key, int error,
			 const struct artifact *artifact, void (*release)(const struct artifact *artifact),
			 struct artifact_writing **ret);

/* Gives back the caller's reference. Accepts NULL. Returns NULL. */
struct artifact_writing *artifact_writing_free(struct artifact_writing *writing);

/* Has a thread write it; `done` as in struct offload_work, where `error` -ETIMEDOUT says that the disk hangs, and what
 * else failed is the cache's to count. Returns 0 or -errno. */
int artifact_writing_start(struct artifact_writing *writing, struct offload *offload,
			   void (*done)(void *userdata, int error, void *argument), void *userdata);
