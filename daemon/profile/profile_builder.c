/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sample by sample: the entries that are wanted, with the timestamps that were kept of them, and counts of frames
 * without a name. Where locations, labels and values come from is in the files beside this one.
 */
#include "profile/profile_builder_state.h"

#include "base/file.h"

#include <errno.h>

/* The chain of an entry's times runs from the newest to the oldest. */
static void add_timestamps(struct builder *b, struct profile_sample *sample,
			   const struct aggregate_entry *entry)
{
	const struct aggregate_time *times = b->window->times.items;
	size_t first = b->profile->timestamps.count;
	uint32_t count = 0;
	for (uint32_t i = entry->last_time; i != AGGREGATE_NO_TIME; i = times[i].previous)
		count++;
	sample->first_timestamp = (uint32_t)first;
	sample->timestamp_count = count;
	if (count == 0)
		return;
	CHECK(b, array_reserve(&b->profile->timestamps, first + count));
	if (b->failed)
		return;
	b->profile->timestamps.count = first + count;
	for (uint32_t i = entry->last_time; i != AGGREGATE_NO_TIME; i = times[i].previous)
		b->profile->timestamps.items[first + --count] =
			(int64_t)times[i].time + b->options->realtime_offset_ns;
}

static void count_frame(struct builder *b, const struct profile_location *location, uint64_t count)
{
	uint64_t unnamed = location->line_count ? 0 : count;
	b->statistics->frames += count;
	b->statistics->unnamed += unnamed;
	b->statistics->of_type[location->type].frames += count;
	b->statistics->of_type[location->type].unnamed += unnamed;
}

static void add_stack(struct builder *b, struct profile_sample *sample, const struct aggregate_entry *entry)
{
	const struct aggregate_stack *stack = &b->aggregate->stacks.items[entry->stack];
	const uint64_t *words = &b->aggregate->frames.items[stack->first_frame];
	size_t count = (size_t)stack->kernel_frames + stack->user_frames;
	sample->first_location = (uint32_t)b->profile->stack_locations.count;
	for (size_t i = 0; i < count; i++) {
		uint32_t location = builder_location(b, words[i], entry);
		if (b->failed)
			return;
		CHECK(b, array_add(&b->profile->stack_locations, location));
		sample->location_count++;
		count_frame(b, &b->profile->locations.items[location], entry->count);
	}
}

static void add_sample(struct builder *b, const struct aggregate_entry *entry)
{
	struct profile_sample sample = {.first_label = (uint32_t)b->profile->labels.count};
	add_stack(b, &sample, entry);
	if (b->options->labels && !b->failed)
		sample.resource = builder_resource(b, entry->process);
	if (b->failed)
		return;
	if (b->options->labels)
		builder_add_labels(b, &sample, entry);
	sample.link = entry->link ? builder_link(b, entry->link) : 0;
	add_timestamps(b, &sample, entry);
	builder_add_values(b, entry);
	CHECK(b, array_add(&b->profile->samples, sample));
	if (b->window->kind == PROFILE_KIND_HEAP)
		builder_add_freed_samples(b, &sample, &builder_heap_values(b, entry)->freed);
}

static bool is_wanted(const struct builder *b, const struct aggregate_entry *entry)
{
	const struct process *only = b->options->only;
	if (b->window->kind == PROFILE_KIND_HEAP && !heap_values_any(builder_heap_values(b, entry)))
		return false;
	if (b->options->only_pid && entry->process->pid != b->options->only_pid)
		return false;
	return !only || (entry->process->pid == only->pid &&
			 entry->process->start_time == only->start_time);
}

int profile_build(const struct aggregate *aggregate, const struct aggregate_window *window,
		  const struct binaries *binaries, const struct profile_builder_options *options,
		  struct profile_builder_statistics *statistics, struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = NULL;
	int r = profile_new(&profile);
	if (r < 0)
		return r;
	struct builder b = {.aggregate = aggregate,
			    .window = window,
			    .binaries = binaries,
			    .options = options,
			    .statistics = statistics,
			    .profile = profile};
	builder_add_types(&b);
	for (size_t i = 0; i < window->entries.count && !b.failed; i++)
		if (is_wanted(&b, &window->entries.items[i]))
			add_sample(&b, &window->entries.items[i]);
	hash_free(&b.locations);
	hash_free(&b.mappings);
	hash_free(&b.segments);
	hash_free(&b.functions);
	hash_free(&b.resources);
	hash_free(&b.links);
	free(b.kernel_notes);
	if (b.failed)
		return -ENOMEM;
	*ret = take_pointer(profile);
	return 0;
}

bool profile_prepare_stack(const struct aggregate *aggregate, size_t index,
			   const struct binaries *binaries, struct symbolizer *symbolizer)
{
	const struct aggregate_stack *stack = &aggregate->stacks.items[index];
	const uint64_t *words = &aggregate->frames.items[stack->first_frame];
	size_t count = (size_t)stack->kernel_frames + stack->user_frames;
	bool all_known = true;
	for (size_t i = 0; i < count; i++) {
		if (words[i] >> 60 == FRAME_KERNEL)
			symbolizer_prepare_kernel(symbolizer, words[i]);
		if (words[i] >> 60 >= FRAME_ADDRESS)
			continue;
		struct binary *binary =
			binaries_find(binaries, (uint32_t)(words[i] >> FRAME_OFFSET_BITS));
		uint64_t address;
		if (!binary || !binary->has_facts) {
			all_known = all_known && binary && binary->error;
			continue;
		}
		symbolizer_prepare(symbolizer, binary);
		if (facts_offset_to_address(&binary->facts, words[i] & FRAME_OFFSET_MASK, &address))
			symbolizer_want_lines(symbolizer, binary, address);
	}
	return all_known;
}
