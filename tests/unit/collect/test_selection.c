/* SPDX-License-Identifier: Apache-2.0 */
/* Which names the patterns of a selection match. */
#include "collect/selection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add_pattern(struct selection *s, bool comm, const char *pattern)
{
	if (comm)
		assert_int_equal(array_add(&s->comm_patterns, strdup(pattern)), 0);
	else
		assert_int_equal(array_add(&s->exe_patterns, strdup(pattern)), 0);
}

static void test_whole_host(void **state)
{
	struct selection s = {0};
	assert_true(selection_is_whole_host(&s));
	s.user_only = true; /* says which ticks, not which processes */
	assert_true(selection_is_whole_host(&s));
	assert_true(selection_matches_comm(&s, "anything"));
	assert_true(selection_matches_executable(&s, "/usr/bin/anything"));
	assert_true(selection_matches_executable(&s, NULL));
	assert_int_equal(array_add(&s.pids, 17u), 0);
	assert_false(selection_is_whole_host(&s));
	selection_free(&s);
	s = (struct selection){0};
	assert_int_equal(array_add(&s.cgroup_paths, strdup("/system.slice")), 0);
	assert_false(selection_is_whole_host(&s));
	selection_free(&s);
}

static void test_comm(void **state)
{
	struct selection s = {0};
	add_pattern(&s, true, "worker-[0-9]");
	add_pattern(&s, true, "nginx*");
	assert_true(selection_matches_comm(&s, "worker-7"));
	assert_true(selection_matches_comm(&s, "nginx: worker"));
	assert_false(selection_matches_comm(&s, "worker-77"));
	assert_false(selection_matches_comm(&s, "my nginx"));
	assert_false(selection_matches_comm(&s, ""));
	assert_true(selection_matches_executable(&s, "/bin/other")); /* no pattern for it */
	assert_false(selection_is_whole_host(&s));
	selection_free(&s);
}

static void test_executable(void **state)
{
	struct selection s = {0};
	add_pattern(&s, false, "python3*");
	add_pattern(&s, false, "/opt/*/server");
	assert_true(selection_matches_executable(&s, "/usr/bin/python3.11"));
	assert_true(selection_matches_executable(&s, "python3"));
	assert_true(selection_matches_executable(&s, "/opt/a/b/server"));
	assert_false(selection_matches_executable(&s, "/usr/python3/other"));
	assert_false(selection_matches_executable(&s, "/usr/bin/server"));
	assert_false(selection_matches_executable(&s, NULL));
	assert_true(selection_matches_comm(&s, "other"));
	selection_free(&s);
}

static void expect_comm(const char *pattern, bool possible)
{
	struct text problem = {0};
	assert_int_equal(selection_check_comm(pattern, &problem), possible);
	assert_int_equal(problem.length == 0, possible);
	text_free(&problem);
}

static void expect_executable(const char *pattern, bool possible)
{
	struct text problem = {0};
	assert_int_equal(selection_check_executable(pattern, &problem), possible);
	assert_int_equal(problem.length == 0, possible);
	text_free(&problem);
}

static void test_patterns_of_nothing(void **state)
{
	expect_comm("systemd-journal", true);
	expect_comm("systemd-journald", false);
	expect_comm("systemd-journald*", true); /* nobody's business how long a pattern is */
	expect_comm("systemd-[j]ournal", true);
	expect_executable("nginx", true);
	expect_executable("/usr/sbin/nginx", true);
	expect_executable("*/sbin/nginx", true);
	expect_executable("sbin/nginx", false);
	expect_executable("./nginx", false);
	expect_executable("sbin/*", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_host),
		cmocka_unit_test(test_comm),
		cmocka_unit_test(test_executable),
		cmocka_unit_test(test_patterns_of_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
