/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of JIT-compiled code in one process, from what the runtime itself writes: a perf map
 * (/tmp/perf-PID.map, text, appended to) or a jitdump file (jit-PID.dump, binary, timestamped).
 * Both are read through the process's own root with its inner pid, both are foreign bytes: sizes are
 * capped, lines may lie, an owner other than the process's user or root is refused. A thread copies what is
 * new (jit_reading.h), the parser child says what is in the copy (jit_table.h), a thread adds it to what is known
 * (jit_merging.h).
 *
 * Each entry is valid from the moment it was seen (perf map) or written (jitdump), until a later
 * entry covers its addresses: a lookup names the code that was there when the sample was taken.
 *
 * An update goes step by step, and who drives it does what jit_map_step() says. Meanwhile what is known is
 * known.
 *
 * Sources: linux tools/perf/Documentation/jit-interface.txt, jitdump-specification.txt.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"
#include "process/jit_merging.h"
#include "process/jit_reading.h"
#include "process/process.h"

struct jit_map;

struct jit_symbol {
	const char *name;    /* valid until jit_map_release() */
	uint64_t start, size;
	uint64_t generation; /* differs when other code came to the same address */
	const char *file;    /* jitdump debug info, "" when there is none */
	uint32_t line;
};

struct jit_statistics {
	uint64_t entries, bytes_read, bad_lines, dropped; /* dropped: past the limit */
	uint64_t given_up;     /* 1: jit_map_give_up() */
	uint64_t bytes_unread; /* of the files as they were at the last look: past the budget, without room, or lost */
	uint64_t readings_lost; /* excerpts that no parser child answered for */
	int result; /* of the last update: 1 news, 0, or -errno (ENOENT: the process writes no map) */
};

enum jit_step {
	JIT_IDLE,  /* no update is under way */
	JIT_READ,  /* jit_map_read(), then jit_reading_run() in a thread, then jit_map_take_reading() */
	JIT_PARSE, /* jit_map_excerpt() is to be parsed, then jit_map_answer() */
	JIT_MERGE, /* jit_map_merge(), then jit_merging_run() in a thread, then jit_map_take_merging() */
};

/* The process's map, created empty on first use. NULL when out of memory. */
struct jit_map *jit_map_of(struct process *process);
struct jit_map *jit_map_free(struct jit_map *map);

/* A jitdump file seen in the process's mappings. */
void jit_map_set_dump(struct jit_map *map, const char *path);

/* Begins to read what was appended since the last update, at most about `byte_budget` bytes. `now` is
 * CLOCK_MONOTONIC ns: perf map entries found now count as valid since the previous update. Nothing, when one is
 * under way or the map was given up. */
void jit_map_begin(struct jit_map *map, uint64_t now, size_t byte_budget);
enum jit_step jit_map_step(const struct jit_map *map);

/* `proc_path` must stay valid. NULL: out of memory, and the update has ended. */
struct jit_reading *jit_map_read(struct jit_map *map, const struct process *process,
				 const char *proc_path);
/* Takes over what was found; the reading is still to be freed. */
void jit_map_take_reading(struct jit_map *map, struct jit_reading *reading);
/* The reading or the merge hangs: nothing more is read of this process's files. */
void jit_map_give_up(struct jit_map *map);

const struct jit_excerpt *jit_map_excerpt(const struct jit_map *map);
/* The artifact is looked at only without an error. With one the excerpt is lost, and read once more by the next
 * update; not for ever. Returns true when the artifact is the map's from now on, to be given back with `release`. */
bool jit_map_answer(struct jit_map *map, int error, const struct artifact *artifact,
		    void (*release)(const struct artifact *artifact));

/* The caller's, to be run once. */
struct jit_merging *jit_map_merge(struct jit_map *map);
/* Takes over what came of it; the merging is still to be freed. */
void jit_map_take_merging(struct jit_map *map, const struct jit_merging *merging);

/* The code at `address` at `time`. Returns false when it has no name; otherwise no merge goes on until
 * jit_map_release(). */
bool jit_map_find(const struct jit_map *map, uint64_t address, uint64_t time,
		  struct jit_symbol *ret);
void jit_map_release(const struct jit_map *map);

void jit_map_get_statistics(const struct jit_map *map, struct jit_statistics *ret);
