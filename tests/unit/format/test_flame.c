/* SPDX-License-Identifier: Apache-2.0 */
/* The page's data: the columns word for word, foreign names kept out of the markup, deep stacks. */
#include "format/flame_columns.h"
#include "format/flame_page.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint32_t add_node(struct call_tree *tree, uint32_t parent, const char *name, uint8_t type,
			 int64_t self)
{
	struct call_node node = {.parent = parent, .first_child = CALL_TREE_NONE,
		.next_sibling = CALL_TREE_NONE, .type = type, .self = self, .self_b = -self};
	assert_int_equal(strings_add_text(&tree->names, name, &node.name), 0);
	uint32_t index = (uint32_t)tree->nodes.count;
	assert_int_equal(array_add(&tree->nodes, node), 0);
	if (parent == CALL_TREE_NONE)
		return index;
	uint32_t *link = &tree->nodes.items[parent].first_child;
	while (*link != CALL_TREE_NONE)
		link = &tree->nodes.items[*link].next_sibling;
	*link = index;
	return index;
}

static struct call_tree *tree_of_root(void)
{
	struct call_tree *tree = calloc(1, sizeof(*tree));
	assert_non_null(tree);
	add_node(tree, CALL_TREE_NONE, "all", FRAME_TYPE_NATIVE, 0);
	return tree;
}

/*
 *	all ── main ── read   5     a, as a kernel frame: another frame than the native "read"
 *	    │       └─ read  -3
 *	    └─ idle         300
 */
static struct call_tree *example(void)
{
	struct call_tree *tree = tree_of_root();
	uint32_t main_node = add_node(tree, CALL_TREE_ROOT, "main", FRAME_TYPE_NATIVE, 0);
	add_node(tree, main_node, "read", FRAME_TYPE_KERNEL, 5);
	add_node(tree, main_node, "read", FRAME_TYPE_NATIVE, -3);
	add_node(tree, CALL_TREE_ROOT, "idle", FRAME_TYPE_MARK, 300);
	tree->nodes.items[3].is_inlined = true;
	return tree;
}

static void test_columns(void **state)
{
	_cleanup_call_tree_ struct call_tree *tree = example();
	struct text out = {0};
	assert_int_equal(flame_columns_write(tree, false, &out), 0);
	/* frame 0 1 2 3 4; up 0 0 0 1 2 as 3,1 0,2; self 0 0 10 5 600 as 2,10 0,5 0,600 */
	assert_string_equal(out.bytes,
		"\"frames\":[\"all\",\"main\",\"read\",\"read\",\"idle\"],\"kinds\":\"aacbk\""
		",\"frame\":\"AAECAwQ=\",\"up\":\"AwEAAg==\",\"self\":\"AgoABQDYBA==\"");
	text_free(&out);
}

static void test_pair_has_both(void **state)
{
	_cleanup_call_tree_ struct call_tree *tree = example();
	struct text out = {0};
	assert_int_equal(flame_columns_write(tree, true, &out), 0);
	/* zigzag of 0 0 -5 3 -300: 0 0 9 6 599 as 2,9 0,6 0,599 */
	assert_non_null(strstr(out.bytes, ",\"self_b\":\"AgkABgDXBA==\""));
	text_free(&out);
}

static void test_extreme_values(void **state)
{
	_cleanup_call_tree_ struct call_tree *tree = tree_of_root();
	tree->nodes.items[0].self = INT64_MIN;
	struct text out = {0};
	assert_int_equal(flame_columns_write(tree, false, &out), 0);
	assert_non_null(strstr(out.bytes, "\"self\":\"AP///////////wE=\""));
	text_free(&out);
}

static void test_deep_stack(void **state)
{
	_cleanup_call_tree_ struct call_tree *tree = tree_of_root();
	uint32_t node = CALL_TREE_ROOT;
	for (int i = 0; i < 200000; i++)
		node = add_node(tree, node, "f", FRAME_TYPE_NATIVE, 1);
	add_node(tree, CALL_TREE_ROOT, "last", FRAME_TYPE_NATIVE, 1);
	struct text out = {0};
	assert_int_equal(flame_columns_write(tree, false, &out), 0);
	assert_non_null(strstr(out.bytes, "\"frames\":[\"all\",\"f\",\"last\"]"));
	text_free(&out);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;
	for (; (text = strstr(text, part)); text += strlen(part))
		count++;
	return count;
}

static void test_page(void **state)
{
	_cleanup_call_tree_ struct call_tree *tree = tree_of_root();
	add_node(tree, CALL_TREE_ROOT, "</script><script>alert(1)", FRAME_TYPE_NATIVE, 1);
	add_node(tree, CALL_TREE_ROOT, "caf\xe9 \"x\" <!--", FRAME_TYPE_JIT, 1);
	struct flame_view view = {"cpu", "nanoseconds", tree};
	const char *comments[] = {"<b>lost</b>: 3", NULL};
	struct flame_page page = {.title = "a\\b</title>", .comments = comments, .comment_count = 2,
				  .views = &view, .view_count = 1};
	struct text out = {0};
	assert_int_equal(flame_page_write(&page, &out), 0);
	/* The data and the program, and what each name looks like inside. */
	assert_int_equal(count_of(out.bytes, "</script>"), 2);
	assert_int_equal(count_of(out.bytes, "<b>"), 0);
	assert_non_null(strstr(out.bytes, "\"\\u003c/script>\\u003cscript>alert(1)\""));
	assert_non_null(strstr(out.bytes, "\"caf\xef\xbf\xbd \\\"x\\\" \\u003c!--\""));
	assert_non_null(strstr(out.bytes, "\"title\":\"a\\\\b\\u003c/title>\""));
	assert_null(strstr(out.bytes, "\"host\""));
	/* Nothing is left to fill in, and nothing is fetched. */
	assert_null(strstr(out.bytes, "@DATA@"));
	assert_null(strstr(out.bytes, "_HASH@"));
	assert_null(strstr(out.bytes, "http://"));
	assert_null(strstr(out.bytes, "https://"));
	assert_non_null(strstr(out.bytes, "default-src 'none'; style-src 'sha256-"));
	text_free(&out);
}

static void test_page_without_views(void **state)
{
	struct text out = {0};
	struct flame_page page = {0};
	assert_int_equal(flame_page_write(&page, &out), -EINVAL);
	_cleanup_call_tree_ struct call_tree *tree = tree_of_root();
	struct flame_view view = {"cpu", "nanoseconds", tree};
	page = (struct flame_page){.views = &view, .view_count = 1, .first_view = 1};
	assert_int_equal(flame_page_write(&page, &out), -EINVAL);
	assert_int_equal(out.length, 0);
	text_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_pair_has_both),
		cmocka_unit_test(test_extreme_values),
		cmocka_unit_test(test_deep_stack),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_page_without_views),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
