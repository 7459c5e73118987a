/* SPDX-License-Identifier: Apache-2.0 */
/* What is encoded, decoded again with protobuf-c: sums, shapes, groups, limits. The rules of dictionaries
 * are checked by tests/interop over the official schema. */
#include "format/otlp.h"

#include "otlp.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/format/otlp_example.h"

#define MAX_MESSAGES 256

struct decoded {
	Otlp__ExportProfilesServiceRequest *messages[MAX_MESSAGES];
	size_t count, largest;
	uint64_t samples;
	uint64_t next_id;
};

static int decode(void *userdata, const struct otlp_message *message)
{
	struct decoded *d = userdata;
	assert_true(d->count < MAX_MESSAGES);
	Otlp__ExportProfilesServiceRequest *request =
		otlp__export_profiles_service_request__unpack(NULL, message->size,
							      (const uint8_t *)message->bytes);
	assert_non_null(request);
	d->messages[d->count++] = request;
	d->largest = MAX_OF(d->largest, message->size);
	d->samples += message->samples;
	return 0;
}

static void make_id(void *userdata, uint8_t id[OTLP_PROFILE_ID_SIZE])
{
	struct decoded *d = userdata;
	uint64_t number = ++d->next_id;
	memcpy(id, &number, sizeof(number));
}

static struct otlp_statistics encode(const struct profile *profile, struct otlp_options options,
				     struct decoded *d)
{
	struct otlp_statistics statistics;
	*d = (struct decoded){0};
	options.make_id = make_id;
	options.id_userdata = d;
	assert_int_equal(otlp_encode(profile, &options, decode, d, &statistics), 0);
	assert_int_equal(statistics.messages, d->count);
	assert_int_equal(statistics.samples, d->samples);
	return statistics;
}

static void release(struct decoded *d)
{
	for (size_t i = 0; i < d->count; i++)
		otlp__export_profiles_service_request__free_unpacked(d->messages[i], NULL);
}

struct sums {
	int64_t events, time, values;
	size_t profiles, resources, samples, attributes;
};

static void add_profile(struct sums *sums, const Otlp__Profile *profile)
{
	int64_t events = 0;
	assert_int_equal(profile->profile_id.len, OTLP_PROFILE_ID_SIZE);
	for (size_t i = 0; i < profile->n_samples; i++) {
		const Otlp__Sample *sample = profile->samples[i];
		assert_true((sample->n_values == 1) != (sample->n_timestamps_unix_nano > 0));
		events += (int64_t)sample->n_timestamps_unix_nano;
		for (size_t k = 0; k < sample->n_values; k++)
			events += sample->values[k];
		for (size_t k = 0; k < sample->n_timestamps_unix_nano; k++) {
			uint64_t time = sample->timestamps_unix_nano[k];
			assert_true(time >= profile->time_unix_nano);
			assert_true(time - profile->time_unix_nano < profile->duration_nano);
			assert_true(k == 0 || time >= sample->timestamps_unix_nano[k - 1]);
		}
	}
	sums->events += events;
	sums->time += events * profile->period;
	sums->profiles++;
	sums->samples += profile->n_samples;
	sums->attributes += profile->n_attribute_indices;
}

static struct sums sum(const struct decoded *d)
{
	struct sums sums = {0};
	for (size_t m = 0; m < d->count; m++) {
		for (size_t r = 0; r < d->messages[m]->n_resource_profiles; r++) {
			const Otlp__ResourceProfiles *resource =
				d->messages[m]->resource_profiles[r];
			assert_int_equal(resource->n_scope_profiles, 1);
			for (size_t i = 0; i < resource->scope_profiles[0]->n_profiles; i++)
				add_profile(&sums, resource->scope_profiles[0]->profiles[i]);
			sums.resources++;
		}
	}
	return sums;
}

static const Otlp__Resource *resource_at(const struct decoded *d, size_t index)
{
	return d->messages[0]->resource_profiles[index]->resource;
}

