/* SPDX-License-Identifier: Apache-2.0 */
/* A profile with everything OTLP has a place for. Include after cmocka.h. */
#pragma once

#include "base/clock.h"
#include "profile/profile.h"

#include <stdio.h>
#include <string.h>

#define EXAMPLE_START 1700000000000000000
#define EXAMPLE_PERIOD 10101010

struct example_size {
	uint32_t samples, processes, functions;
	uint32_t times; /* of each sample; it counts one more when `untimed` */
	bool untimed;
};

static inline uint32_t example_string(struct profile *p, const char *format, uint32_t number)
{
	char text[128];
	bool failed = false;
	snprintf(text, sizeof(text), format, number);
	uint32_t string = profile_string(p, text, &failed);
	assert_false(failed);
	return string;
}

static inline void example_resource(struct profile *p, const char *key, const char *text,
				    int64_t number)
{
	struct profile_resource *resource = &p->resources.items[p->resources.count - 1];
	array_add(&p->resource_attributes, (struct profile_label){
		.key = example_string(p, key, 0), .text = text ? example_string(p, text, 0) : 0,
		.number = number});
	resource->attribute_count++;
}

/* Pairs of processes share a container. */
static inline void example_resources(struct profile *p, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		char text[32];
		array_add(&p->resources, (struct profile_resource){
			.first_attribute = (uint32_t)p->resource_attributes.count});
		example_resource(p, "process.pid", NULL, 100 + i);
		snprintf(text, sizeof(text), "program%u", i);
		example_resource(p, "process.executable.name", text, 0);
		snprintf(text, sizeof(text), "container%u", i / 2);
		example_resource(p, "container.id", text, 0);
	}
	array_add(&p->host_attributes, (struct profile_label){
		.key = example_string(p, "host.name", 0), .text = example_string(p, "box", 0)});
}

static inline void example_tables(struct profile *p, uint32_t functions)
{
	array_add(&p->mappings, (struct profile_mapping){.start = 0x1000, .limit = 0x9000000,
		.offset = 0x1000, .file = example_string(p, "/usr/bin/a", 0),
		.build_id = example_string(p, "abcdef", 0), .has_functions = true,
		.htlhash = example_string(p, "00112233445566778899aabbccddeeff", 0)});
	array_add(&p->mappings, (struct profile_mapping){
		.file = example_string(p, "[kernel.kallsyms]", 0), .start = 9, .limit = 9});
	for (uint32_t i = 0; i < functions; i++) {
		array_add(&p->functions, (struct profile_function){
			.name = example_string(p, "function_%u", i),
			.file = example_string(p, "file_%u.c", i / 20), .start_line = i});
		array_add(&p->lines, (struct profile_line){.function = i, .line = i + 1});
		array_add(&p->locations, (struct profile_location){.mapping = i % 5 == 0,
			.type = i % 5 == 0 ? FRAME_TYPE_KERNEL : FRAME_TYPE_NATIVE,
			.first_line = i, .line_count = 1, .address = 0x2000 + 16 * i});
	}
	array_add(&p->functions, (struct profile_function){
		.name = example_string(p, "[deeper than max-frames]", 0)});
	array_add(&p->lines, (struct profile_line){.function = functions});
	array_add(&p->locations, (struct profile_location){.mapping = PROFILE_NONE,
		.type = FRAME_TYPE_MARK, .first_line = functions, .line_count = 1});
}

static inline void example_label(struct profile *p, struct profile_sample *sample, const char *key,
				 const char *text, int64_t number)
{
	array_add(&p->labels, (struct profile_label){.key = example_string(p, key, 0),
		.text = text ? example_string(p, text, 0) : 0, .number = number});
	sample->label_count++;
}

/* No two samples have one stack, as long as there are many functions. */
static inline void example_sample(struct profile *p, const struct example_size *size, uint32_t i)
{
	struct profile_sample sample = {
		.first_location = (uint32_t)p->stack_locations.count,
		.first_label = (uint32_t)p->labels.count,
		.resource = size->processes ? 1 + i % size->processes : 0,
		.link = i % 10 == 0,
		.first_timestamp = (uint32_t)p->timestamps.count,
		.timestamp_count = size->times,
	};
	for (uint32_t k = 0; k < 1 + i % 30; k++)
		array_add(&p->stack_locations, (uint32_t)(hash_mix(i * 31 + k) % size->functions));
	if (i % 7 == 0)
		array_add(&p->stack_locations, size->functions);
	sample.location_count = (uint32_t)p->stack_locations.count - sample.first_location;
	example_label(p, &sample, "process.pid", NULL, 100 + i % (size->processes + 1));
	example_label(p, &sample, "thread.id", NULL, 1000 + i % 3);
	example_label(p, &sample, "thread.name", "worker", 0);
	for (uint32_t k = 0; k < size->times; k++)
		array_add(&p->timestamps, EXAMPLE_START - 5 + 1000LL * i + 1000000LL * k);
	int64_t count = size->times + (size->untimed || size->times == 0);
	array_add(&p->samples, sample);
	array_add(&p->values, count);
	array_add(&p->values, count * EXAMPLE_PERIOD + i % 2);
}

/* The caller frees. */
static inline struct profile *otlp_example(const struct example_size *size)
{
	struct profile *p;
	assert_int_equal(profile_new(&p), 0);
	array_add(&p->sample_types, (struct profile_value_type){
		example_string(p, "samples", 0), example_string(p, "count", 0)});
	array_add(&p->sample_types, (struct profile_value_type){
		example_string(p, "cpu", 0), example_string(p, "nanoseconds", 0)});
	p->period_type = p->sample_types.items[1];
	p->period = EXAMPLE_PERIOD;
	p->time_ns = EXAMPLE_START;
	p->duration_ns = 10 * NS_PER_SECOND;
	array_add(&p->comments, example_string(p, "lost_ring_full=3", 0));
	array_add(&p->comments, example_string(p, "end.deeper than max-frames=7", 0));
	array_add(&p->comments, example_string(p, "a remark", 0));
	array_add(&p->links, (struct profile_link){.trace_id = {1, 2}, .span_id = {3}});
	example_resources(p, size->processes);
	example_tables(p, size->functions);
	for (uint32_t i = 0; i < size->samples; i++)
		example_sample(p, size, i);
	assert_int_equal(profile_check(p), 0);
	return p;
}

static inline int64_t example_sum(const struct profile *p, size_t column)
{
	int64_t sum = 0;
	for (size_t i = 0; i < p->samples.count; i++)
		sum += p->values.items[i * p->sample_types.count + column];
	return sum;
}
