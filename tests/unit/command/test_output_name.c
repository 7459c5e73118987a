/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "command/output.h"

#include <errno.h>
#include <time.h>

static void percent_signs(void **state)
{
	static const struct {
		const char *pattern, *path;
	} cases[] = {
		{"plain.pb.gz", "plain.pb.gz"},
		{"", ""},
		{"a-%h-%p-%t.html", "a-server-42-19700101-000140.html"},
		{"%%h%%", "%h%"},
		{"%e.pb.gz", "growth.pb.gz"},
	};
	setenv("TZ", "UTC", 1);
	tzset();
	const struct output_names names = {"server", 42, 100, "growth"};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_free_ char *path = NULL;
		assert_int_equal(output_expand(cases[i].pattern, &names, &path), 0);
		assert_string_equal(path, cases[i].path);
	}
	const struct output_names hostile = {"../etc/x", 42, 100, "growth"};
	_cleanup_free_ char *below = NULL;
	assert_int_equal(output_expand("/tmp/%h.html", &hostile, &below), 0);
	assert_string_equal(below, "/tmp/.._etc_x.html");
	char *path = NULL;
	assert_int_equal(output_expand("%x", &names, &path), -EINVAL);
	assert_int_equal(output_expand("100%", &names, &path), -EINVAL);
	assert_null(path);
}

static void names_tell_the_kind_or_not(void **state)
{
	assert_true(output_tells_kind("%e"));
	assert_true(output_tells_kind("a-%h-%e.pb.gz"));
	assert_true(output_tells_kind("%%%e"));
	assert_false(output_tells_kind(""));
	assert_false(output_tells_kind("-"));
	assert_false(output_tells_kind("%%e"));
	assert_false(output_tells_kind("e%h%"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_signs),
		cmocka_unit_test(names_tell_the_kind_or_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
