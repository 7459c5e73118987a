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

void builder_add_label(struct builder *b, struct profile_sample *sample, const char *key,
		       const char *text, int64_t number)
{
	struct profile_label label = {.key = builder_string(b, key),
				      .text = text ? builder_string(b, text) : 0,
				      .number = number};
	CHECK(b, array_add(&b->profile->labels, label));
	sample->label_count++;
}

/* Of the resource's attributes, those by which people tell samples apart in a pprof file. */
static void add_origin_labels(struct builder *b, struct profile_sample *sample)
{
	static const char *const keys[] = {"container.id", "service.name", "k8s.namespace.name",
					   "k8s.pod.name", "k8s.container.name"};
	const struct profile_resource *resource = &b->profile->resources.items[sample->resource - 1];
	uint32_t wanted[ARRAY_LENGTH(keys)];
	for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
		wanted[i] = builder_string(b, keys[i]);
	for (uint32_t i = 0; i < resource->attribute_count && !b->failed; i++) {
		struct profile_label label =
			b->profile->resource_attributes.items[resource->first_attribute + i];
		for (size_t k = 0; k < ARRAY_LENGTH(keys); k++) {
			if (label.key != wanted[k])
				continue;
			CHECK(b, array_add(&b->profile->labels, label));
			sample->label_count++;
		}
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
	const struct process *process = entry->process;
	builder_add_label(b, sample, "process.pid", NULL, process->pid);
	builder_add_label(b, sample, "process.executable.name", process->executable_name, 0);
	builder_add_label(b, sample, "thread.id", NULL, entry->tid);
	builder_add_label(b, sample, "thread.name", entry->comm, 0);
	add_origin_labels(b, sample);
	if (entry->cpu != AGGREGATE_ANY_CPU)
		builder_add_label(b, sample, "cpu.logical_number", NULL, entry->cpu);
	if (b->options->link_labels && entry->link)
		add_link_labels(b, sample, &b->window->links.items[entry->link - 1]);
}

/* ---- Resources and links --------------------------------------------------------------------- */

static void add_resource_attribute(struct builder *b, const char *key, const char *text,
				   int64_t number, bool is_guess)
{
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
