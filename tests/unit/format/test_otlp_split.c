/* SPDX-License-Identifier: Apache-2.0 */
/* Halves of halves until nothing can be cut: every event is in one of them, under an id of its own. */
#include "format/otlp.h"

#include "otlp.pb-c.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/format/otlp_example.h"

static int keep(void *userdata, const struct otlp_message *message)
{
	text_add_bytes(userdata, message->bytes, message->size);
	return 0;
}

static void make_id(void *userdata, uint8_t id[OTLP_PROFILE_ID_SIZE])
{
	id[0] = (uint8_t)++*(unsigned int *)userdata;
}

/* The whole profile as one message; returns its events. */
static uint64_t encode(const struct profile *profile, struct otlp_options options, struct text *ret)
{
	struct otlp_statistics statistics;
	unsigned int ids = 0;
	options.size_limit = SIZE_MAX;
	options.make_id = make_id;
	options.id_userdata = &ids;
	assert_int_equal(otlp_encode(profile, &options, keep, ret, &statistics), 0);
	assert_int_equal(statistics.messages, 1);
	return statistics.samples;
}

struct pieces {
	uint64_t events, time;
	size_t count, largest, attributes;
	struct strings ids;
};

static void add_profile(struct pieces *pieces, const Otlp__Profile *profile)
{
	uint32_t id;
	size_t before = pieces->ids.count;
	assert_int_equal(profile->profile_id.len, OTLP_PROFILE_ID_SIZE);
	strings_add(&pieces->ids, (const char *)profile->profile_id.data, OTLP_PROFILE_ID_SIZE, &id);
	assert_int_equal(pieces->ids.count, before + 1); /* no id comes twice */
	uint64_t events = 0;
	for (size_t i = 0; i < profile->n_samples; i++) {
		events += profile->samples[i]->n_timestamps_unix_nano;
		for (size_t k = 0; k < profile->samples[i]->n_values; k++)
			events += (uint64_t)profile->samples[i]->values[k];
	}
	assert_true(events > 0);
	pieces->events += events;
	pieces->time += events * (uint64_t)profile->period;
	pieces->attributes += profile->n_attribute_indices;
}

static void add_piece(struct pieces *pieces, const struct text *bytes, uint64_t samples)
{
	uint64_t before = pieces->events;
	Otlp__ExportProfilesServiceRequest *request =
		otlp__export_profiles_service_request__unpack(NULL, bytes->length,
							      (const uint8_t *)bytes->bytes);
	assert_non_null(request);
	for (size_t r = 0; r < request->n_resource_profiles; r++) {
		const Otlp__ScopeProfiles *scope = request->resource_profiles[r]->scope_profiles[0];
		assert_true(scope->n_profiles > 0);
		for (size_t p = 0; p < scope->n_profiles; p++)
			add_profile(pieces, scope->profiles[p]);
	}
	assert_int_equal(request->dictionary->string_table[0].len, 0);
	otlp__export_profiles_service_request__free_unpacked(request, NULL);
	assert_int_equal(pieces->events - before, samples);
	pieces->count++;
	pieces->largest = MAX_OF(pieces->largest, bytes->length);
}

/* Splits what is larger than the limit, and what comes of it. */
static void split_below(struct pieces *pieces, const struct text *bytes, uint64_t samples,
			size_t limit)
{
	struct otlp_half halves[2];
	int r = bytes->length <= limit ? -E2BIG
				       : otlp_split(bytes->bytes, bytes->length, samples, halves);
	if (r == -E2BIG) {
		add_piece(pieces, bytes, samples);
		return;
	}
	assert_int_equal(r, 0);
	assert_int_equal(halves[0].samples + halves[1].samples, samples);
	for (int i = 0; i < 2; i++) {
		assert_true(halves[i].bytes.length < bytes->length);
		split_below(pieces, &halves[i].bytes, halves[i].samples, limit);
		text_free(&halves[i].bytes);
	}
}

static const struct otlp_options plain = OTLP_OPTIONS_DEFAULT;

