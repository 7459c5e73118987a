/* SPDX-License-Identifier: Apache-2.0 */
/* Which series a profile becomes, under which labels, and that nothing is lost between them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/pprof.h"
#include "format/pyroscope.h"
#include "format/wire_reader.h"
#include "tests/unit/format/otlp_example.h"

#define MAX_SERIES 64

struct series {
	char labels[1024]; /* "name=value;name=value;" */
	int64_t count, cpu_ns;
	size_t stacks, spans;
};

struct received {
	struct series series[MAX_SERIES];
	size_t count, requests, largest;
	uint64_t samples; /* as the encoder counted them */
};

static struct wire_field next_field(struct wire_reader *reader)
{
	struct wire_field field = {0};
	assert_int_equal(wire_next(reader, &field), 1);
	return field;
}

static void read_label(struct wire_reader pair, struct series *series)
{
	struct wire_field name = next_field(&pair), value = next_field(&pair);
	size_t length = strlen(series->labels);
	snprintf(series->labels + length, sizeof(series->labels) - length, "%.*s=%.*s;",
		 (int)(name.bytes.end - name.bytes.next), name.bytes.next,
		 (int)(value.bytes.end - value.bytes.next), value.bytes.next);
}

static void read_sample(struct wire_reader sample, struct series *series)
{
	struct wire_field raw = next_field(&sample), id = next_field(&sample);
	struct pprof_failure failure;
	struct profile *profile;
	assert_int_equal(id.bytes.end - id.bytes.next, 36);
	assert_int_equal(pprof_decode(raw.bytes.next, (size_t)(raw.bytes.end - raw.bytes.next), 0,
				      &failure, &profile), 0);
	for (size_t i = 0; i < profile->samples.count; i++) {
		const struct profile_sample *one = &profile->samples.items[i];
		assert_true(one->label_count < 2);
		if (one->label_count)
			assert_string_equal(profile_text(profile, profile->labels.items[one->first_label].key), "span_id");
		series->spans += one->label_count;
		series->count += profile->values.items[2 * i];
		series->cpu_ns += profile->values.items[2 * i + 1];
	}
	series->stacks += profile->samples.count;
	profile_free(profile);
}

static int receive(void *userdata, const struct pyroscope_message *message)
{
	struct received *received = userdata;
	struct wire_reader request = {(const uint8_t *)message->bytes,
				      (const uint8_t *)message->bytes + message->size};
	struct wire_field series, field;
	received->requests++;
	received->samples += message->samples;
	received->largest = MAX_OF(received->largest, message->size);
	while (wire_next(&request, &series) == 1) {
		assert_true(received->count < MAX_SERIES);
		struct series *into = &received->series[received->count++];
		assert_int_equal(series.number, 1);
		while (wire_next(&series.bytes, &field) == 1)
			if (field.number == 1)
				read_label(field.bytes, into);
			else
				read_sample(field.bytes, into);
	}
	return 0;
}

static struct profile *example(void)
{
	return otlp_example(&(struct example_size){.samples = 40, .processes = 4, .functions = 9,
						  .times = 3});
}

static void expect_all(const struct profile *profile, const struct received *received)
{
	int64_t count = 0, cpu_ns = 0;
	for (size_t i = 0; i < profile->samples.count; i++) {
		count += profile->values.items[2 * i];
		cpu_ns += profile->values.items[2 * i + 1];
	}
	for (size_t i = 0; i < received->count; i++) {
		count -= received->series[i].count;
		cpu_ns -= received->series[i].cpu_ns;
	}
	assert_int_equal(count, 0);
	assert_int_equal(cpu_ns, 0);
}

static void encode(const struct profile *profile, struct pyroscope_options options,
		   struct received *received)
{
	*received = (struct received){0};
	if (!options.profile_name)
		options.profile_name = "process_cpu";
	assert_int_equal(pyroscope_encode(profile, &options, receive, received), 0);
	expect_all(profile, received);
}

static bool has_label(const struct received *received, size_t index, const char *label)
{
	return strstr(received->series[index].labels, label);
}

static void test_grouping(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_HOST}, &received);
	assert_int_equal(received.count, 1);
	assert_string_equal(received.series[0].labels,
			    "__name__=process_cpu;service_name=bolometer;host_name=box;");
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_CONTAINER}, &received);
	assert_int_equal(received.count, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(has_label(&received, i, "container_id=container"));
		assert_false(has_label(&received, i, ";process_"));
		assert_true(has_label(&received, i, "service_name=unknown_service;"));
	}
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_PROCESS}, &received);
	assert_int_equal(received.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(has_label(&received, i, "process_pid=10") &&
			    has_label(&received, i, "service_name=unknown_service:program"));
}

