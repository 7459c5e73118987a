/* SPDX-License-Identifier: Apache-2.0 */
/* Which names the patterns of a selection match, and which kernels are refused. */
#include "collect/kernel_bugs.h"
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

static void test_kernel_versions(void **state)
{
	static const struct {
		const char *release, *version, *signature;
		int result;
		struct kernel_version kernel;
	} cases[] = {
		{"6.1.35", NULL, NULL, 0, {6, 1, 35}},
		{"5.10", "Linux version 5.10", NULL, 0, {5, 10, 0}},
		{"6.1.0-37-amd64", "Linux version 6.1.0-37-amd64 (x) #1 SMP Debian 6.1.140-1 (2025)",
		 NULL, 0, {6, 1, 140}},
		{"5.15.0-91-generic", "Linux version 5.15.0-91-generic (buildd)",
		 "Ubuntu 5.15.0-91.101-generic 5.15.131\n", 0, {5, 15, 131}},
		{"6.18.44+deb12-cloud", "no Debian number", "", 0, {6, 18, 44}},
		{"nonsense", NULL, NULL, -1, {0}},
		{NULL, NULL, NULL, -1, {0}},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct kernel_version kernel = {0};
		assert_int_equal(kernel_version_parse(cases[i].release, cases[i].version,
						      cases[i].signature, &kernel),
				 cases[i].result);
		assert_int_equal(kernel_version_compare(kernel, cases[i].kernel), 0);
	}
}

static void test_kernel_bug(void **state)
{
	static const struct kernel_version sound[] = {{5, 10, 0}, {5, 18, 19}, {6, 1, 36},
						      {6, 1, 140}, {6, 3, 10}, {6, 4, 0}, {7, 0, 0}};
	static const struct kernel_version bad[] = {{5, 19, 0}, {5, 19, 17}, {6, 0, 19}, {6, 1, 0},
						    {6, 1, 35}, {6, 2, 0}, {6, 2, 16}, {6, 3, 9}};
	for (size_t i = 0; i < ARRAY_LENGTH(sound); i++)
		assert_null(kernel_bug_user_read(sound[i]));
	for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
		const struct kernel_version *fixed = kernel_bug_user_read(bad[i]);
		assert_non_null(fixed);
		assert_true(kernel_version_compare(*fixed, bad[i]) > 0);
		assert_null(kernel_bug_user_read(*fixed));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_host),  cmocka_unit_test(test_comm),
		cmocka_unit_test(test_executable),  cmocka_unit_test(test_kernel_versions),
		cmocka_unit_test(test_kernel_bug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