static void check_pieces(const struct profile *p, struct otlp_options options, size_t limit)
{
	struct text whole = {0};
	struct pieces before = {0}, after = {0};
	uint64_t events = encode(p, options, &whole);
	add_piece(&before, &whole, events);
	split_below(&after, &whole, events, limit);
	assert_true(after.count > 3);
	assert_int_equal(after.events, before.events);
	assert_int_equal(after.time, before.time);
	assert_int_equal(after.attributes, before.attributes); /* losses are counted once */
	if (limit)
		assert_true(after.largest <= limit);
	strings_free(&before.ids);
	strings_free(&after.ids);
	text_free(&whole);
}

static void test_times(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 300, .processes = 5, .functions = 200, .times = 3, .untimed = true});
	check_pieces(p, plain, 8000);
}

static void test_values(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 300, .processes = 5, .functions = 200, .times = 3});
	struct otlp_options options = plain;
	options.shape = OTLP_SHAPE_VALUES;
	check_pieces(p, options, 8000);
}

/* To the last event. */
static void test_single_events(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 5, .processes = 2, .functions = 10, .times = 9});
	struct text whole = {0};
	struct pieces pieces = {0};
	uint64_t events = encode(p, plain, &whole);
	split_below(&pieces, &whole, events, 0);
	assert_int_equal(pieces.count, 45);
	assert_int_equal(pieces.events, 45);
	strings_free(&pieces.ids);
	text_free(&whole);
}

static void test_same_again(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 31, .processes = 2, .functions = 10, .times = 2});
	struct text whole = {0};
	struct otlp_half first[2], second[2];
	uint64_t events = encode(p, plain, &whole);
	assert_int_equal(otlp_split(whole.bytes, whole.length, events, first), 0);
	assert_int_equal(otlp_split(whole.bytes, whole.length, events, second), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(first[i].bytes.length, second[i].bytes.length);
		assert_memory_equal(first[i].bytes.bytes, second[i].bytes.bytes,
				    first[i].bytes.length);
		text_free(&first[i].bytes);
		text_free(&second[i].bytes);
	}
	text_free(&whole);
}

/* Values in ns do not tell how many events they stand for: the halves share what the whole had. */
static void test_uncountable(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 40, .processes = 1, .functions = 10, .times = 3});
	struct otlp_options options = plain;
	struct text whole = {0};
	struct otlp_half halves[2];
	options.sample_type = OTLP_CPU_NANOSECONDS;
	assert_int_equal(encode(p, options, &whole), 120);
	assert_int_equal(otlp_split(whole.bytes, whole.length, 120, halves), 0);
	assert_int_equal(halves[0].samples, 60);
	assert_int_equal(halves[1].samples, 60);
	text_free(&halves[0].bytes);
	text_free(&halves[1].bytes);
	text_free(&whole);
}

static void test_damage(void **state)
{
	_cleanup_profile_ struct profile *p = otlp_example(&(struct example_size){
		.samples = 12, .processes = 2, .functions = 10, .times = 2});
	struct text whole = {0};
	struct otlp_half halves[2];
	encode(p, plain, &whole);
	assert_int_equal(otlp_split("", 0, 0, halves), -E2BIG);
	assert_int_equal(otlp_split("\x0a\x05", 2, 1, halves), -EBADMSG);
	for (size_t i = 0; i < 2 * whole.length; i++) {
		size_t size = i < whole.length ? i : whole.length, at = i % whole.length;
		whole.bytes[at] ^= i < whole.length ? 0 : 0x55;
		int r = otlp_split(whole.bytes, size, 24, halves);
		assert_true(r == 0 || r == -EBADMSG || r == -E2BIG);
		for (int k = 0; r == 0 && k < 2; k++)
			text_free(&halves[k].bytes);
		whole.bytes[at] ^= i < whole.length ? 0 : 0x55;
	}
	text_free(&whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),	    cmocka_unit_test(test_values),
		cmocka_unit_test(test_single_events), cmocka_unit_test(test_same_again),
		cmocka_unit_test(test_uncountable), cmocka_unit_test(test_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