/* Of the labels span_id stays, and makes no series. */
static void test_spans(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct profile_sample *last = &profile->samples.items[profile->samples.count - 1];
	struct received received;
	for (int with = 0; with < 2; with++) {
		encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_HOST}, &received);
		assert_int_equal(received.count, 1);
		assert_int_equal(received.series[0].spans, with);
		example_label(profile, last, "trace_id", "0102", 0);
		example_label(profile, last, "span_id", "03", 0);
	}
}

static void test_who_names_wins(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	struct pyroscope_label labels[] = {{"region", "eu"}, {"host_name", "other"}};
	struct otlp_attribute attributes[] = {{.key = "service.name", .text = "shop"},
					      {.key = "deployment.environment", .text = "test"}};
	struct pyroscope_options options = {.profile_name = "memory", .grouping = OTLP_BY_HOST,
					    .labels = labels, .label_count = 2,
					    .attributes = attributes, .attribute_count = 2};
	encode(profile, options, &received);
	assert_string_equal(received.series[0].labels,
			    "__name__=memory;service_name=shop;region=eu;host_name=other;"
			    "deployment_environment=test;");
	options.application = "all of it";
	encode(profile, options, &received);
	assert_true(has_label(&received, 0, "service_name=all of it;"));
	assert_false(has_label(&received, 0, "shop"));
}

/* Threads of the kernel are not a series each. */
static void test_kernel_threads(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	for (size_t i = 0; i < profile->resource_attributes.count; i++) {
		struct profile_label *attribute = &profile->resource_attributes.items[i];
		const char *key = profile_text(profile, attribute->key);
		if (!strcmp(key, "process.executable.name"))
			attribute->text = example_string(profile, "kworker/%u:1H", (uint32_t)i);
		else if (!strcmp(key, "container.id"))
			attribute->key = example_string(profile, "host.id", 0);
	}
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_CONTAINER}, &received);
	assert_int_equal(received.count, 1);
	assert_true(has_label(&received, 0, "process_executable_name=kworker;"));
	assert_true(has_label(&received, 0, "service_name=unknown_service:kworker;"));
}

/* A value may come from outside: too long, not UTF-8. */
static void test_foreign_values(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	char longest[4000];
	memset(longest, 0xff, sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	struct pyroscope_label labels[] = {{"k", longest}, {"bad", "a\xc3"}, {"empty", ""}};
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_HOST, .labels = labels,
						   .label_count = 3}, &received);
	assert_true(has_label(&received, 0, "k=\xef\xbf\xbd\xef\xbf\xbd"));
	assert_false(has_label(&received, 0, "\xff"));
	assert_false(has_label(&received, 0, "empty"));
}

static void test_limit(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	uint64_t samples = 0;
	for (size_t i = 0; i < profile->samples.count; i++)
		samples += (uint64_t)profile->values.items[2 * i];
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_CONTAINER}, &received);
	assert_int_equal(received.requests, 1);
	assert_int_equal(received.samples, samples);
	size_t limit = received.largest / 3;
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_CONTAINER,
						   .size_limit = limit}, &received);
	assert_true(received.requests > 3);
	assert_true(received.largest <= limit + 200); /* its labels */
	assert_int_equal(received.samples, samples);
	/* One sample alone is larger. */
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_HOST, .size_limit = 10},
	       &received);
	assert_int_equal(received.count, profile->samples.count);
	assert_int_equal(received.samples, samples);
}

/* Pyroscope takes 30 labels, and none without a service. */
static void test_many_labels(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	char names[40][8];
	struct pyroscope_label labels[40];
	for (size_t i = 0; i < ARRAY_LENGTH(labels); i++) {
		snprintf(names[i], sizeof(names[i]), "l%zu", i);
		labels[i] = (struct pyroscope_label){names[i], "v"};
	}
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_HOST, .labels = labels,
						   .label_count = ARRAY_LENGTH(labels)}, &received);
	assert_true(has_label(&received, 0, "service_name=bolometer;"));
	assert_true(has_label(&received, 0, ";l27=v;"));
	assert_false(has_label(&received, 0, ";l28=v;"));
}

