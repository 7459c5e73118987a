/* SPDX-License-Identifier: Apache-2.0 */
/* Which kernels are known to hang, how their versions are found, and what is left out on them. */
#include "collect/safe_mode.h"

#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

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

/* A kernel by what matters, and what must become of it. */
static void test_decisions(void **state)
{
	const int safe = (int)SAFE_MODE_BIT(SAFE_MODE_KERNEL_TICKS);
	static const struct kernel_version bad = {6, 1, 27}, sound = {6, 1, 140}, unknown = {0, 0, 0};
	const struct {
		struct kernel_version version;
		bool has_hardened_usercopy, is_realtime;
		int result;
	} cases[] = {
		{bad, true, false, safe},   {bad, false, false, 0},  {bad, true, true, -ENOTSUP},
		{bad, false, true, 0},	    {sound, true, false, 0}, {sound, true, true, 0},
		{unknown, true, false, 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct kernel_facts facts = {.version = cases[i].version,
					     .has_hardened_usercopy = cases[i].has_hardened_usercopy,
					     .is_realtime = cases[i].is_realtime};
		assert_int_equal(safe_mode_decide(&facts), cases[i].result);
	}
}

static void write_below(const char *root, const char *path, const char *contents)
{
	_cleanup_free_ char *full = text_format("%s%s", root, path);
	for (char *slash = full + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	assert_int_equal(write_file_atomically(full, contents, strlen(contents), 0644), 0);
}

static void test_facts(void **state)
{
	char root[] = "/tmp/safe-mode-XXXXXX";
	struct kernel_facts facts;
	assert_non_null(mkdtemp(root));
	write_below(root, "/proc/sys/kernel/osrelease", "6.1.0-9-rt-amd64\n");
	write_below(root, "/proc/version",
		    "Linux version 6.1.0-9-rt-amd64 (x@y) (gcc) #1 SMP PREEMPT_RT Debian 6.1.27-1 (2023)\n");
	kernel_facts_read(root, &facts);
	assert_string_equal(facts.release, "6.1.0-9-rt-amd64");
	assert_int_equal(facts.version.patch, 27);
	assert_true(facts.is_realtime);
	assert_true(facts.has_hardened_usercopy); /* nobody knows */
	write_below(root, "/boot/config-6.1.0-9-rt-amd64", "A=y\n# CONFIG_HARDENED_USERCOPY is not set\n");
	kernel_facts_read(root, &facts);
	assert_false(facts.has_hardened_usercopy);
	_cleanup_free_ char *command = text_format("rm -rf '%s'", root);
	assert_int_equal(system(command), 0);
	kernel_facts_read("/nonexistent", &facts);
	assert_int_equal(facts.version.major, 0);
	assert_false(facts.is_realtime);
}

static void test_names(void **state)
{
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++) {
		assert_true(safe_mode_name((enum safe_mode_feature)i)[0]);
		assert_true(safe_mode_meaning((enum safe_mode_feature)i)[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_versions), cmocka_unit_test(test_kernel_bug),
		cmocka_unit_test(test_decisions),	cmocka_unit_test(test_facts),
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
