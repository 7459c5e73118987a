/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attributes.h"
#include "format/formats.h"

#include <errno.h>

static void endings(void **state)
{
	static const struct {
		const char *path;
		int format;
	} cases[] = {
		{"x.pb.gz", FILE_FORMAT_PPROF},
		{"x.pb", FILE_FORMAT_PPROF_RAW},
		{"/tmp/a.b/x.folded", FILE_FORMAT_FOLDED},
		{"x.HTML", FILE_FORMAT_HTML},
		{"x.speedscope.json", FILE_FORMAT_SPEEDSCOPE},
		{"x.txt", FILE_FORMAT_TEXT},
		{"x.json", -EINVAL},
		{".html", -EINVAL}, /* a name without an ending */
		{"x", -EINVAL},
		{"-", -EINVAL},
		{"", -EINVAL},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		assert_int_equal(format_from_path(cases[i].path), cases[i].format);
}

static void words(void **state)
{
	assert_int_equal(format_from_word("speedscope"), FILE_FORMAT_SPEEDSCOPE);
	assert_int_equal(format_from_word("pprof"), FILE_FORMAT_PPROF);
	assert_int_equal(format_from_word("svg"), -EINVAL);
	assert_int_equal(format_from_word(""), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endings),
		cmocka_unit_test(words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
