/* SPDX-License-Identifier: Apache-2.0 */
/* An update of a JIT map in one go, without threads and without a parser child. */
#pragma once

#include "binary/jit_build.h"
#include "process/jit_map.h"

#include <errno.h>

static inline void jit_update_keep(const struct artifact *artifact)
{
}

static inline void jit_update_merge(struct jit_map *map)
{
	struct jit_merging *merging = jit_map_merge(map);
	jit_merging_run(merging);
	jit_map_take_merging(map, merging);
	jit_merging_free(merging);
}

/* Returns the update's result. `limit`: so many excerpts are answered, all others are lost. */
static inline int jit_update_losing(struct jit_map *map, const struct process *process, const char *proc_path,
				    uint64_t now, size_t byte_budget, unsigned limit)
{
	struct jit_statistics statistics;
	jit_map_begin(map, now, byte_budget);
	while (jit_map_step(map) != JIT_IDLE) {
		struct text answer = {0};
		struct artifact artifact;
		if (jit_map_step(map) == JIT_READ) {
			struct jit_reading *reading = jit_map_read(map, process, proc_path);
			jit_reading_run(reading);
			jit_map_take_reading(map, reading);
			jit_reading_free(reading);
			continue;
		}
		const struct jit_excerpt *excerpt = jit_map_excerpt(map);
		int r = limit ? jit_build(excerpt->file, &excerpt->source, &answer) : -ECHILD;
		if (r == 0)
			r = artifact_check(answer.bytes, answer.length, ARTIFACT_JIT, &artifact);
		if (jit_map_answer(map, r, r < 0 ? NULL : &artifact, jit_update_keep))
			jit_update_merge(map);
		limit -= limit ? 1 : 0;
		text_free(&answer);
	}
	jit_map_get_statistics(map, &statistics);
	return statistics.result;
}

static inline int jit_update(struct jit_map *map, const struct process *process, const char *proc_path,
			     uint64_t now, size_t byte_budget)
{
	return jit_update_losing(map, process, proc_path, now, byte_budget, -1U);
}