static const Otlp__Sample *first_sample(const struct decoded *d)
{
	return d->messages[0]->resource_profiles[0]->scope_profiles[0]->profiles[0]->samples[0];
}

static const Otlp__AnyValue *attribute_of(const Otlp__Resource *resource, const char *key)
{
	for (size_t i = 0; i < resource->n_attributes; i++)
		if (!strcmp(resource->attributes[i]->key, key))
			return resource->attributes[i]->value;
	return NULL;
}

static void assert_text(const Otlp__Resource *resource, const char *key, const char *text)
{
	const Otlp__AnyValue *value = attribute_of(resource, key);
	assert_non_null(value);
	assert_int_equal(value->value_case, OTLP__ANY_VALUE__VALUE_STRING_VALUE);
	assert_int_equal(value->string_value.len, strlen(text));
	assert_memory_equal(value->string_value.data, text, strlen(text));
}

static bool has_attribute(const Otlp__ProfilesDictionary *dictionary, const char *key)
{
	for (size_t i = 0; i < dictionary->n_attribute_table; i++) {
		const ProtobufCBinaryData *name = &dictionary->string_table[dictionary->attribute_table[i]->key_strindex];
		if (name->len == strlen(key) && !memcmp(name->data, key, name->len))
			return true;
	}
	return false;
}

static const struct otlp_options plain = OTLP_OPTIONS_DEFAULT;

/* Period times count is the captured time, to the rounding of the period. */
static void assert_time(const struct profile *p, const struct sums *sums)
{
	int64_t captured = example_sum(p, 1);
	int64_t off = sums->time > captured ? sums->time - captured : captured - sums->time;
	assert_true(off * 2 <= sums->events);
}

static void test_timestamps(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 300, .processes = 6, .functions = 200, .times = 3});
	struct decoded d;
	encode(p, plain, &d);
	struct sums sums = sum(&d);
	assert_int_equal(d.count, 1);
	assert_int_equal(sums.events, 900);
	assert_int_equal(d.samples, 900);
	assert_int_equal(sums.resources, 6);
	assert_int_equal(sums.profiles, 6);
	assert_time(p, &sums);
	const Otlp__Profile *first =
		d.messages[0]->resource_profiles[0]->scope_profiles[0]->profiles[0];
	assert_int_equal(first->time_unix_nano, EXAMPLE_START - 5); /* moved to the oldest */
	assert_int_equal(sums.attributes, first->n_attribute_indices); /* losses stand once */
	assert_int_equal(first->n_attribute_indices, 3);
	assert_true(has_attribute(d.messages[0]->dictionary, "bolometer.lost_ring_full"));
	assert_true(has_attribute(d.messages[0]->dictionary, "bolometer.end.deeper_than_max_frames"));
	release(&d);
}

static void test_untimed_rest(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 100, .processes = 2, .functions = 200, .times = 2, .untimed = true});
	struct decoded d;
	encode(p, plain, &d);
	struct sums sums = sum(&d);
	assert_int_equal(sums.events, 300);
	assert_int_equal(sums.profiles, 4); /* with times and without */
	assert_time(p, &sums);
	release(&d);
}

static void test_values(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 100, .processes = 2, .functions = 200, .times = 2});
	struct otlp_options options = plain;
	struct decoded d;
	options.shape = OTLP_SHAPE_VALUES;
	encode(p, options, &d);
	struct sums sums = sum(&d);
	assert_int_equal(sums.events, 200);
	assert_int_equal(sums.samples, 100);
	assert_time(p, &sums);
	release(&d);

	options = plain;
	options.sample_type = OTLP_CPU_NANOSECONDS;
	encode(p, options, &d);
	sums = sum(&d);
	assert_int_equal(sums.events, example_sum(p, 1));
	assert_int_equal(d.samples, 200); /* events, whatever they are measured in */
	release(&d);
}

