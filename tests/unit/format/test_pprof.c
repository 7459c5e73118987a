/* SPDX-License-Identifier: Apache-2.0 */
/* What is written reads back the same; every cut and every flipped byte is refused or sound. */
#include "format/gzip.h"
#include "format/pprof.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct profile *example(void)
{
	struct profile *p;
	bool failed = false;
	assert_int_equal(profile_new(&p), 0);
	array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "samples", &failed), profile_string(p, "count", &failed)});
	array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "cpu", &failed), profile_string(p, "nanoseconds", &failed)});
	p->period_type = p->sample_types.items[1];
	p->period = 10101010;
	p->time_ns = 1700000000000000000;
	p->duration_ns = 10000000000;
	array_add(&p->comments, profile_string(p, "lost: 3", &failed));
	array_add(&p->mappings, (struct profile_mapping){.start = 0x1000, .limit = 0x9000,
		.offset = 0x1000, .file = profile_string(p, "/usr/bin/a", &failed),
		.build_id = profile_string(p, "abcdef", &failed), .has_functions = true});
	array_add(&p->mappings, (struct profile_mapping){
		.file = profile_string(p, "[kernel.kallsyms]", &failed)});
	static const char *const names[] = {"main", "work<int>", "inlined"};
	for (size_t i = 0; i < 3; i++) {
		array_add(&p->functions, (struct profile_function){
			.name = profile_string(p, names[i], &failed),
			.file = profile_string(p, "a.c", &failed), .start_line = (uint32_t)i});
		array_add(&p->lines, (struct profile_line){.function = (uint32_t)i, .line = 7});
	}
	array_add(&p->locations, (struct profile_location){.mapping = 0, .line_count = 1,
		.address = 0x1100});
	array_add(&p->locations, (struct profile_location){.mapping = 0, .first_line = 1,
		.line_count = 2, .address = UINT64_MAX});
	array_add(&p->locations, (struct profile_location){.mapping = 1, .first_line = 3,
		.address = 0xffffffff81000000, .type = FRAME_TYPE_KERNEL});
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t first = (uint32_t)p->stack_locations.count;
		for (uint32_t k = 0; k < 1 + i % 7; k++)
			array_add(&p->stack_locations, (i + k) % 3);
		array_add(&p->samples, (struct profile_sample){.first_location = first,
			.location_count = 1 + i % 7, .first_label = i, .label_count = 1});
		array_add(&p->labels, (struct profile_label){
			.key = profile_string(p, "process.pid", &failed), .number = i});
		array_add(&p->values, i);
		array_add(&p->values, -(int64_t)i * 1000);
	}
	assert_false(failed);
	assert_int_equal(profile_check(p), 0);
	return p;
}

static void compare(const struct profile *a, const struct profile *b)
{
#define SAME_ARRAY(field)                                                                     \
	do {                                                                                  \
		assert_int_equal(a->field.count, b->field.count);                             \
		for (size_t i = 0; i < a->field.count; i++)                                   \
			assert_memory_equal(&a->field.items[i], &b->field.items[i],           \
					    sizeof(a->field.items[i]));                       \
	} while (0)
	SAME_ARRAY(sample_types);
	SAME_ARRAY(functions);
	SAME_ARRAY(lines);
	SAME_ARRAY(stack_locations);
	SAME_ARRAY(labels);
	SAME_ARRAY(samples);
	SAME_ARRAY(values);
	SAME_ARRAY(comments);
	assert_int_equal(a->locations.count, b->locations.count);
	for (size_t i = 0; i < a->locations.count; i++) {
		assert_int_equal(a->locations.items[i].address, b->locations.items[i].address);
		assert_int_equal(a->locations.items[i].mapping, b->locations.items[i].mapping);
		assert_int_equal(a->locations.items[i].type, b->locations.items[i].type);
		assert_int_equal(a->locations.items[i].line_count,
				 b->locations.items[i].line_count);
	}
	assert_int_equal(a->mappings.count, b->mappings.count);
	assert_int_equal(a->mappings.items[0].limit, b->mappings.items[0].limit);
	assert_int_equal(a->mappings.items[0].build_id, b->mappings.items[0].build_id);
	assert_true(b->mappings.items[0].has_functions);
	assert_int_equal(a->period, b->period);
	assert_int_equal(a->time_ns, b->time_ns);
	assert_int_equal(a->duration_ns, b->duration_ns);
	for (uint32_t i = 0; i < a->strings.count; i++)
		assert_string_equal(profile_text(a, i), profile_text(b, i));
}

