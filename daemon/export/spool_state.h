/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a spool, for the files spool*.c alone. All of it is called with the lock held. */
#pragma once

#include "export/spool.h"
#include "export/spool_segment.h"

#include <pthread.h>

/* So many of the oldest payloads carry a durable note that they may be sent (spool_format.h), so a long
 * backlog costs one sync for so many sends. */
#define ARM_BATCH 16

struct spool_entry {
	struct record_header header; /* complete once it was written */
	struct segment *segment;     /* NULL: only in memory */
	uint64_t offset;	     /* in the segment */
	char *bytes;		     /* while only in memory */
	uint64_t id;		     /* names it in this process */
	enum record_state state;     /* on disk, if the disk took it */
	bool is_gone;
};

struct spool {
	pthread_mutex_t lock;
	char *path; /* NULL: only in memory */
	int directory;
	bool directory_unsynced;
	uint64_t max_bytes, max_memory_bytes, segment_bytes;
	uint32_t boot;

	ARRAY(struct spool_entry) entries; /* by order; those before `first` are gone */
	size_t first;
	ARRAY(struct segment *) segments; /* by age */
	struct segment *newest;		  /* of these, the one to append to; NULL: make one */

	uint64_t next_id, next_sequence, next_order;
	uint64_t samples_written; /* in all records ever */
	uint64_t asked_id;	  /* of the last payload that the disk was asked for ahead */
	uint64_t out;		  /* id of the payload that is being sent; 0: none */
	bool is_quiet;		  /* the disk's refusal was logged */
	struct spool_statistics statistics;

	pthread_mutex_t published_lock; /* never held while the disk works */
	struct spool_statistics published;
};

/* -- the queue (spool_queue.c) -------------------------------------------------------------- */

static inline void amount_add(struct amount *amount, const struct record_header *header)
{
	amount->payloads++;
	amount->samples += header->samples;
	amount->bytes += header->size;
}

static inline void amount_subtract(struct amount *amount, const struct record_header *header)
{
	amount->payloads--;
	amount->samples -= header->samples;
	amount->bytes -= header->size;
}

/* The oldest; NULL: nothing waits. */
struct spool_entry *spool_first(struct spool *spool);

/* The one that is out for sending, if this is its id, or NULL. It is the oldest, or nearly so. */
struct spool_entry *spool_find_out(struct spool *spool, uint64_t id);

/* Gives the room of entries that are gone back when they are as many as the others. */
void spool_compact(struct spool *spool);

/* Takes the entry out of the queue, uncounted: its place in memory or on disk is given back. */
void spool_forget(struct spool *spool, struct spool_entry *entry);

/* The same, counted as dropped. */
void spool_discard(struct spool *spool, struct spool_entry *entry, enum drop_reason reason);

/* Appends an entry, or inserts it at an index >= first; owns its bytes. Returns 0 or -ENOMEM. */
int spool_insert(struct spool *spool, size_t index, const struct spool_entry *entry);

/* Copies the entry's bytes. Returns 0, -EBADMSG, -ENOMEM or -errno. */
int spool_load(const struct spool_entry *entry, char **ret_bytes);

/* Drops the oldest payloads that are over the limits of memory and number. */
void spool_enforce_limits(struct spool *spool);

/* -- the disk (spool_disk.c) ---------------------------------------------------------------- */

/* Opens and locks the directory. Returns 0, -EBUSY or -errno. */
int spool_open_directory(struct spool *spool);

/* Writes what is only in memory, oldest first, and notices a disk that refuses or is back. */
int spool_write_out(struct spool *spool);

/* spool_write_out() and all of it durable; notices a directory that was taken away. */
int spool_sync_locked(struct spool *spool);

/* Notes on disk that the entry is being sent. */
void spool_note_sending(struct spool *spool, struct spool_entry *entry);

/* Sets the state in memory and on disk. */
void spool_set_state(struct spool *spool, struct spool_entry *entry, enum record_state state);

/* Removes the files of segments that hold nothing any more; `all`: the newest too. */
void spool_remove_done(struct spool *spool, bool all);

/* -- what an earlier run left (spool_recover.c) --------------------------------------------- */

/* Returns 0, -ENOMEM, or -errno. */
int spool_recover(struct spool *spool);
