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
	aggregate->times.count = 0;
	hash_clear(&aggregate->entries_by_key);
}

void aggregate_deinit(struct aggregate *aggregate)
{
	aggregate_clear_entries(aggregate);
	array_free(&aggregate->frames);
	array_free(&aggregate->stacks);
	array_free(&aggregate->entries);
	array_free(&aggregate->times);
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
			  const struct record_sample *sample, const struct process *process,
			  uint32_t cpu)
{
	uint64_t comm[2];
	memcpy(comm, sample->comm, sizeof(comm));
	uint64_t key = hash_mix((uint64_t)stack_index << 32 | sample->tid) ^ (uintptr_t)process;
	key = hash_mix(key) ^ comm[0];
	key = hash_mix(key) ^ comm[1];
	if (stack->has_addresses)
		key = hash_mix(key) ^ sample->header.time / NS_PER_SECOND;
	return cpu == AGGREGATE_ANY_CPU ? key : hash_mix(key) ^ cpu;
}

/* A time that finds no room is missed by nobody but OTLP: the sample itself is kept. */
static void add_time(struct aggregate *a, struct aggregate_entry *entry, uint64_t time)
{
	struct aggregate_time added = {.time = time, .previous = entry->last_time};
	if (a->limits.times == 0)
		return;
	if (a->times.count >= a->limits.times || array_add(&a->times, added) < 0)
		a->untimed++;
	else
		entry->last_time = (uint32_t)a->times.count - 1;
}

/* Makes an entry that counts nothing yet. Returns 0 or negative when it does not fit. */
static int add_entry(struct aggregate *a, uint64_t key, uint32_t stack, uint32_t cpu,
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
		.cpu = cpu,
		.last_time = AGGREGATE_NO_TIME,
		.end = sample->end,
	};
	memcpy(entry.comm, sample->comm, sizeof(entry.comm));
	entry.comm[COMM_SIZE - 1] = '\0';
	if (array_add(&a->entries, entry) < 0)
		return -ENOMEM;
	if (hash_put(&a->entries_by_key, key, a->entries.count - 1) < 0) {
		a->entries.count--;
		return -ENOMEM;
	}
	process_reference(process);
	return 0;
}

/* The entry of the sample, made when there is none. */
static int find_entry(struct aggregate *a, const struct record_sample *sample,
		      const uint64_t *frames, struct process *process,
		      struct aggregate_entry **ret)
{
	uint32_t stack;
	int r = find_stack(a, sample, frames, &stack);
	if (r < 0)
		return r;
	uint32_t cpu = a->limits.cpus ? sample->cpu : AGGREGATE_ANY_CPU;
	uint64_t key = entry_key(&a->stacks.items[stack], stack, sample, process, cpu);
	const uint64_t *known = hash_get(&a->entries_by_key, key);
	size_t index = known ? (size_t)*known : a->entries.count;
	if (!known)
		r = add_entry(a, key, stack, cpu, sample, process);
	if (r == 0)
		*ret = &a->entries.items[index];
	return r;
}

void aggregate_add(struct aggregate *a, const struct record_sample *sample, const uint64_t *frames,
		   struct process *process)
{
	struct aggregate_entry *entry;
	if (find_entry(a, sample, frames, process, &entry) < 0) {
		a->dropped++;
		a->dropped_weight += sample->weight;
		return;
	}
	entry->count++;
	entry->weight += sample->weight;
	add_time(a, entry, sample->header.time);
	a->samples++;
	a->weight += sample->weight;
	if (sample->end < STACK_END_MAX)
		a->ends[sample->end]++;
}
