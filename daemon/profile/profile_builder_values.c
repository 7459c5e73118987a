/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sample types by kind of profile, and values in the same order. Heap profiles have four more types where windows let
 * what is in use only be estimated, and what was freed is told by samples of its own.
 */
#include "profile/profile_builder_state.h"

#include "base/clock.h"

#define EXACT_HEAP_TYPES 6 /* sample types of a heap profile without estimates */
#define FREED_HEAP_TYPE 4  /* freed_objects among them; then freed_space */

/* ---- Types ----------------------------------------------------------------------------------- */

static struct profile_value_type add_sample_type(struct builder *b, const char *type, const char *unit)
{
	struct profile_value_type added = {builder_string(b, type), builder_string(b, unit)};
	CHECK(b, array_add(&b->profile->sample_types, added));
	return added;
}

static void add_heap_types(struct builder *b)
{
	struct profile *p = b->profile;
	add_sample_type(b, "alloc_objects", "count");
	add_sample_type(b, "alloc_space", "bytes");
	add_sample_type(b, "inuse_objects", "count");
	p->default_sample_type = add_sample_type(b, "inuse_space", "bytes").type;
	add_sample_type(b, "freed_objects", "count");
	add_sample_type(b, "freed_space", "bytes");
	if (b->options->heap->has_estimates) {
		add_sample_type(b, "inuse_estimated_space", "bytes");
		add_sample_type(b, "inuse_estimated_least_space", "bytes");
		add_sample_type(b, "inuse_watched_samples", "count");
		add_sample_type(b, "inuse_outlived_samples", "count");
		p->default_sample_type = builder_string(b, "alloc_space");
	}
	p->period_type = (struct profile_value_type){builder_string(b, "space"), builder_string(b, "bytes")};
	p->period = (int64_t)b->options->heap->interval;
}

void builder_add_types(struct builder *b)
{
	struct profile *p = b->profile;
	if (b->window->kind == PROFILE_KIND_HEAP) {
		add_heap_types(b);
		return;
	}
	add_sample_type(b, "samples", "count");
	if (b->window->kind == PROFILE_KIND_CPU) {
		p->period_type = add_sample_type(b, "cpu", "nanoseconds");
		p->period = (int64_t)b->options->period_ns;
		p->default_sample_type = p->period_type.type;
		return;
	}
	p->default_sample_type = add_sample_type(b, "growth_space", "bytes").type;
	add_sample_type(b, "copied_space", "bytes");
	p->period_type = (struct profile_value_type){builder_string(b, "page_faults"), builder_string(b, "count")};
	p->period = 1; /* at least: it is raised where they are many, and each sample weighed by it */
}

/* ---- Values ---------------------------------------------------------------------------------- */

static void add_heap_values(struct builder *b, const struct aggregate_entry *entry)
{
	const struct heap_values *values = builder_heap_values(b, entry);
	int64_t in_order[] = {values->objects, values->bytes, values->held_objects, values->held_bytes,
			      0, 0, /* freed: see builder_add_freed_samples() */
			      values->estimated_bytes, values->least_bytes, values->watched, values->outlived};
	size_t count = b->options->heap->has_estimates ? ARRAY_LENGTH(in_order) : EXACT_HEAP_TYPES;
	for (size_t i = 0; i < count; i++)
		CHECK(b, array_add(&b->profile->values, in_order[i]));
}

void builder_add_values(struct builder *b, const struct aggregate_entry *entry)
{
	if (b->window->kind == PROFILE_KIND_HEAP) {
		add_heap_values(b, entry);
		return;
	}
	CHECK(b, array_add(&b->profile->values, (int64_t)entry->count));
	if (b->window->kind == PROFILE_KIND_CPU) {
		CHECK(b, array_add(&b->profile->values, (int64_t)entry->weight));
		return;
	}
	for (unsigned event = EVENT_GROWTH; event <= EVENT_COPIED; event++)
		CHECK(b, array_add(&b->profile->values,
				   entry->event == event ? (int64_t)entry->weight : 0));
}

static void add_freed_values(struct builder *b, int64_t objects, int64_t bytes)
{
	for (size_t i = 0; i < b->profile->sample_types.count; i++)
		CHECK(b, array_add(&b->profile->values, i == FREED_HEAP_TYPE	   ? objects
							: i == FREED_HEAP_TYPE + 1 ? bytes
										   : 0));
}

/* A class of lifetimes is told by what all in it lived less than; the last one, which has no such time, by what it
 * would be. */
static int64_t lifetime_of_class(unsigned class)
{
	return (int64_t)(HEAP_LIFETIME_BOUND_NS(class) / NS_PER_MS);
}

void builder_add_freed_samples(struct builder *b, const struct profile_sample *of, const struct heap_freed *freed)
{
	for (unsigned class = 0; class < HEAP_LIFETIMES && !b->failed; class++) {
		struct profile_sample sample = *of;
		if (!freed->objects[class] && !freed->bytes[class])
			continue;
		sample.first_label = (uint32_t)b->profile->labels.count;
		for (uint32_t i = 0; i < of->label_count && !b->failed; i++) {
			struct profile_label copy = b->profile->labels.items[of->first_label + i];
			CHECK(b, array_add(&b->profile->labels, copy));
		}
		builder_add_label(b, &sample, "lifetime", NULL, lifetime_of_class(class));
		if (b->failed)
			return;
		b->profile->labels.items[b->profile->labels.count - 1].unit = builder_string(b, "milliseconds");
		add_freed_values(b, freed->objects[class], freed->bytes[class]);
		CHECK(b, array_add(&b->profile->samples, sample));
	}
}
