/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a flight recorder: a directory with one pprof file for each interval, called
 *
 *	bolometer-HOST-20261123T101500.123Z.pb.gz
 *
 * by the start of the interval in UTC; "-2" follows the time when that name was taken, as after a clock
 * that was set back; a profile of another kind than CPU time has its kind there, ".growth", ".oom-cpu". A host's characters outside [A-Za-z0-9._-] are '_'.
 */
#pragma once

#include "base/array.h"

#define PPROF_FILE_NAME_SIZE 160
#define PPROF_FILE_KIND_SIZE 32

struct pprof_file {
	char name[PPROF_FILE_NAME_SIZE];
	char kind[PPROF_FILE_KIND_SIZE]; /* "growth"; "": CPU time */
	int64_t start_ns; /* CLOCK_REALTIME, to the millisecond */
	int64_t written_ns;
	uint64_t size;
};
typedef ARRAY(struct pprof_file) pprof_files;

/* The name of a file; `kind` "" is CPU time, `attempt` > 1 gives it its "-2". */
void pprof_file_name(char name[static PPROF_FILE_NAME_SIZE], const char *host, const char *kind,
		     int64_t start_ns, unsigned int attempt);

/* Foreign text: is this such a name, of this host (NULL: of any)? */
bool pprof_file_parse(const char *name, const char *host, int64_t *ret_start_ns,
		      char ret_kind[static PPROF_FILE_KIND_SIZE]);

/* All such files in an open directory, oldest first: regular ones, and with `only_own` only this user's.
 * Free with array_free(). Returns 0 or -errno. */
int pprof_files_list(int directory, const char *host, bool only_own, pprof_files *ret);
