/* SPDX-License-Identifier: Apache-2.0 */
/* One hash lookup for the stack, one for the entry: about what a sample costs here. */
#include "profile/aggregate.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#define DEFAULT_FRAMES (16UL << 20)
#define DEFAULT_ENTRIES (4UL << 20)

void aggregate_init(struct aggregate *aggregate, const struct aggregate_limits *limits)
{
	*aggregate = (struct aggregate){0};
	if (limits)
		aggregate->limits = *limits;
	if (!aggregate->limits.frames)
		aggregate->limits.frames = DEFAULT_FRAMES;
	if (!aggregate->limits.entries)
		aggregate->limits.entries = DEFAULT_ENTRIES;
}

void aggregate_clear_entries(struct aggregate *aggregate)
{
	for (size_t i = 0; i < aggregate->entries.count; i++)
		process_unreference(aggregate->entries.items[i].process);
	aggregate->entries.count = 0;
	hash_clear(&aggregate->entries_by_key);
}

void aggregate_deinit(struct aggregate *aggregate)
{
	aggregate_clear_entries(aggregate);
	array_free(&aggregate->frames);
	array_free(&aggregate->stacks);
	array_free(&aggregate->entries);
	hash_free(&aggregate->stacks_by_id);
	hash_free(&aggregate->entries_by_key);
}

static int add_stack(struct aggregate *a, const struct record_sample *sample,
		     const uint64_t *frames, uint32_t *ret_index)
{
	size_t words = (size_t)sample->kernel_frames + sample->user_frames;
	if (a->frames.count + words > a->limits.frames)
		return -ENOSPC;
	struct aggregate_stack stack = {
		.first_frame = (uint32_t)a->frames.count,
		.kernel_frames = sample->kernel_frames,
		.user_frames = sample->user_frames,
		.has_addresses = sample->flags & SAMPLE_HAS_ADDRESSES,
	};
	int r = array_reserve(&a->frames, a->frames.count + words);
	if (r == 0)
		r = array_add(&a->stacks, stack);
	if (r == 0)
		r = hash_put(&a->stacks_by_id, sample->stack_id, a->stacks.count - 1);
	if (r < 0)
		return r;
	if (words)
		memcpy(a->frames.items + a->frames.count, frames, words * sizeof(*frames));
	a->frames.count += words;
	*ret_index = (uint32_t)a->stacks.count - 1;
	return 0;
}

/* The index of the sample's stack. Returns 0, or negative when it is not known or does not fit. */
static int find_stack(struct aggregate *a, const struct record_sample *sample,
		      const uint64_t *frames, uint32_t *ret_index)
{
	const uint64_t *known = hash_get(&a->stacks_by_id, sample->stack_id);
	if (known) {
		*ret_index = (uint32_t)*known;
		return 0;
	}
	return frames ? add_stack(a, sample, frames, ret_index) : -ENOENT;
}

static uint64_t entry_key(const struct aggregate_stack *stack, uint32_t stack_index,
			  const struct record_sample *sample, const struct process *process)
{
	uint64_t comm[2];
	memcpy(comm, sample->comm, sizeof(comm));
	uint64_t key = hash_mix((uint64_t)stack_index << 32 | sample->tid) ^ (uintptr_t)process;
	key = hash_mix(key) ^ comm[0];
	key = hash_mix(key) ^ comm[1];
	if (stack->has_addresses)
		key = hash_mix(key) ^ sample->header.time / NS_PER_SECOND;
	return key;
}

static int add_entry(struct aggregate *a, uint64_t key, uint32_t stack,
		     const struct record_sample *sample, struct process *process)
{
	if (a->entries.count >= a->limits.entries)
		return -ENOSPC;
	struct aggregate_entry entry = {
		.key = key,
		.stack = stack,
		.tid = sample->tid,
		.process = process,
		.time = sample->header.time,
		.count = 1,
		.weight = sample->weight,
		.end = sample->end,
	};
	memcpy(entry.comm, sample->comm, sizeof(entry.comm));
	entry.comm[COMM_SIZE - 1] = '\0';
	int r = array_add(&a->entries, entry);
	if (r == 0)
		r = hash_put(&a->entries_by_key, key, a->entries.count - 1);
	if (r < 0)
		return r;
	process_reference(process);
	return 0;
}

void aggregate_add(struct aggregate *a, const struct record_sample *sample, const uint64_t *frames,
		   struct process *process)
{
	uint32_t stack;
	int r = find_stack(a, sample, frames, &stack);
	if (r == 0) {
		uint64_t key = entry_key(&a->stacks.items[stack], stack, sample, process);
		const uint64_t *known = hash_get(&a->entries_by_key, key);
		if (known) {
			a->entries.items[*known].count++;
			a->entries.items[*known].weight += sample->weight;
		} else {
			r = add_entry(a, key, stack, sample, process);
		}
	}
	if (r < 0) {
		a->dropped++;
		a->dropped_weight += sample->weight;
		return;
	}
	a->samples++;
	a->weight += sample->weight;
	if (sample->end < STACK_END_MAX)
		a->ends[sample->end]++;
}
