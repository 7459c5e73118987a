/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena of unwind tables: one linear space of 16-byte units in BPF array maps ("segments"), made as
 * needed and filled through memory. bpf/wire_unwind.h says how tables lie in it.
 *
 * A segment is mapped only while it is written, so that its pages are not counted twice, as map memory
 * and as ours.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"

struct arena_range {
	uint32_t first; /* units */
	uint32_t count;
};

struct arena {
	int map_fd;		  /* the array of maps; the skeleton's */
	uint64_t limit;		  /* bytes of segments at most */
	ARRAY(int) segments;	  /* descriptors of the segment maps */
	ARRAY(struct arena_range) free_ranges; /* sorted by first, never adjacent */
	uint64_t used;		  /* bytes of tables, rounded up to units */
};

/* `limit` in bytes is rounded down to whole segments. */
void arena_init(struct arena *arena, int map_fd, uint64_t limit);
void arena_deinit(struct arena *arena);

/* Places `size` bytes under the chunk rules of wire_unwind.h and copies them in. *ret_unit is the address in
 * units. Returns 0, -ENOSPC past the limit, or -errno. */
int arena_add(struct arena *arena, const void *bytes, size_t size, uint32_t *ret_unit);

/* Gives the range back. The caller has made sure that no program reads it any more. */
void arena_remove(struct arena *arena, uint32_t unit, size_t size);
