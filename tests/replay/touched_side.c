/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel side's walk, compiled with a call before each load and store (-fsanitize=thread, without its library:
 * touched.c has the calls), and the names of what it keeps.
 */
#include "unwinder.c"

#include "kernel_objects.c"
#include "touched.h"

#define PART(name, first, end)                                                                    \
	{                                                                                         \
		name, __builtin_offsetof(struct scratch, first), __builtin_offsetof(struct scratch, end) \
	}

/* Parts of a scratch, in their order. */
static const struct {
	const char *name;
	u64 first, end;
} parts[] = {
	PART("state, recent stacks", new_binaries, mappings), PART("mappings", mappings, pc),
	PART("registers", pc, window_base),		      PART("window", window_base, sample),
	PART("record, frames", sample, trace),		      PART("kernel objects, proofs", trace, users),
	PART("rules", rules, kept),		      PART("kept processes", kept, kept[KEPT_PROCESSES]),
};

__attribute__((no_sanitize("thread"))) /* what is called at each access must not make any that count */
const char *touched_name(u64 address, u64 *ret_line)
{
	u64 at = address - (u64)&the_scratch;

	/* In the kernel a scratch begins 8 bytes before a line. */
	*ret_line = (at + CACHE_LINE - 8) / CACHE_LINE;
	for (u32 i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (at >= parts[i].first && at < parts[i].end)
			return parts[i].name;
	*ret_line = address / CACHE_LINE;
	for (u32 i = 0; current && i < current->chunk_count; i++)
		if (current->chunks[i] && address - (u64)current->chunks[i] < ARENA_CHUNK_SIZE)
			return "tables";
	return address - (u64)&the_counters < sizeof(the_counters) ? "counters" : 0;
}
