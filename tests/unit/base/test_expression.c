/* SPDX-License-Identifier: Apache-2.0 */
/* What regular expressions match, and which are refused. */
#include "base/expression.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool matches(const char *pattern, const char *name)
{
	struct text error = {0};
	regex_t regex;
	assert_int_equal(expression_compile(pattern, &regex, &error), 0);
	assert_null(error.bytes);
	bool found = regexec(&regex, name, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static void matching(void **state)
{
	static const struct {
		const char *pattern, *yes, *no;
	} cases[] = {
		{"^malloc$", "malloc", "my_malloc"},
		{"", "x", NULL},
		{"worker-\\d+$", "worker-17", "worker-d"},
		{"^\\w+$", "read_2", "std::read"},
		{"a\\sb", "a b", "asb"},
		{"^\\D+$", "main", "main2"},
		{"\\W", "a::b", "a_b"},
		{"^\\S+$", "main", "unsigned int"},
		{"^[\\w:]+$", "std::read_2", "operator new"},
		{"^[^\\d]+$", "main", "main2"},
		{"[[:digit:]\\s]", "a b", "ab"},
		{"^[]\\d]+$", "]1", "d"},
		{"^[a\\]+$", "a\\", "b"}, /* a backslash in brackets is itself, and ends them like any other */
		{"\\bnew\\b", "operator new", "renew"},
		{"a\\.b", "a.b", "axb"},
		{"a\\\\d", "a\\d", "a1"},
		{"[(]4711[)]", "nginx (4711)", "nginx 4711"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(matches(cases[i].pattern, cases[i].yes));
		assert_false(cases[i].no && matches(cases[i].pattern, cases[i].no));
	}
}

static void refusing(void **state)
{
	static const struct {
		const char *pattern, *said;
	} cases[] = {
		{"a(", "'a(' is no regular expression: "},
		{"[a", "'[a' is no regular expression: "},
		{"a\\", "'a\\' is no regular expression: "},
		{"\\x41", ": \\x means nothing ("},
		{"a\\q", ": \\q means nothing ("},
		{"[\\D]", ": \\D means nothing in brackets ("},
		{"[\\b]", ": \\b means nothing in brackets ("},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text error = {0};
		regex_t regex;
		assert_int_equal(expression_compile(cases[i].pattern, &regex, &error), -EINVAL);
		assert_non_null(strstr(error.bytes, cases[i].said));
		text_free(&error);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(matching), cmocka_unit_test(refusing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
