/* SPDX-License-Identifier: Apache-2.0 */
/* What the made profiles of the benchmarks share: numbers that look random and are the same each time, names
 * like those of C++ programs, and stacks like those of a program that runs. */
#pragma once

#include "base/file.h"
#include "base/hash.h"
#include "format/pprof.h"

#include <string.h>

static inline uint32_t draw(uint64_t *state, uint32_t below)
{
	*state += 0x9e3779b97f4a7c15ULL;
	return (uint32_t)(hash_mix(*state) % below);
}

static inline const char *draw_word(uint64_t *state)
{
	static const char *const words[] = {"std",  "vector", "parse", "node",	 "emit", "visit",
					    "tree", "insert", "hash",  "symbol", "type", "scope"};
	return words[draw(state, 12)];
}

static inline uint32_t made_string(struct profile *p, const char *text)
{
	bool failed = false;
	uint32_t index = profile_string(p, text, &failed);
	if (failed)
		abort();
	return index;
}

/* The sample types of a CPU profile. */
static inline void add_cpu_types(struct profile *p)
{
	array_add(&p->sample_types, (struct profile_value_type){made_string(p, "samples"),
								made_string(p, "count")});
	array_add(&p->sample_types, (struct profile_value_type){made_string(p, "cpu"),
								made_string(p, "nanoseconds")});
	p->period_type = p->sample_types.items[1];
}

/* A location with one line of the function. */
static inline void add_made_location(struct profile *p, uint32_t function, uint32_t line,
				     uint32_t mapping, uint64_t address)
{
	array_add(&p->locations, (struct profile_location){.mapping = mapping,
		.first_line = (uint32_t)p->lines.count, .line_count = 1, .address = address});
	array_add(&p->lines, (struct profile_line){.function = function, .line = line});
}

/* The next stack, outermost frame first in `stack`, appended innermost first: it leaves the one before it at
 * some depth, as neighbours in a tree do. */
static inline void add_made_stack(struct profile *p, uint64_t *state, uint32_t *stack, uint32_t depth,
				  uint32_t locations)
{
	for (uint32_t k = draw(state, depth); k < depth; k++)
		stack[k] = draw(state, locations);
	for (uint32_t k = depth; k-- > 0;)
		array_add(&p->stack_locations, stack[k]);
}

/* A pprof file; NULL when it cannot be read. */
static inline struct profile *read_profile(const char *path)
{
	_cleanup_free_ char *bytes = NULL;
	struct pprof_failure failure;
	struct profile *profile = NULL;
	size_t size;
	if (read_whole_file(path, PPROF_SIZE_LIMIT, &bytes, &size) == 0)
		pprof_decode(bytes, size, 0, &failure, &profile);
	return profile;
}
