/* SPDX-License-Identifier: Apache-2.0 */
/* Sums worked out by hand on small trees, recursion above all; and which samples a filter keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "profile/filter.h"
#include "profile/report.h"
#include "tests/unit/profile/stacks.h"

#include <errno.h>

static uint32_t find(const struct report *report, const char *name)
{
	for (uint32_t i = 0; i < report->functions.count; i++)
		if (strcmp(report_name(report, i), name) == 0)
			return i;
	fail_msg("no function %s", name);
	return 0;
}

static void check(const struct report *report, const char *name, int64_t flat, int64_t cumulative)
{
	const struct report_function *function = &report->functions.items[find(report, name)];
	assert_int_equal(function->flat, flat);
	assert_int_equal(function->cumulative, cumulative);
}

static struct profile *recursive(void)
{
	return TEST_PROFILE({"main;walk;walk;leaf", 3}, {"main;walk", 5}, {"main;leaf", 2},
			    {"main;walk;other;walk;leaf", 10});
}

static void recursion_counts_once(void **state)
{
	_cleanup_profile_ struct profile *profile = recursive();
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	assert_int_equal(call_tree_new(profile, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	assert_int_equal(report->functions.count, 4);
	check(report, "main", 0, 20);
	check(report, "walk", 5, 18);
	check(report, "other", 0, 10);
	check(report, "leaf", 15, 15);
}

static void neighbours(void **state)
{
	_cleanup_profile_ struct profile *profile = recursive();
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	_cleanup_free_ int64_t *callers = NULL, *callees = NULL;
	assert_int_equal(call_tree_new(profile, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	uint32_t walk = find(report, "walk");
	assert_int_equal(report_neighbours(report, walk, REPORT_CALLERS, &callers), 0);
	assert_int_equal(callers[find(report, "main")], 18);
	assert_int_equal(callers[walk], 3);
	assert_int_equal(callers[find(report, "other")], 10);
	assert_int_equal(callers[find(report, "leaf")], 0);
	assert_int_equal(report_neighbours(report, walk, REPORT_CALLEES, &callees), 0);
	assert_int_equal(callees[find(report, "leaf")], 13);
	assert_int_equal(callees[walk], 3);
	assert_int_equal(callees[find(report, "other")], 10);
}

static void expect_order(const struct report *report, enum report_order order,
			 const char *const *names)
{
	_cleanup_free_ uint32_t *sorted = NULL;
	assert_int_equal(report_sort(report, order, &sorted), 0);
	for (size_t i = 0; i < report->functions.count; i++)
		assert_string_equal(report_name(report, sorted[i]), names[i]);
}

static void orders(void **state)
{
	_cleanup_profile_ struct profile *profile = recursive();
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	assert_int_equal(call_tree_new(profile, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	expect_order(report, REPORT_BY_FLAT,
		     (const char *const[]){"leaf", "walk", "main", "other"});
	expect_order(report, REPORT_BY_CUMULATIVE,
		     (const char *const[]){"main", "walk", "leaf", "other"});
}

/* B is twice as long and the same but for one function: only that one changed, and what it took from
 * the others. */
static void difference_is_of_shares(void **state)
{
	_cleanup_profile_ struct profile *a =
		TEST_PROFILE({"main;x", 60}, {"main;y", 20}, {"main;w", 20});
	_cleanup_profile_ struct profile *b =
		TEST_PROFILE({"main;x", 120}, {"main;y", 20}, {"main;w", 20}, {"main;z", 40});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	assert_int_equal(call_tree_new_pair(a, 0, b, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	const struct report_function *items = report->functions.items;
	const struct report_function *x = &items[find(report, "x")], *z = &items[find(report, "z")];
	assert_true(report_change(report, x->flat, x->flat_b) == 0);
	assert_true(report_change(report, z->flat, z->flat_b) == 0.2);
	expect_order(report, REPORT_BY_FLAT_CHANGE,
		     (const char *const[]){"z", "w", "y", "x", "main"});
}

static void filters(void **state)
{
	_cleanup_profile_ struct profile *profile = recursive();
	struct text error = {0};
	assert_int_equal(profile_filter(profile, "^wa", "oth(er|ing)", &error), 0);
	assert_int_equal(profile->samples.count, 2);
	assert_int_equal(profile->values.items[0], 3);
	assert_int_equal(profile->values.items[1], 5);
	assert_int_equal(profile_check(profile), 0);
	assert_int_equal(profile_filter(profile, "wa(", NULL, &error), -EINVAL);
	assert_non_null(strstr(error.bytes, "'wa('"));
	text_free(&error);
}

static void empty(void **state)
{
	_cleanup_profile_ struct profile *profile = test_profile(NULL, 0);
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	_cleanup_free_ uint32_t *sorted = NULL;
	assert_int_equal(call_tree_new(profile, 0, &tree), 0);
	assert_int_equal(report_new(tree, &report), 0);
	assert_int_equal(report->functions.count, 0);
	assert_int_equal(report_sort(report, REPORT_BY_FLAT, &sorted), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(recursion_counts_once), cmocka_unit_test(neighbours),
		cmocka_unit_test(orders),		 cmocka_unit_test(difference_is_of_shares),
		cmocka_unit_test(filters),		 cmocka_unit_test(empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
