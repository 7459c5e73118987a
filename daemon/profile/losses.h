/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What userspace did not understand, refused or gave up, beside what the BPF side counts: the other half
 * of "nothing vanishes uncounted". One list gives the fields and the names in a profile's comments.
 */
#pragma once

#include "collect/collector.h"
#include "process/jit_map.h"

/* LOSS(name, source, what it counts): of a collector_statistics `c`; 0: somebody else adds it */
#define RECORDING_LOSSES(LOSS)                                                             \
	LOSS(binaries_failed, c->binaries.failed,                                          \
	     "files whose unwind table could not be made: frame pointers only")            \
	LOSS(binaries_unopened, c->binaries.unopened,                                      \
	     "files that could not be opened: frame pointers only, no names")              \
	LOSS(binaries_arena_full, c->binaries.arena_full,                                  \
	     "files whose table found no room: frame pointers only")                       \
	LOSS(binaries_forgotten, c->binaries.forgotten,                                    \
	     "files forgotten because there were too many; met again, they are new")       \
	LOSS(binaries_idle, c->binaries.idle,                                              \
	     "files given up because no sample met them for long; met again, they are read anew") \
	LOSS(heap_probes_refused, c->heap.failed,                                  \
	     "files of a process whose allocator could not be probed")                     \
	LOSS(heap_processes_refused, c->heap.processes_refused,                            \
	     "processes whose allocators were not probed because there were too many")     \
	LOSS(heap_processes_yielded, c->heap.processes_yielded,                            \
	     "processes that did not run, whose allocators were left for others that did")  \
	LOSS(heap_processes_missed, c->heap.missed + c->heap_windows.missed,               \
	     "processes that ended before their allocator was probed")                     \
	LOSS(heap_processes_brief, c->heap.brief,                                          \
	     "programs that ended before they were old enough for their allocator to be probed") \
	LOSS(heap_processes_leaderless, c->heap.leaderless,                                \
	     "processes whose allocator is not probed, as their main thread has ended")    \
	LOSS(heap_ended_lost, c->heap_ended_lost,                                          \
	     "places of ended processes that are in no heap profile, for lack of room")    \
	LOSS(heap_totals_unsettled, c->heap_totals_unsettled,                              \
	     "times that the sums of a process up to a change of its probes were not all kept") \
	LOSS(contexts_failed, c->contexts.failed,                                          \
	     "looks at processes whose trace contexts were not found where they say")      \
	LOSS(contexts_refused, c->contexts.refused,                                        \
	     "processes whose trace contexts were not looked for because there were too many") \
	LOSS(samples_unlinked, 0, "samples without the link to their span, for lack of memory") \
	LOSS(names_refused, 0, "files without some of their names, for lack of room")      \
	LOSS(names_forgotten, 0, "files whose names were given up to make room")           \
	LOSS(code_names_forgotten, c->code_forgotten,                                      \
	     "names of code that the kernel generated, forgotten because there were too many") \
	LOSS(parser_refused, c->parser.failed, "requests the parser child answered with an error") \
	LOSS(parser_children_killed, c->parser.children_killed,                            \
	     "parser children ended for hanging, being stopped or lying")                  \
	LOSS(parser_children_lost, c->parser.children_lost,                                \
	     "parser children that crashed or that somebody killed")                       \
	LOSS(parser_answers_rejected, c->parser.answers_rejected,                          \
	     "answers of a parser child that were wrong")                                  \
	LOSS(cache_damaged, c->cache.damaged, "cache entries that were damaged and deleted") \
	LOSS(cache_not_stored, c->cache.store_failures, "cache entries that could not be written") \
	LOSS(maps_lines_skipped, c->processes.bad_lines,                                   \
	     "lines of /proc/PID/maps not understood or past the limit")                   \
	LOSS(processes_unnamed, c->processes.unnamed, "processes whose executable could not be found") \
	LOSS(processes_forgotten, c->processes.evicted,                                    \
	     "processes forgotten because there were too many")                            \
	LOSS(jit_lines_bad, 0, "lines and records of JIT maps that were not understood")   \
	LOSS(jit_entries_dropped, 0, "JIT functions past the memory limit")                \
	LOSS(jit_bytes_unread, 0, "bytes of JIT maps there was no time to read, or no room for") \
	LOSS(jit_readings_lost, 0, "pieces of JIT maps whose parser child died or lied")   \
	LOSS(jit_maps_hanging, 0, "processes whose JIT map lies on a file system that hangs")

struct recording_losses {
#define LOSS_FIELD(name, source, what) uint64_t name;
	RECORDING_LOSSES(LOSS_FIELD)
#undef LOSS_FIELD
};

/* Fills all that the collector counts; the others become 0. */
void losses_collect(struct recording_losses *losses, const struct collector_statistics *collector);

/* Adds those of one process's JIT maps. */
void losses_add_jit(struct recording_losses *losses, const struct jit_map *map);

/* Calls back for each that is not zero. */
typedef void (*losses_callback)(void *userdata, const char *name, uint64_t count);
void losses_each(const struct recording_losses *losses, losses_callback callback, void *userdata);
