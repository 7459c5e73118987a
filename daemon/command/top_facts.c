/* SPDX-License-Identifier: Apache-2.0 */
/* See top_facts.h. The names of the counters are those of bpf/counters.h and recording_comments.c. */
#include "command/top_facts.h"

#include "base/arithmetic.h"
#include "base/text.h"

#include <string.h>

struct counter_place {
	const char *name;
	size_t offset;
};

#define PLACE(name, field) {name, offsetof(struct top_counters, field)}

static const struct counter_place places[] = {
	PLACE("samples", samples),	   PLACE("lost_ring_full", lost),
	PLACE("lost_scratch", lost),	   PLACE("dropped_samples", lost),
	PLACE("missed", missed),	   PLACE("sideband_lost", sideband_lost),
	PLACE("own_cpu_ns", own_cpu_ns), PLACE("bpf_ns", bpf_ns),
};

static void add_counter(struct top_counters *counters, size_t offset, uint64_t value)
{
	*(uint64_t *)((char *)counters + offset) += value;
}

/* Stacks of tasks without user code are whole too, see bpf/counters.h. */
static bool is_whole(const char *end)
{
	return strcmp(end, "complete") == 0 || strcmp(end, "exiting") == 0 ||
	       strcmp(end, "starting a program") == 0;
}

static void read_comment(const char *name, uint64_t value, struct top_counters *counters,
			 uint64_t *memory_bytes)
{
	if (strncmp(name, "end.", 4) == 0) {
		counters->stacks += value;
		counters->truncated += is_whole(name + 4) ? 0 : value;
	}
	if (strcmp(name, "memory_bytes") == 0)
		*memory_bytes = value;
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++)
		if (strcmp(name, places[i].name) == 0)
			add_counter(counters, places[i].offset, value);
}

static void read_comments(const struct profile *profile, struct top_counters *counters,
			  uint64_t *memory_bytes)
{
	for (size_t i = 0; i < profile->comments.count; i++) {
		const char *comment = profile_text(profile, profile->comments.items[i]);
		const char *sign = strchr(comment, '=');
		char name[64];
		uint64_t value;
		if (!sign || (size_t)(sign - comment) >= sizeof(name) ||
		    text_parse_u64(sign + 1, 0, UINT64_MAX, &value) < 0)
			continue;
		memcpy(name, comment, (size_t)(sign - comment));
		name[sign - comment] = '\0';
		read_comment(name, value, counters, memory_bytes);
	}
}

static uint64_t count_processes(const struct profile *profile)
{
	struct hash seen = {0};
	uint64_t unlabelled = 0;
	for (size_t i = 0; i < profile->labels.count; i++) {
		const struct profile_label *label = &profile->labels.items[i];
		if (strcmp(profile_text(profile, label->key), "process.pid") == 0 &&
		    hash_put(&seen, (uint64_t)label->number, 1) < 0)
			unlabelled = 1;
	}
	uint64_t count = seen.count + unlabelled;
	hash_free(&seen);
	return count;
}

void top_facts_read(const struct profile *profile, struct top_facts *ret)
{
	*ret = (struct top_facts){.time_ns = profile->time_ns,
				  .duration_ns = profile->duration_ns,
				  .unit = ""};
	if (profile->sample_types.count) {
		size_t types = profile->sample_types.count;
		size_t value = profile_default_value(profile);
		for (size_t i = 0; i < profile->samples.count; i++)
			ret->total = add_saturating(ret->total,
						    profile->values.items[i * types + value]);
		ret->unit = profile_text(profile, profile->sample_types.items[value].unit);
	}
	if (strcmp(ret->unit, "nanoseconds") == 0)
		ret->cpu_ns = ret->total;
	ret->stacks = profile->samples.count;
	ret->processes = count_processes(profile);
	read_comments(profile, &ret->of_interval, &ret->memory_bytes);
	ret->has_costs = ret->of_interval.samples > 0;
}