static void test_grouping(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 120, .processes = 6, .functions = 200, .times = 1});
	struct otlp_options options = plain;
	struct decoded d;
	encode(p, options, &d);
	assert_text(resource_at(&d, 0), "service.name", "unknown_service:program0");
	assert_text(resource_at(&d, 0), "container.id", "container0");
	assert_text(resource_at(&d, 5), "process.executable.name", "program5");
	assert_text(resource_at(&d, 5), "host.name", "box");
	assert_int_equal(attribute_of(resource_at(&d, 5), "process.pid")->int_value, 105);
	release(&d);

	options.grouping = OTLP_BY_CONTAINER;
	encode(p, options, &d);
	struct sums sums = sum(&d);
	assert_int_equal(sums.resources, 3);
	assert_int_equal(sums.events, 120);
	assert_text(resource_at(&d, 2), "container.id", "container2");
	assert_text(resource_at(&d, 2), "service.name", "unknown_service");
	assert_null(attribute_of(resource_at(&d, 2), "process.pid"));
	release(&d);

	options.grouping = OTLP_BY_HOST;
	encode(p, options, &d);
	assert_int_equal(sum(&d).resources, 1);
	assert_null(attribute_of(resource_at(&d, 0), "container.id"));
	/* Who it was, the sample says: thread.id, thread.name, and three of the process. */
	const Otlp__Profile *host =
		d.messages[0]->resource_profiles[0]->scope_profiles[0]->profiles[0];
	assert_int_equal(host->samples[0]->n_attribute_indices, 5);
	release(&d);
}

static void test_attributes(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 400, .processes = 4, .functions = 200, .times = 1});
	/* Two threads in one stack: one sample when nothing tells them apart. */
	p->samples.items[4] = p->samples.items[0];
	p->samples.items[4].first_label = p->samples.items[1].first_label;
	p->samples.items[4].first_timestamp = p->samples.items[399].first_timestamp;
	struct decoded d;
	encode(p, plain, &d);
	assert_int_equal(sum(&d).samples, 400);
	release(&d);
	struct otlp_options options = OTLP_OPTIONS_PYROSCOPE;
	encode(p, options, &d);
	struct sums sums = sum(&d);
	assert_int_equal(sums.samples, 399);
	assert_int_equal(sums.events, 400);
	release(&d);
	const struct otlp_attribute mine[] = {{"service.name", "mine", 0},
					      {"host.name", "other", 0},
					      {"rack", NULL, 7}};
	options.attributes = mine;
	options.attribute_count = 3;
	encode(p, options, &d);
	assert_text(resource_at(&d, 1), "service.name", "mine");
	assert_text(resource_at(&d, 1), "host.name", "other");
	assert_int_equal(attribute_of(resource_at(&d, 1), "rack")->int_value, 7);
	release(&d);
	/* A guess gives way to what was configured, what a process says does not. */
	for (int guess = 1; guess >= 0; guess--) {
		struct profile_label *first = &p->resource_attributes.items[0];
		first->key = example_string(p, "service.name", 0);
		first->text = example_string(p, "own", 0);
		first->is_guess = (uint32_t)guess;
		encode(p, options, &d);
		assert_text(resource_at(&d, 0), "service.name", guess ? "mine" : "own");
		release(&d);
	}
}

/* What a link says is not said again by labels; without one they say it. */
static void test_labels_of_links(void **state)
{
	for (uint32_t link = 0; link < 2; link++) {
		_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
			.samples = 1, .processes = 1, .functions = 9, .times = 1});
		struct decoded d;
		encode(p, plain, &d);
		size_t without = first_sample(&d)->n_attribute_indices;
		release(&d);
		example_label(p, &p->samples.items[0], "trace_id", "0102", 0);
		example_label(p, &p->samples.items[0], "span_id", "03", 0);
		p->samples.items[0].link = link;
		encode(p, plain, &d);
		assert_int_equal(first_sample(&d)->n_attribute_indices, link ? without : without + 2);
		assert_int_equal(first_sample(&d)->link_index, link);
		release(&d);
	}
}

