/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/losses.h"

void losses_collect(struct recording_losses *losses, const struct collector_statistics *collector)
{
	*losses = (struct recording_losses){
		.binaries_failed = collector->binaries.failed,
		.binaries_unopened = collector->binaries.unopened,
		.binaries_arena_full = collector->binaries.arena_full,
		.binaries_forgotten = collector->binaries.forgotten,
		.parser_refused = collector->parser.failed,
		.parser_children_killed = collector->parser.children_killed,
		.parser_children_lost = collector->parser.children_lost,
		.parser_answers_rejected = collector->parser.answers_rejected,
		.cache_damaged = collector->cache.damaged,
		.cache_not_stored = collector->cache.store_failures,
		.maps_lines_skipped = collector->processes.bad_lines,
		.processes_unnamed = collector->processes.unnamed,
		.processes_forgotten = collector->processes.evicted,
	};
}

void losses_add_jit(struct recording_losses *losses, const struct jit_map *map)
{
	struct jit_statistics jit;
	jit_map_get_statistics(map, &jit);
	losses->jit_lines_bad += jit.bad_lines;
	losses->jit_entries_dropped += jit.dropped;
	losses->jit_bytes_unread += jit.bytes_unread;
}

void losses_each(const struct recording_losses *losses, losses_callback callback, void *userdata)
{
#define LOSS_CALL(name, what)    \
	if (losses->name)        \
		callback(userdata, #name, losses->name);
	RECORDING_LOSSES(LOSS_CALL)
#undef LOSS_CALL
}
