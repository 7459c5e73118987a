/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the file behind a mapping of a process, off the event loop: the file system may be a FUSE or NFS
 * mount whose server hangs. process_open.h says how a file is looked for.
 */
#pragma once

#include "base/offload.h"

#include <sys/stat.h>

struct mapping_question {
	uint32_t pid;
	uint64_t start, end;
	uint64_t inode;
	uint32_t device;  /* kernel encoding: files of one device hang together */
	const char *path; /* as the process sees it; copied; NULL: unknown */
};

struct mapping_answer {
	uint32_t pid;
	uint64_t inode;
	uint32_t device;
	const char *path;
	int file; /* may be taken; -1: it could not be opened */
	struct stat st; /* with a file */
	bool on_overlay; /* with a file: on overlayfs */
};

/* `answer` is NULL when opening took too long, and the callback's to read until it returns. */
typedef void (*mapping_callback)(void *userdata, struct mapping_answer *answer);

/* The callback is never called from within. Returns 0 or -errno. */
int mapping_open(struct offload *offload, const char *proc_path,
		 const struct mapping_question *question, mapping_callback callback,
		 void *userdata);
