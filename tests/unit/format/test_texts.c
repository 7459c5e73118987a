/* SPDX-License-Identifier: Apache-2.0 */
/* The text formats, word for word: folded stacks, speedscope, reports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/folded.h"
#include "format/report_json.h"
#include "format/speedscope.h"
#include "tests/unit/profile/stacks.h"

static struct profile *example(void)
{
	struct profile *profile = TEST_PROFILE({"main;work", 30}, {"main;a \033[b", 10},
					       {"main;work", 20}, {"main", 40});
	array_add(&profile->locations,
		  (struct profile_location){.mapping = PROFILE_NONE, .address = 0x12});
	array_add(&profile->samples,
		  (struct profile_sample){
			  .first_location = (uint32_t)profile->stack_locations.count,
			  .location_count = 1});
	array_add(&profile->stack_locations, 3);
	array_add(&profile->values, 100);
	return profile;
}

static void folded(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct text out = {0};
	assert_int_equal(folded_encode(profile, &out), 0);
	assert_non_null(strstr(out.bytes, "main;work 50\n"));
	assert_non_null(strstr(out.bytes, "main;a ?[b 10\n"));
	assert_non_null(strstr(out.bytes, "main 40\n"));
	assert_non_null(strstr(out.bytes, "0x12] 100\n"));
	size_t lines = 0;
	for (size_t i = 0; i < out.length; i++)
		lines += out.bytes[i] == '\n';
	assert_int_equal(lines, 4);
	text_free(&out);
}

static void names_keep_the_separator(void **state)
{
	_cleanup_profile_ struct profile *profile = TEST_PROFILE({"main", 1});
	bool failed = false;
	struct text out = {0};
	profile->functions.items[0].name = profile_string(profile, "a;b\nc", &failed);
	assert_int_equal(folded_encode(profile, &out), 0);
	assert_string_equal(out.bytes, "a:b?c 1\n");
	text_free(&out);
}

static void speedscope(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct text out = {0};
	profile->values.items[3] = -40;
	assert_int_equal(speedscope_encode(profile, &out), 0);
	assert_non_null(strstr(out.bytes, "{\"name\":\"main\"},\n{\"name\":\"work\"}"));
	assert_non_null(strstr(out.bytes, "\"samples\":[\n[0,1],\n[0,2],\n[0,1],\n[3]]"));
	assert_non_null(strstr(out.bytes, "\"weights\":[30,10,20,100]"));
	assert_non_null(strstr(out.bytes, "\"startValue\":0,\"endValue\":160"));
	assert_non_null(strstr(out.bytes, "\"unit\":\"nanoseconds\""));
	assert_non_null(strstr(out.bytes, "0x12]\"}"));
	text_free(&out);
}

static void speedscope_sums_of_what_it_draws(void **state)
{
	_cleanup_profile_ struct profile *profile =
		TEST_PROFILE({"first", INT64_MAX - 5}, {"too much", 6}, {"fits", 5});
	struct text out = {0};
	assert_int_equal(speedscope_encode(profile, &out), 0);
	assert_non_null(strstr(out.bytes, "\"weights\":[9223372036854775802,5]"));
	assert_non_null(strstr(out.bytes, "\"endValue\":9223372036854775807"));
	text_free(&out);
}

static void text_report(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	struct text out = {0};
	assert_int_equal(report_text_write(profile, &out), 0);
	assert_non_null(strstr(out.bytes, "  25.0%       50 ns  25.0%  work\n"));
	assert_non_null(strstr(out.bytes, "  20.0%      100 ns  50.0%  main\n"));
	assert_non_null(strstr(out.bytes, "  a ?[b\n"));
	text_free(&out);
}

static void json_report(void **state)
{
	_cleanup_profile_ struct profile *profile = example();
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	struct text out = {0};
	assert_int_equal(call_tree_new(profile, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	struct report_view view = {profile, 0, report, 2, 0};
	assert_int_equal(report_json_functions(&view, REPORT_BY_FLAT, &out), 0);
	assert_non_null(strstr(out.bytes, "\"total\":200,"));
	assert_non_null(strstr(out.bytes, "{\"name\":\"work\",\"type\":\"native\",\"flat\":50,"
					  "\"cumulative\":50}\n]}\n"));
	assert_null(strstr(out.bytes, "main"));
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folded),	cmocka_unit_test(names_keep_the_separator),
		cmocka_unit_test(speedscope),	cmocka_unit_test(speedscope_sums_of_what_it_draws),
		cmocka_unit_test(text_report),
		cmocka_unit_test(json_report),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