static void test_round_trip(void **state)
{
	for (int raw = 0; raw < 2; raw++) {
		_cleanup_profile_ struct profile *a = example();
		_cleanup_profile_ struct profile *b = NULL;
		struct text out = {0};
		struct pprof_failure failure;
		assert_int_equal(pprof_encode(a, raw ? PPROF_RAW : PPROF_GZIP, &out), 0);
		assert_int_equal(gzip_is(out.bytes, out.length), !raw);
		assert_int_equal(pprof_decode(out.bytes, out.length, 0, &failure, &b), 0);
		compare(a, b);
		text_free(&out);
	}
}

/* What only OTLP has room for leaves no trace, not even in the table of strings. */
/* The size that precedes a stack and its sample takes more bytes from 128 and from 16384 bytes on. */
static void test_sizes_of_stacks(void **state)
{
	static const uint32_t limits[] = {0, 128, 16384};
	_cleanup_profile_ struct profile *a = example();
	_cleanup_profile_ struct profile *b = NULL;
	struct text out = {0};
	struct pprof_failure failure;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		for (uint32_t count = limits[i] < 16 ? 0 : limits[i] - 16; count < limits[i] + 4; count++) {
			uint32_t first = (uint32_t)a->stack_locations.count;
			for (uint32_t k = 0; k < count; k++)
				array_add(&a->stack_locations, k % 3);
			array_add(&a->samples, (struct profile_sample){
				.first_location = first, .location_count = count,
				.first_label = (uint32_t)a->labels.count});
			array_add(&a->values, INT64_MIN);
			array_add(&a->values, INT64_MAX);
		}
	assert_int_equal(pprof_encode(a, PPROF_RAW, &out), 0);
	assert_int_equal(pprof_decode(out.bytes, out.length, 0, &failure, &b), 0);
	compare(a, b);
	text_free(&out);
}

static void test_resources_change_nothing(void **state)
{
	_cleanup_profile_ struct profile *plain = example();
	struct text wanted = {0}, got = {0};
	assert_int_equal(pprof_encode(plain, PPROF_RAW, &wanted), 0);

	_cleanup_profile_ struct profile *p = NULL;
	struct pprof_failure failure;
	bool failed = false;
	assert_int_equal(pprof_decode(wanted.bytes, wanted.length, 0, &failure, &p), 0);
	p->mappings.items[0].htlhash = profile_string(p, "0123", &failed);
	array_add(&p->resource_attributes, (struct profile_label){
		.key = profile_string(p, "process.executable.path", &failed),
		.text = profile_string(p, "/usr/bin/other", &failed)});
	array_add(&p->resources, (struct profile_resource){.attribute_count = 1});
	array_add(&p->timestamps, 1700000000000000000);
	p->samples.items[0].resource = 1;
	p->samples.items[0].timestamp_count = 1;
	assert_false(failed);
	/* A string in use behind those that are not. */
	for (int i = 0; i < 2; i++) {
		struct profile *each = i ? p : plain;
		array_add(&each->comments, profile_string(each, "last", &failed));
	}
	assert_int_equal(profile_check(p), 0);
	wanted.length = 0;
	assert_int_equal(pprof_encode(plain, PPROF_RAW, &wanted), 0);
	assert_int_equal(pprof_encode(p, PPROF_RAW, &got), 0);
	assert_int_equal(got.length, wanted.length);
	assert_memory_equal(got.bytes, wanted.bytes, got.length);
	text_free(&wanted);
	text_free(&got);
}

static void test_damage(void **state)
{
	_cleanup_profile_ struct profile *a = example();
	struct text out = {0};
	struct pprof_failure failure;
	assert_int_equal(pprof_encode(a, PPROF_RAW, &out), 0);
	for (size_t cut = 0; cut < out.length; cut++) {
		_cleanup_profile_ struct profile *b = NULL;
		int r = pprof_decode(out.bytes, cut, 0, &failure, &b);
		assert_true(r == 0 || (r == -EBADMSG && failure.text[0]));
	}
	for (size_t i = 0; i < out.length; i++) {
		_cleanup_profile_ struct profile *b = NULL;
		out.bytes[i] ^= 0x55;
		int r = pprof_decode(out.bytes, out.length, 0, &failure, &b);
		assert_true(r == 0 || (r == -EBADMSG && failure.text[0]));
		out.bytes[i] ^= 0x55;
	}
	text_free(&out);
}

