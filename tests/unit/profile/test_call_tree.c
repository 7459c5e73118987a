/* SPDX-License-Identifier: Apache-2.0 */
/* The call tree: which frames are one node, what they sum to, and the order they are walked in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "profile/call_tree.h"
#include "tests/unit/profile/stacks.h"

/* "main 0/40(work 30/30 ) " : name self/total, children in brackets, in walking order. */
static void expect_tree(const struct call_tree *tree, const char *expected)
{
	struct text out = {0};
	uint32_t before = CALL_TREE_ROOT, node = call_tree_next(tree, CALL_TREE_ROOT);
	for (; node != CALL_TREE_NONE; before = node, node = call_tree_next(tree, node)) {
		const struct call_node *entry = &tree->nodes.items[node];
		for (; before != entry->parent; before = tree->nodes.items[before].parent)
			text_add_string(&out, ")");
		text_add(&out, "(%s%s %lld/%lld", call_tree_name(tree, node),
			 entry->is_inlined ? "*" : "", (long long)entry->self,
			 (long long)entry->total);
	}
	for (; before != CALL_TREE_ROOT; before = tree->nodes.items[before].parent)
		text_add_string(&out, ")");
	assert_string_equal(out.bytes, expected);
	text_free(&out);
}

static void test_sums(void **state)
{
	_cleanup_profile_ struct profile *p =
		TEST_PROFILE({"main;work;work", 10}, {"main;rest", 3}, {"main;work", 30},
			     {"other", 2}, {"main;work;work", 1}, {"zero", 0});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	assert_int_equal(call_tree_new(p, 0, &tree), 0);
	assert_int_equal(tree->nodes.items[CALL_TREE_ROOT].total, 46);
	expect_tree(tree, "(main 0/44(rest 3/3)(work 30/41(work 11/11)))(other 2/2)");
	assert_int_equal(call_tree_sort(tree, CALL_TREE_BY_TOTAL), 0);
	expect_tree(tree, "(main 0/44(work 30/41(work 11/11))(rest 3/3))(other 2/2)");
	for (uint32_t i = 1; i < tree->nodes.count; i++)
		assert_true(tree->nodes.items[i].parent < i);
}

static void test_skip(void **state)
{
	_cleanup_profile_ struct profile *p = TEST_PROFILE({"a;b;c", 1}, {"a;d", 1}, {"e", 1});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	assert_int_equal(call_tree_new(p, 0, &tree), 0);
	uint32_t a = call_tree_next(tree, CALL_TREE_ROOT), b = call_tree_next(tree, a);
	assert_string_equal(call_tree_name(tree, call_tree_skip(tree, b)), "d");
	uint32_t e = call_tree_skip(tree, a);
	assert_string_equal(call_tree_name(tree, e), "e");
	assert_int_equal(call_tree_skip(tree, e), CALL_TREE_NONE);
	assert_int_equal(call_tree_next(tree, e), CALL_TREE_NONE);
}

static void test_frames(void **state)
{
	/* f;g;h, then f with h inlined into g, then a kernel's h: three nodes called h. */
	_cleanup_profile_ struct profile *p =
		TEST_PROFILE({"f;g;h", 1}, {"f;g", 2}, {"f;g;k", 4});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	struct profile_location *inlining = &p->locations.items[1], *kernel = &p->locations.items[3];
	uint32_t first = (uint32_t)p->lines.count;
	array_add(&p->lines, (struct profile_line){.function = 2});
	array_add(&p->lines, (struct profile_line){.function = 1});
	array_add(&p->locations, *inlining);
	struct profile_location *copy = &p->locations.items[4];
	copy->first_line = first;
	copy->line_count = 2;
	p->stack_locations.items[p->samples.items[1].first_location] = 4;
	kernel = &p->locations.items[3];
	kernel->type = FRAME_TYPE_KERNEL;
	p->functions.items[3].name = p->functions.items[2].name;
	assert_int_equal(profile_check(p), 0);
	assert_int_equal(call_tree_new(p, 0, &tree), 0);
	expect_tree(tree, "(f 0/7(g 0/7(h 1/1)(h* 2/2)(h 4/4)))");
}

static void test_pair(void **state)
{
	_cleanup_profile_ struct profile *a = TEST_PROFILE({"main;old", 5}, {"main;both", 7});
	_cleanup_profile_ struct profile *b = TEST_PROFILE({"main;both", 9}, {"main;new", 3});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	assert_int_equal(call_tree_new_pair(a, 0, b, 0, &tree), 0);
	expect_tree(tree, "(main 0/12(both 7/7)(new 0/0)(old 5/5))");
	const struct call_node *nodes = tree->nodes.items;
	assert_int_equal(nodes[CALL_TREE_ROOT].total_b, 12);
	for (uint32_t i = 2; i < tree->nodes.count; i++) {
		const char *name = call_tree_name(tree, i);
		int64_t expected = !strcmp(name, "both") ? 9 : !strcmp(name, "new") ? 3 : 0;
		assert_int_equal(nodes[i].self_b, expected);
		assert_int_equal(nodes[i].total_b, expected);
	}
}

static void test_limits(void **state)
{
	_cleanup_profile_ struct profile *p =
		TEST_PROFILE({"a", INT64_MAX}, {"a", 1}, {"b", INT64_MAX});
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	assert_int_equal(call_tree_new(p, 1, &tree), -EINVAL);
	assert_null(tree);
	assert_int_equal(call_tree_new(p, 0, &tree), 0);
	assert_int_equal(tree->nodes.items[1].self, INT64_MAX);
	assert_int_equal(tree->nodes.items[CALL_TREE_ROOT].total, INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums), cmocka_unit_test(test_skip),
		cmocka_unit_test(test_frames), cmocka_unit_test(test_pair),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
