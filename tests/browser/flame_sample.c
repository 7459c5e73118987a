/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See flame_sample.h. A stack's number, written in a mixed base, chooses the callee at each branching
 * depth; between the branches come fixed runs of callees, as frameworks have them. So stacks share
 * their roots the way real ones do, and no two are the same.
 */
#include "flame_sample.h"

#include <errno.h>
#include <stdio.h>

#define FUNCTION_COUNT 4000u
#define SAMPLE_NS 10101010

static const char *const words[] = {
	"parse", "read", "write", "lookup", "encode", "hash", "update", "flush", "accept", "commit",
	"render", "visit", "allocate", "resolve", "schedule", "compare",
};
static const char *const areas[] = {
	"http::Server", "sql::Executor", "json", "net::Socket", "cache::Shard", "std::vector<Entry>",
	"storage::PageCache", "runtime",
};

static enum frame_type type_of(uint32_t function)
{
	switch (function % 23) {
	case 3: case 4: return FRAME_TYPE_GO;
	case 7: return FRAME_TYPE_JIT;
	case 11: case 12: return FRAME_TYPE_INTERPRETER;
	default: return FRAME_TYPE_NATIVE;
	}
}

/* Location i is function i; every seventh has an inlined function, i + 1's, in front. */
static void add_functions(struct profile *p, bool *failed)
{
	for (uint32_t i = 0; i < FUNCTION_COUNT; i++) {
		bool is_kernel = i % 10 == 9, has_inlined = i % 7 == 2;
		char name[96];
		snprintf(name, sizeof(name), "%s%s%s_%u",
			 is_kernel ? "" : areas[i / 16 % ARRAY_LENGTH(areas)],
			 is_kernel ? "" : "::", words[i % ARRAY_LENGTH(words)], i);
		struct profile_function function = {.name = profile_string(p, name, failed)};
		*failed |= array_add(&p->functions, function) < 0;
		struct profile_location location = {
			.mapping = PROFILE_NONE, .address = 0x1000 + 16 * i,
			.first_line = (uint32_t)p->lines.count, .line_count = has_inlined ? 2 : 1,
			.type = is_kernel ? FRAME_TYPE_KERNEL : type_of(i)};
		if (has_inlined)
			*failed |= array_add(&p->lines, (struct profile_line){
				.function = (i + 1) % FUNCTION_COUNT}) < 0;
		*failed |= array_add(&p->lines, (struct profile_line){.function = i}) < 0;
		*failed |= array_add(&p->locations, location) < 0;
	}
	struct profile_function mark = {.name = profile_string(p, "[tables not ready]", failed)};
	*failed |= array_add(&p->functions, mark) < 0;
	*failed |= array_add(&p->lines, (struct profile_line){.function = FUNCTION_COUNT}) < 0;
	*failed |= array_add(&p->locations, (struct profile_location){
		.mapping = PROFILE_NONE, .first_line = (uint32_t)p->lines.count - 1,
		.line_count = 1, .type = FRAME_TYPE_MARK}) < 0;
}

static size_t build_stack(uint32_t stack, uint32_t *frames)
{
	uint32_t digits = stack, at = 17, depth = 0;
	uint32_t levels = 8 + (uint32_t)(hash_mix(stack) % 33);
	for (uint32_t level = 0; level < levels || digits; level++) {
		uint32_t choice = 0;
		if (level % 3 == 1) {
			choice = digits % 7;
			digits /= 7;
		}
		at = (uint32_t)((hash_mix(at + level) + 571ULL * choice) % FUNCTION_COUNT);
		frames[depth++] = at;
	}
	if (stack % 97 == 5)
		frames[depth++] = FUNCTION_COUNT;
	return depth;
}

int flame_sample_profile(size_t stacks, uint32_t variant, struct profile **ret)
{
	_cleanup_profile_ struct profile *p = NULL;
	bool failed = false;
	if (profile_new(&p) < 0)
		return -ENOMEM;
	failed |= array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "samples", &failed), profile_string(p, "count", &failed)}) < 0;
	failed |= array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "cpu", &failed), profile_string(p, "nanoseconds", &failed)}) < 0;
	add_functions(p, &failed);
	for (uint32_t stack = 0; stack < stacks && !failed; stack++) {
		uint32_t frames[128];
		size_t depth = build_stack(stack, frames);
		int64_t count = 1 + (int64_t)(hash_mix(stack + variant * 1000003ULL) % 1000) / 100;
		if (stack % 7 == variant)
			count *= 3;
		failed |= array_add(&p->samples, (struct profile_sample){
			.first_location = (uint32_t)p->stack_locations.count,
			.location_count = (uint32_t)depth}) < 0;
		for (size_t i = depth; i-- > 0;)
			failed |= array_add(&p->stack_locations, frames[i]) < 0;
		failed |= array_add(&p->values, count) < 0 ||
			  array_add(&p->values, count * SAMPLE_NS) < 0;
	}
	if (failed)
		return -ENOMEM;
	*ret = take_pointer(p);
	return 0;
}