static void test_limit(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 2000, .processes = 7, .functions = 500, .times = 2, .untimed = true});
	struct otlp_options options = plain;
	struct decoded d;
	options.size_limit = 20000;
	struct otlp_statistics statistics = encode(p, options, &d);
	struct sums sums = sum(&d);
	assert_true(d.count > 5);
	assert_true(d.largest <= 20000);
	assert_int_equal(statistics.too_large, 0);
	assert_int_equal(sums.events, 6000);
	assert_int_equal(sums.attributes, 3); /* losses still stand once */
	assert_time(p, &sums);
	release(&d);
}

/* One stack with more times than fit, and one whose names alone do not. */
static void test_one_sample_too_large(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 1, .processes = 1, .functions = 3, .times = 5000});
	struct otlp_options options = plain;
	struct decoded d;
	options.size_limit = 4000;
	encode(p, options, &d);
	struct sums sums = sum(&d);
	assert_true(d.count > 10 && d.largest <= 4000);
	assert_int_equal(sums.events, 5000);
	assert_time(p, &sums);
	release(&d);

	options.size_limit = 100;
	struct otlp_statistics statistics = encode(p, options, &d);
	assert_int_equal(d.count, 0);
	assert_int_equal(statistics.samples, 0);
	assert_int_equal(statistics.too_large, 5000);
}

/* As a file has it: no times, no resources, one of several types first. */
static void test_other_types(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 50, .functions = 20});
	bool failed = false;
	p->sample_types.items[0].type = profile_string(p, "alloc", &failed);
	p->sample_types.items[1].type = profile_string(p, "inuse", &failed);
	struct decoded d;
	encode(p, plain, &d);
	const Otlp__ScopeProfiles *scope = d.messages[0]->resource_profiles[0]->scope_profiles[0];
	assert_int_equal(scope->n_profiles, 2);
	const Otlp__Profile *first = scope->profiles[0];
	const ProtobufCBinaryData *type =
		&d.messages[0]->dictionary->string_table[first->sample_type->type_strindex];
	assert_memory_equal(type->data, "inuse", 5); /* the default of pprof */
	struct sums sums = sum(&d);
	assert_int_equal(sums.events, example_sum(p, 0) + example_sum(p, 1));
	assert_int_equal(first->period, EXAMPLE_PERIOD);
	release(&d);
}

static void test_empty(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){.functions = 3});
	struct decoded d;
	encode(p, plain, &d);
	assert_int_equal(d.count, 0);
}

static void test_random_ids(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 50, .processes = 2, .functions = 20, .times = 1});
	struct otlp_statistics statistics;
	struct decoded d = {0};
	assert_int_equal(otlp_encode(p, &plain, decode, &d, &statistics), 0);
	assert_int_equal(otlp_encode(p, &plain, decode, &d, &statistics), 0);
	const uint8_t *ids[4];
	for (size_t i = 0; i < 4; i++)
		ids[i] = d.messages[i / 2]->resource_profiles[i % 2]->scope_profiles[0]
				 ->profiles[0]->profile_id.data;
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(ids[i], ids[k], OTLP_PROFILE_ID_SIZE);
	release(&d);
}

static int refuse(void *userdata, const struct otlp_message *message)
{
	return -ENOSPC;
}

static void test_emit_fails(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 5, .processes = 2, .functions = 20, .times = 1});
	struct otlp_statistics statistics;
	assert_int_equal(otlp_encode(p, &plain, refuse, NULL, &statistics), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_untimed_rest),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_grouping),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_labels_of_links),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_one_sample_too_large),
		cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_random_ids),
		cmocka_unit_test(test_emit_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
