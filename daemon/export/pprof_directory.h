/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A flight recorder: a sink that writes each interval's pprof into a directory (names: pprof_files.h)
 * and removes its oldest files by age and total size. Put it behind an exporter that has no spool on
 * disk: what it writes is on a disk already.
 *
 * A file gets its name when it is complete and durable. Only files of this host and user with such a
 * name are ever removed.
 */
#pragma once

#include "export/sink.h"
#include "profile/profile.h"

struct pprof_directory_options {
	const char *directory; /* made when missing (mode 0700), not those above it */
	const char *host;      /* for the names */
	uint64_t max_age_ns;   /* since an interval began; 0: no limit */
	uint64_t max_bytes;    /* of this host's files; 0: PPROF_DIRECTORY_MAX_BYTES */
	uint64_t (*now_ns)(void); /* CLOCK_REALTIME; NULL: the system's */
};

#define PPROF_DIRECTORY_MAX_BYTES ((uint64_t)1 << 30)

struct pprof_directory_statistics {
	uint64_t files_written, bytes_written;
	uint64_t files_rotated, bytes_rotated; /* removed, for age or size */
	uint64_t files_sacrificed;	       /* of these: because the disk was full */
	uint64_t failures;		       /* attempts to write that failed */
};

/* Takes pprof payloads, compressed or not. While the directory cannot be written, send() answers SINK_RETRY.
 * On a full disk the oldest own files go first. Returns 0 or -ENOMEM. */
int pprof_directory_new(const struct pprof_directory_options *options, struct sink **ret);

/* From any thread. */
void pprof_directory_statistics(struct sink *sink, struct pprof_directory_statistics *ret);

/* What pprof_directory_merge() found. */
struct pprof_selection {
	size_t merged;	 /* files */
	size_t skipped;	 /* damaged, of other sample types, or gone while they were read */
};

/* One profile of all intervals in the directory that touch [since, until), CLOCK_REALTIME, of `host`
 * (NULL: of any) with that kind in their names ("": CPU time): `bolometer dump --last 10m`. Returns 0, -ENOENT when there is none, -ENOMEM, or
 * -errno. The caller frees the profile. */
int pprof_directory_merge(const char *directory, const char *host, const char *kind,
			  int64_t since_ns, int64_t until_ns, struct pprof_selection *ret_selection,
			  struct profile **ret);
