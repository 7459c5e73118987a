/* SPDX-License-Identifier: Apache-2.0 */
/* The model itself: every index out of range is found, and frames have the right names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "profile/profile.h"
#include "tests/unit/profile/stacks.h"

static struct profile *full(void)
{
	struct profile *p = TEST_PROFILE({"main;work", 30}, {"main", 5});
	array_add(&p->mappings, (struct profile_mapping){.limit = 1});
	array_add(&p->labels, (struct profile_label){.number = 1});
	array_add(&p->comments, 0);
	p->samples.items[0].label_count = 1;
	assert_int_equal(profile_check(p), 0);
	return p;
}

/* Sets a field of a sound profile to a value and expects that profile_check() finds it. */
#define REFUSES(field, bad)                                       \
	do {                                                      \
		_cleanup_profile_ struct profile *p = full();     \
		p->field = (bad);                                 \
		assert_int_equal(profile_check(p), -EBADMSG);     \
	} while (0)

static void test_check(void **state)
{
	const uint32_t past = 1000;
	REFUSES(sample_types.items[0].type, past);
	REFUSES(sample_types.items[0].unit, past);
	REFUSES(period_type.type, past);
	REFUSES(period_type.unit, past);
	REFUSES(default_sample_type, past);
	REFUSES(drop_frames, past);
	REFUSES(keep_frames, past);
	REFUSES(doc_url, past);
	REFUSES(comments.items[0], past);
	REFUSES(mappings.items[0].file, past);
	REFUSES(mappings.items[0].build_id, past);
	REFUSES(functions.items[1].name, past);
	REFUSES(functions.items[1].system_name, past);
	REFUSES(functions.items[1].file, past);
	REFUSES(lines.items[0].function, 2);
	REFUSES(locations.items[0].mapping, 1);
	REFUSES(locations.items[1].first_line, 2);
	REFUSES(locations.items[0].line_count, UINT32_MAX);
	REFUSES(locations.items[0].type, FRAME_TYPE_MAX);
	REFUSES(stack_locations.items[0], 2);
	REFUSES(samples.items[0].first_location, UINT32_MAX);
	REFUSES(samples.items[1].location_count, 2);
	REFUSES(samples.items[0].first_label, 1);
	REFUSES(labels.items[0].key, past);
	REFUSES(labels.items[0].text, past);
	REFUSES(labels.items[0].unit, past);
	REFUSES(values.count, 1);
	REFUSES(sample_types.count, 0);
	REFUSES(strings.count, 0);
}

static void test_none_is_sound(void **state)
{
	_cleanup_profile_ struct profile *p = full();
	p->lines.items[0].function = PROFILE_NONE;
	p->locations.items[0].mapping = PROFILE_NONE;
	assert_int_equal(profile_check(p), 0);
}

static void test_sample_types(void **state)
{
	_cleanup_profile_ struct profile *p = full();
	bool failed = false;
	array_add(&p->sample_types, (struct profile_value_type){
		profile_string(p, "wall", &failed), profile_string(p, "nanoseconds", &failed)});
	assert_int_equal(profile_find_sample_type(p, "wall"), 1);
	assert_int_equal(profile_find_sample_type(p, "cpu"), 0);
	assert_int_equal(profile_find_sample_type(p, "heap"), -1);
	assert_int_equal(profile_default_value(p), 1);
	p->default_sample_type = profile_string(p, "cpu", &failed);
	assert_int_equal(profile_default_value(p), 0);
	p->default_sample_type = profile_string(p, "heap", &failed);
	assert_int_equal(profile_default_value(p), 1);
}

static void expect_name(struct profile *p, const char *file, uint64_t address, const char *expected)
{
	char buffer[64];
	bool failed = false;
	struct profile_location location = {.mapping = file ? 0 : PROFILE_NONE, .address = address};
	if (file)
		p->mappings.items[0].file = profile_string(p, file, &failed);
	assert_false(failed);
	assert_string_equal(profile_frame_name(p, &location, 0, buffer, sizeof(buffer)), expected);
}

static void test_addresses_as_names(void **state)
{
	_cleanup_profile_ struct profile *p = full();
	expect_name(p, "/lib/libc.so.6", 0x1234, "[libc.so.6+0x1234]");
	expect_name(p, "[vdso]", 0x10, "[vdso+0x10]");
	expect_name(p, "dir/", UINT64_MAX, "[dir/+0xffffffffffffffff]");
	expect_name(p, "", 1, "[unknown+0x1]");
	expect_name(p, NULL, 1, "[unknown+0x1]");
}

static void test_function_names(void **state)
{
	_cleanup_profile_ struct profile *p = full();
	char buffer[64];
	bool failed = false;
	const struct profile_location *location = &p->locations.items[1];
	struct profile_function *function = &p->functions.items[1];
	assert_string_equal(profile_frame_name(p, location, 0, buffer, sizeof(buffer)), "work");
	function->name = 0;
	function->system_name = profile_string(p, "_Z4workv", &failed);
	assert_string_equal(profile_frame_name(p, location, 0, buffer, sizeof(buffer)), "_Z4workv");
	/* A name that begins with NUL shows nothing. */
	assert_int_equal(strings_add(&p->strings, "\0x", 2, &function->name), 0);
	function->system_name = function->name;
	assert_string_equal(profile_frame_name(p, location, 0, buffer, sizeof(buffer)),
			    "[unknown+0x2]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_none_is_sound),
		cmocka_unit_test(test_sample_types),
		cmocka_unit_test(test_addresses_as_names),
		cmocka_unit_test(test_function_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
