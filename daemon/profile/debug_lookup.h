/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Searches for debug files (process/debug_files.h) off the event loop: the file system of the process, or a
 * directory in it, may hang.
 */
#pragma once

#include "base/offload.h"
#include "process/debug_files.h"

struct debug_lookup {
	struct debug_search search; /* with how far it came */
	int file;		    /* may be taken; -1: nothing was found */
};

/* `lookup` is NULL when the search hangs, and the callback's to read until it returns. */
typedef void (*debug_lookup_callback)(void *userdata, struct debug_lookup *lookup);

struct debug_lookup_request {
	uint64_t key; /* of the offload: what hangs together */
	const struct debug_search *search; /* all copied, facts and path too */
	/* The supplementary file instead of the next candidate; NULL: the candidate. */
	const char *supplementary_path;
	const uint8_t *supplementary_id;
	size_t supplementary_id_size;
	debug_lookup_callback callback;
	void *userdata;
};

/* The callback is never called from within. Returns 0 or -errno. */
int debug_lookup_start(struct offload *offload, const struct debug_lookup_request *request);