static int decode(const char *bytes, size_t size, struct pprof_failure *failure)
{
	_cleanup_profile_ struct profile *profile = NULL;
	return pprof_decode(bytes, size, 0, failure, &profile);
}

#define DECODE(literal, failure) decode(literal, sizeof(literal) - 1, failure)

static void test_foreign(void **state)
{
	struct pprof_failure failure;
	/* One sample type; location 500000 (sparse); unpacked numbers; unknown field 99. */
	assert_int_equal(DECODE("\x0a\x00\x22\x04\x08\xa0\xc2\x1e\x12\x06\x08\xa0\xc2\x1e\x10\x05"
				"\x98\x06\x01\x32\x00", &failure), 0);
	assert_int_equal(DECODE("\x0a\x00\x12\x00", &failure), -EBADMSG);
	assert_non_null(strstr(failure.text, "0 values where the file has 1"));
	assert_int_equal(DECODE("\x0a\x00\x12\x04\x08\x07\x10\x01", &failure), -EBADMSG);
	assert_non_null(strstr(failure.text, "location 7"));
	assert_int_equal(DECODE("\x22\x02\x08\x01\x22\x02\x08\x01", &failure), -EBADMSG);
	assert_non_null(strstr(failure.text, "two locations have id 1"));
	assert_int_equal(DECODE("\x22\x00", &failure), -EBADMSG);
	assert_int_equal(DECODE("\x0a\x02\x08\x05", &failure), -EBADMSG);
	assert_non_null(strstr(failure.text, "string 5"));
	assert_int_equal(DECODE("\x1f\x8b\x08\x00", &failure), -EBADMSG);
	assert_int_equal(DECODE("", &failure), -EBADMSG);
}

static void test_bomb(void **state)
{
	struct text out = {0};
	struct pprof_failure failure;
	struct profile *profile = NULL;
	_cleanup_free_ char *zeros = calloc(4, 1 << 20);
	assert_non_null(zeros);
	assert_int_equal(gzip_compress(zeros, 4 << 20, 9, &out), 0);
	assert_int_equal(pprof_decode(out.bytes, out.length, 1 << 20, &failure, &profile), -EFBIG);
	text_free(&out);
}

/* 2,000 lines named 1,000 times: two million frames in some kilobytes. */
static void test_frame_bomb(void **state)
{
	_cleanup_profile_ struct profile *p = NULL;
	struct text out = {0};
	struct pprof_failure failure;
	struct profile *ret = NULL;
	bool failed = false;
	assert_int_equal(profile_new(&p), 0);
	array_add(&p->sample_types, (struct profile_value_type){0, 0});
	array_add(&p->functions, (struct profile_function){.name = profile_string(p, "f", &failed)});
	for (int i = 0; i < 2000; i++)
		array_add(&p->lines, (struct profile_line){.function = 0});
	array_add(&p->locations, (struct profile_location){.mapping = PROFILE_NONE,
		.line_count = 2000});
	for (int i = 0; i < 1000; i++)
		array_add(&p->stack_locations, 0);
	array_add(&p->samples, (struct profile_sample){.location_count = 1000});
	array_add(&p->values, 1);
	assert_int_equal(profile_check(p), 0);
	assert_int_equal(pprof_encode(p, PPROF_RAW, &out), 0);
	assert_int_equal(pprof_decode(out.bytes, out.length, 0, &failure, &ret), -EBADMSG);
	assert_non_null(strstr(failure.text, "2000000 frames"));
	text_free(&out);
	p->samples.items[0].location_count = 100;
	p->stack_locations.count = 100;
	assert_int_equal(pprof_encode(p, PPROF_RAW, &out), 0);
	assert_int_equal(pprof_decode(out.bytes, out.length, 0, &failure, &ret), 0);
	profile_free(ret);
	text_free(&out);
}

static void test_invalid_utf8(void **state)
{
	struct text out = {0};
	text_add_utf8(&out, "a\xff\xc3\xa9\xe2\x82", 6);
	assert_string_equal(out.bytes, "a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_sizes_of_stacks),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_resources_change_nothing),
		cmocka_unit_test(test_foreign),	   cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_invalid_utf8), cmocka_unit_test(test_frame_bomb),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