/* Of a profile of the heap: no event is counted, each sample is one. */
static void test_without_events(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received received;
	profile->sample_types.items[0].type = example_string(profile, "inuse_objects", 0);
	encode(profile, (struct pyroscope_options){.grouping = OTLP_BY_CONTAINER}, &received);
	assert_int_equal(received.samples, profile->samples.count);
}

static int refuse(void *userdata, const struct pyroscope_message *message)
{
	return -ENOSPC;
}

static void test_refusal(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct pyroscope_options options = {.profile_name = "process_cpu"};
	assert_int_equal(pyroscope_encode(profile, &options, refuse, NULL), -ENOSPC);
	profile->samples.count = profile->values.count = 0;
	assert_int_equal(pyroscope_encode(profile, &options, refuse, NULL), 0);
}

/* ---- Cutting ----------------------------------------------------------------------------------- */

static int keep(void *userdata, const struct pyroscope_message *message)
{
	text_add_bytes(userdata, message->bytes, message->size);
	return 0;
}

/* Down to what cannot be cut. Returns how many parts that makes. */
static size_t cut(const char *bytes, size_t size, uint64_t events, struct received *received)
{
	struct pprof_half halves[2];
	size_t parts = 0;
	int r = pyroscope_split(bytes, size, events, halves);
	if (r == -E2BIG) {
		struct received part = {0};
		struct pyroscope_message message = {.bytes = bytes, .size = size, .samples = events};
		receive(&part, &message);
		assert_int_equal(part.count, 1); /* a series, of one stack */
		assert_int_equal(part.series[0].stacks, 1);
		assert_int_equal(part.series[0].count, events);
		assert_non_null(strstr(part.series[0].labels, "service_name="));
		receive(received, &message);
		return 1;
	}
	assert_int_equal(r, 0);
	assert_int_equal(halves[0].events + halves[1].events, events);
	for (int i = 0; i < 2; i++) {
		assert_true(halves[i].events > 0);
		parts += cut(halves[i].bytes.bytes, halves[i].bytes.length, halves[i].events, received);
		text_free(&halves[i].bytes);
	}
	return parts;
}

static void test_cutting(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct received whole, parts = {0};
	struct text request = {0};
	struct pyroscope_options options = {.profile_name = "process_cpu", .grouping = OTLP_BY_PROCESS};
	encode(profile, options, &whole);
	assert_int_equal(whole.requests, 1);
	assert_int_equal(pyroscope_encode(profile, &options, keep, &request), 0);
	size_t stacks = 0;
	for (size_t i = 0; i < whole.count; i++)
		stacks += whole.series[i].stacks;
	assert_true(whole.count > 1 && stacks > whole.count && stacks <= MAX_SERIES);
	assert_int_equal(cut(request.bytes, request.length, whole.samples, &parts), stacks);
	expect_all(profile, &parts);
	text_free(&request);
}

/* The halves of a request are the same each time it is cut: what was sent already is known again. */
static void test_cut_again(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct text request = {0};
	struct pprof_half first[2], second[2];
	struct pyroscope_options options = {.profile_name = "process_cpu", .grouping = OTLP_BY_HOST};
	assert_int_equal(pyroscope_encode(profile, &options, keep, &request), 0);
	assert_int_equal(pyroscope_split(request.bytes, request.length, 1000, first), 0);
	assert_int_equal(pyroscope_split(request.bytes, request.length, 1000, second), 0);
	assert_int_equal(first[0].events + first[1].events, 1000); /* what it is said to have is kept */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(first[i].bytes.length, second[i].bytes.length);
		assert_memory_equal(first[i].bytes.bytes, second[i].bytes.bytes, first[i].bytes.length);
		text_free(&first[i].bytes);
		text_free(&second[i].bytes);
	}
	assert_int_equal(pyroscope_split(request.bytes, request.length - 1, 1000, second), -EBADMSG);
	assert_int_equal(pyroscope_split(request.bytes, 0, 0, second), -E2BIG);
	text_free(&request);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grouping),
		cmocka_unit_test(test_spans), cmocka_unit_test(test_who_names_wins),
		cmocka_unit_test(test_kernel_threads), cmocka_unit_test(test_foreign_values),
		cmocka_unit_test(test_limit), cmocka_unit_test(test_without_events),
		cmocka_unit_test(test_many_labels),
		cmocka_unit_test(test_refusal), cmocka_unit_test(test_cutting),
		cmocka_unit_test(test_cut_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
