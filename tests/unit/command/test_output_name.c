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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percent_signs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
