/* SPDX-License-Identifier: Apache-2.0 */
/* Where the probes on the allocators of one file stand in one process, and the links that hold them. */
#pragma once

#include "binary/allocator.h"
#include "collect/closing_links.h"
#include "collect/programs.h"

struct heap_points {
	uint64_t offsets[ALLOCATOR_MAX_PROBES], cookies[ALLOCATOR_MAX_PROBES]; /* those that free come first */
	uint32_t count, free_count; /* all; those that free. The returns of the others are seen through the same points */
	bool is_stepped;  /* some stand on instructions that the kernel does not emulate */
};

struct heap_attached {
	int calls, returns; /* -1: not set. Of sessions: `calls` alone */
};

#define HEAP_ATTACHED_NONE {-1, -1}

/* Sets the probes in the process; `frees`: also those on functions that free. Returns 0 or -errno. */
int heap_points_attach(struct programs *programs, int file, uint32_t pid, const struct heap_points *points,
		   bool frees, struct heap_attached *ret);

/* Takes them away: waits for the kernel, some 30 ms. */
void heap_points_detach(struct heap_attached *links);

/* They go with the others there when those are closed. */
void heap_points_leave(struct heap_attached *links, struct closing_links *closing);
