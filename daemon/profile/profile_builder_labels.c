/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tells samples apart beside their stacks: labels, the resources that they belong to, and the spans that they
 * were taken in. Names of keys are OpenTelemetry's semantic conventions where these have one.
 */
#include "profile/profile_builder_state.h"

#include "base/clock.h"
#include "process/process_origin.h"

#include <stdio.h>
#include <string.h>

/* ---- Labels ---------------------------------------------------------------------------------- */

static const char *const label_keys[BUILDER_LABEL_KEYS] = {
	[BUILDER_THREAD_ID] = "thread.id",
	[BUILDER_THREAD_NAME] = "thread.name",
	[BUILDER_CPU] = "cpu.logical_number",
	/* Of the resource's attributes, those by which people tell samples apart in a pprof file. */
	[BUILDER_RESOURCE_KEYS] = "process.pid",
	"process.executable.name",
	"container.id",
	"service.name",
	"k8s.namespace.name",
	"k8s.pod.name",
	"k8s.container.name",
};

/* The index of a key that nearly every sample has: looked for once. Only the empty text has index 0. */
static uint32_t label_key(struct builder *b, unsigned key)
{
	if (!b->label_keys[key])
		b->label_keys[key] = builder_string(b, label_keys[key]);
	return b->label_keys[key];
}

/* Text 0 is the empty text, and none: a label of an empty text would be one of the number 0, and is left out. */
static void add_label(struct builder *b, struct profile_sample *sample, struct profile_label label)
{
	CHECK(b, array_add(&b->profile->labels, label));
	sample->label_count++;
}

void builder_add_label(struct builder *b, struct profile_sample *sample, const char *key,
		       const char *text, int64_t number)
{
	if (!text || text[0])
		add_label(b, sample,
			  (struct profile_label){.key = builder_string(b, key),
						 .text = text ? builder_string(b, text) : 0,
						 .number = number});
}

static void add_resource_labels(struct builder *b, struct profile_sample *sample)
{
	const struct profile_resource *resource = &b->profile->resources.items[sample->resource - 1];
	for (uint32_t i = 0; i < resource->attribute_count; i++) {
		struct profile_label attribute =
			b->profile->resource_attributes.items[resource->first_attribute + i];
		for (unsigned key = BUILDER_RESOURCE_KEYS; key < BUILDER_LABEL_KEYS; key++)
			if (attribute.key == label_key(b, key) && (attribute.text || attribute.number))
				add_label(b, sample, attribute);
	}
}

static void add_id_label(struct builder *b, struct profile_sample *sample, const char *key, const uint8_t *id,
			 size_t size)
{
	char digits[2 * sizeof((struct record_trace){0}.trace_id) + 1];
	for (size_t i = 0; i < size; i++)
		snprintf(digits + 2 * i, 3, "%02x", id[i]);
	builder_add_label(b, sample, key, digits, 0);
}

/* The text form of the ids is W3C's, of Trace Context: lower-case hexadecimal digits. */
static void add_link_labels(struct builder *b, struct profile_sample *sample, const struct record_trace *trace)
{
	add_id_label(b, sample, PROFILE_TRACE_ID, trace->trace_id, sizeof(trace->trace_id));
	add_id_label(b, sample, PROFILE_SPAN_ID, trace->span_id, sizeof(trace->span_id));
}

void builder_add_labels(struct builder *b, struct profile_sample *sample,
			const struct aggregate_entry *entry)
{
	add_resource_labels(b, sample);
	add_label(b, sample,
		  (struct profile_label){.key = label_key(b, BUILDER_THREAD_ID), .number = entry->tid});
	if (entry->comm[0])
		add_label(b, sample,
			  (struct profile_label){.key = label_key(b, BUILDER_THREAD_NAME),
						 .text = builder_string(b, entry->comm)});
	if (entry->cpu != AGGREGATE_ANY_CPU)
		add_label(b, sample,
			  (struct profile_label){.key = label_key(b, BUILDER_CPU), .number = entry->cpu});
	if (b->options->link_labels && entry->link)
		add_link_labels(b, sample, &b->window->links.items[entry->link - 1]);
}

/* ---- Resources and links --------------------------------------------------------------------- */

static void add_resource_attribute(struct builder *b, const char *key, const char *text,
				   int64_t number, bool is_guess)
{
	if (text && !text[0])
		return;
	struct profile_label attribute = {.key = builder_string(b, key),
					  .text = text ? builder_string(b, text) : 0,
					  .number = number,
					  .is_guess = is_guess};
	CHECK(b, array_add(&b->profile->resource_attributes, attribute));
}

static void add_origin_attribute(void *userdata, const struct origin_attribute *attribute)
{
	add_resource_attribute(userdata, attribute->key, attribute->value, 0, attribute->is_guess);
}

uint32_t builder_resource(struct builder *b, const struct process *process)
{
	const uint64_t *known = hash_get(&b->resources, (uintptr_t)process);
	if (known)
		return (uint32_t)*known;
	struct profile_resource resource = {
		.first_attribute = (uint32_t)b->profile->resource_attributes.count};
	add_resource_attribute(b, "process.pid", NULL, process->pid, false);
	add_resource_attribute(b, "process.executable.name", process->executable_name, 0, false);
	if (process->executable_path)
		add_resource_attribute(b, "process.executable.path", process->executable_path, 0,
				       false);
	process_origin_visit(process, b->options->pod_names, monotonic_ns(), add_origin_attribute,
			     b);
	resource.attribute_count =
		(uint32_t)b->profile->resource_attributes.count - resource.first_attribute;
	CHECK(b, array_add(&b->profile->resources, resource));
	CHECK(b, hash_put(&b->resources, (uintptr_t)process, b->profile->resources.count));
	return b->failed ? 0 : (uint32_t)b->profile->resources.count;
}

uint32_t builder_link(struct builder *b, uint32_t link)
{
	const uint64_t *known = hash_get(&b->links, link);
	if (known)
		return (uint32_t)*known;
	const struct record_trace *trace = &b->window->links.items[link - 1];
	struct profile_link added;
	memcpy(added.trace_id, trace->trace_id, sizeof(added.trace_id));
	memcpy(added.span_id, trace->span_id, sizeof(added.span_id));
	CHECK(b, array_add(&b->profile->links, added));
	CHECK(b, hash_put(&b->links, link, b->profile->links.count));
	return (uint32_t)b->profile->links.count;
}
