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
	};
	setenv("TZ", "UTC", 1);
	tzset();
	const struct output_names names = {"server", 42, 100};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_free_ char *path = NULL;
		assert_int_equal(output_expand(cases[i].pattern, &names, &path), 0);
		assert_string_equal(path, cases[i].path);
	}
	char *path = NULL;
	assert_int_equal(output_expand("%x", &names, &path), -EINVAL);
	assert_int_equal(output_expand("100%", &names, &path), -EINVAL);
	assert_null(path);
}

static void extensions(void **state)
{
	static const struct {
		const char *path;
		int result;
		enum output_format format;
	} cases[] = {
		{"x.pb.gz", 0, OUTPUT_PPROF},
		{"/tmp/a.b/x.folded", 0, OUTPUT_FOLDED},
		{"x.html", 0, OUTPUT_HTML},
		{"x.speedscope.json", 0, OUTPUT_SPEEDSCOPE},
		{"x.txt", 0, OUTPUT_TEXT},
		{"x.json", -EINVAL, 0},
		{".html", -EINVAL, 0}, /* a name without an extension */
		{"x", -EINVAL, 0},
		{"-", -EINVAL, 0},
		{"", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		enum output_format format = 0;
		assert_int_equal(output_format_of_path(cases[i].path, &format), cases[i].result);
		assert_int_equal(format, cases[i].format);
	}
	enum output_format format;
	assert_int_equal(output_format_of_name("speedscope", &format), 0);
	assert_int_equal(format, OUTPUT_SPEEDSCOPE);
	assert_int_equal(output_format_of_name("svg", &format), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_signs),
		cmocka_unit_test(extensions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
