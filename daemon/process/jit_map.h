/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of JIT-compiled code in one process, from what the runtime itself writes: a perf map
 * (/tmp/perf-PID.map, text, appended to) or a jitdump file (jit-PID.dump, binary, timestamped).
 * Both are read through the process's own root with its inner pid, both are foreign bytes: sizes are
 * capped, lines may lie, an owner other than the process's user or root is refused.
 *
 * Each entry is valid from the moment it was seen (perf map) or written (jitdump), until a later
 * entry covers its addresses: a lookup names the code that was there when the sample was taken.
 *
 * Sources: linux tools/perf/Documentation/jit-interface.txt, jitdump-specification.txt.
 */
#pragma once

#include "base/attributes.h"
#include "process/process.h"

struct jit_map;
struct jit_update;

struct jit_symbol {
	const char *name;    /* valid until the next update of the map */
	uint64_t start, size;
	uint64_t generation; /* differs when other code came to the same address */
	const char *file;    /* jitdump debug info, "" when there is none */
	uint32_t line;
};

struct jit_statistics {
	uint64_t entries, bytes_read, bad_lines, dropped; /* dropped: past the limit */
	uint64_t given_up;     /* 1: jit_map_give_up() */
	uint64_t bytes_unread; /* of the files as they were at the last look: past the budget */
};

/* The process's map, created empty on first use. NULL when out of memory. */
struct jit_map *jit_map_of(struct process *process);
struct jit_map *jit_map_free(struct jit_map *map);

/* A jitdump file seen in the process's mappings. */
void jit_map_set_dump(struct jit_map *map, const char *path);

/* Reads what was appended since the last call. `now` is CLOCK_MONOTONIC ns: perf map entries found
 * now count as valid since the previous update. Returns 1 when there is news, 0, or -errno (ENOENT
 * when the process writes no map). At most `byte_budget` bytes are read in one call. */
int jit_map_update(struct jit_map *map, const struct process *process, const char *proc_path,
		   uint64_t now, size_t byte_budget);

/*
 * The same in three steps, the second of which may run in another thread and hang there. Between the first and
 * the last nothing is known of the code. `proc_path` must stay valid.
 * Returns NULL when out of memory, or when another update is under way or was given up.
 */
struct jit_update *jit_update_new(struct jit_map *map, const struct process *process,
				  const char *proc_path, uint64_t now, size_t byte_budget);
void jit_update_run(struct jit_update *update);
/* Returns what jit_map_update() does. The update is still to be freed. */
int jit_map_take_back(struct jit_map *map, struct jit_update *update);
struct jit_update *jit_update_free(struct jit_update *update);
/* The update does not come back: from now on nothing is known of the process's code. */
void jit_map_give_up(struct jit_map *map);
bool jit_map_is_lent(const struct jit_map *map);

/* The code at `address` at `time`. Returns false when it has no name. */
bool jit_map_find(const struct jit_map *map, uint64_t address, uint64_t time,
		  struct jit_symbol *ret);

void jit_map_get_statistics(const struct jit_map *map, struct jit_statistics *ret);
