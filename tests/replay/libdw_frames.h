/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames that elfutils' libdw finds in a stopped process: an unwinder that shares nothing with ours.
 */
#pragma once

#include "unwinder.h"

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <sys/types.h>

struct libdw_frames {
	u32 count;
	const char *error; /* why the walk did not end at the thread's entry; NULL: it did */
	/* Where each frame is: its pc, or for a caller the call, one byte before it. */
	u64 addresses[MAX_USER_FRAMES];
	bool is_activation[MAX_USER_FRAMES]; /* libdw's word for a pc that is exact */
};

/* Attaches to a process that is traced and stopped by us. NULL on failure. */
Dwfl *libdw_open(pid_t pid);

void libdw_walk(Dwfl *dwfl, pid_t pid, struct libdw_frames *ret);
