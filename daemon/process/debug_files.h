/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for the separate debug file of a binary: by build id and by debuglink, in the file system of a
 * process that runs it, then in our own. What is found only has the right name; whether it belongs
 * to the binary is for the parser child to say, and when it doesn't the search goes on.
 */
#pragma once

#include "base/attributes.h"
#include "binary/facts.h"

#include <limits.h>

/* Fill the first part; zero the rest. Nothing is owned. */
struct debug_search {
	const char *proc_path;
	uint32_t pid;	  /* of a process that maps the binary; 0: none is known */
	const char *path; /* of the binary as that process sees it; NULL: unknown */
	const struct binary_facts *facts;

	unsigned int next; /* place to try next */
	char found[PATH_MAX]; /* path of the latest file, in the file system it was found in */
	bool found_in_process;
};

/* Opens the next candidate, a regular file, for reading. Returns a descriptor, or -ENOENT when all
 * places were tried. */
int debug_search_next(struct debug_search *search);

/* Opens the supplementary file (dwz) that the latest found debug file, or without one the binary,
 * refers to: by its build id, then by `path`. Returns a descriptor or -ENOENT. */
int debug_search_supplementary(const struct debug_search *search, const uint8_t *id, size_t id_size,
			       const char *path);
