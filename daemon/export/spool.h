/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payloads that wait to be sent: a bounded queue on disk that survives kill -9, a full disk and the
 * loss of power at any byte. One spool belongs to one exporter and one directory.
 *
 * What it promises:
 * - Oldest first, at least once. A payload comes back after spool_again(), or after a restart when
 *   nobody said what became of it; then it may be a repetition, and is counted as maybe_repeated.
 * - After spool_sync() what was appended is on the disk. Not before: one sync for an interval's
 *   payloads, not one for each.
 * - Bounded: at max_bytes of files the oldest payloads are dropped, counted as DROP_QUEUE_FULL.
 * - While the disk refuses (full, read-only, directory gone) payloads stay in memory, up to
 *   max_memory_bytes, and are written as soon as it takes them; past that the oldest in memory are
 *   dropped, counted as DROP_DISK.
 * - Nothing leaves uncounted: taken + recovered = sent + waiting + all of dropped, in samples, whenever
 *   no call is running.
 *
 * Every function may be called from any thread; one payload is out for sending at a time.
 */
#pragma once

#include "base/attributes.h"
#include "export/sink.h"

struct spool;

enum drop_reason {
	DROP_QUEUE_FULL, /* the spool was full and this was the oldest */
	DROP_DISK,	 /* the disk did not take it and memory was full */
	DROP_REJECTED,	 /* the backend will never take it */
	DROP_TOO_LARGE,	 /* for the backend, and it cannot be split further; or for the spool */
	DROP_DAMAGED,	 /* its bytes on disk changed or were cut off */
	DROP_MEMORY,	 /* no memory to hold it */
	DROP_SHUTDOWN,	 /* only in memory when the daemon ended */
	DROP_NO_QUEUE,	 /* the exporter's queue could not be opened again after a reload */
	DROP_REASON_COUNT
};

/* Prometheus label and text for people: "queue_full". */
const char *drop_reason_name(enum drop_reason reason);

struct amount {
	uint64_t payloads, samples, bytes;
};

struct spool_statistics {
	struct amount taken;	 /* appended since the start */
	struct amount recovered; /* found on disk at the start, including what turned out damaged */
	struct amount sent;
	struct amount dropped[DROP_REASON_COUNT];
	struct amount waiting;	  /* on disk and in memory, the one being sent included */
	struct amount in_memory;  /* of `waiting`, what a kill would lose */
	uint64_t splits;	  /* payloads replaced by two halves */
	uint64_t maybe_repeated;  /* sent again although an earlier answer may have been lost */
	uint64_t damaged_bytes;	  /* on disk, of no readable record */
	uint64_t unmarked;	  /* sent, but the disk did not take the note: repeated after a kill */
	uint64_t disk_bytes;	  /* all files */
	uint64_t disk_failures;	  /* failed attempts to write or sync */
	int disk_error;		  /* -errno while the disk refuses, else 0 */
};

struct spool_options {
	const char *directory;	   /* made when missing; NULL: only in memory */
	uint64_t max_bytes;	   /* of files; 0: SPOOL_MAX_BYTES */
	uint64_t max_memory_bytes; /* of payloads that are not on disk; 0: SPOOL_MAX_MEMORY_BYTES */
	uint32_t boot;		   /* tells this boot from others; 0: from the kernel */
};

#define SPOOL_MAX_BYTES ((uint64_t)256 << 20)
#define SPOOL_MAX_MEMORY_BYTES ((uint64_t)32 << 20)
/* At most so many payloads wait: 7 days of an interval of 10 s, 10 MB of memory. */
#define SPOOL_MAX_PAYLOADS 65536

/* A payload taken out for sending. Free with spool_record_free(). */
struct spool_record {
	struct payload payload; /* bytes are this record's */
	uint64_t sequence;	/* names it in the calls below */
	bool maybe_repeated;	/* it may have been received before */
};

/* Opens the spool and takes up what an earlier run left. A directory that cannot be used is no error:
 * the spool then works in memory, disk_error says why, and it is tried again. Returns 0, -EBUSY when
 * another process has the directory, or -ENOMEM. */
int spool_open(const struct spool_options *options, struct spool **ret);

/* Closes; what is on disk stays. Accepts NULL. Returns NULL. */
struct spool *spool_free(struct spool *spool);

/* Queues a copy of the payload. Returns 0, -EFBIG or -ENOMEM: then it is counted as dropped. */
int spool_append(struct spool *spool, const struct payload *payload);

/* Writes what is only in memory, if the disk takes it now, and makes all of it durable. Returns 0 or
 * the -errno that is also in disk_error. */
int spool_sync(struct spool *spool);

/* The oldest payload, with a note on disk that it is being sent. Returns 0, -ENOENT when nothing
 * waits, -EAGAIN when one is out already, or -ENOMEM. */
int spool_next(struct spool *spool, struct spool_record *ret);
void spool_record_free(struct spool_record *record);

/* What became of the payload that is out: it arrived; it is dropped for `reason`; or it is to be sent
 * again, where `maybe_received` says that it may have arrived all the same. */
void spool_sent(struct spool *spool, uint64_t sequence);
void spool_drop(struct spool *spool, uint64_t sequence, enum drop_reason reason);
void spool_again(struct spool *spool, uint64_t sequence, bool maybe_received);

/* Replaces the payload that is out by two, which take its place in the order: after a kill either the
 * one or the two are there. The halves' samples must add up to its own. Returns 0, -EINVAL or
 * -ENOMEM: then nothing changed and it is still out. */
int spool_replace(struct spool *spool, uint64_t sequence, const struct payload halves[2]);

/* Drops what is only in memory, the payload that is out as well. */
void spool_drop_memory(struct spool *spool, enum drop_reason reason);

/* Never waits for the disk. */
void spool_statistics(struct spool *spool, struct spool_statistics *ret);
