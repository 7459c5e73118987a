/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the page of a made-up profile, and what must be seen in it as one line of JSON.
 * Usage: write_flame STACKS PAGE.html [diff]
 */
#include "flame_sample.h"

#include "format/flame_page.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int write_file(const char *path, const struct text *text)
{
	FILE *file = fopen(path, "we");
	if (!file)
		return -1;
	size_t written = fwrite(text->bytes, 1, text->length, file);
	return fclose(file) == 0 && written == text->length ? 0 : -1;
}

/* Distinct leaves: nodes that have samples of their own. */
static size_t stack_count(const struct call_tree *tree)
{
	size_t count = 0;
	for (size_t i = 0; i < tree->nodes.count; i++)
		count += tree->nodes.items[i].self || tree->nodes.items[i].self_b;
	return count;
}

static void print_truth(const struct call_tree *tree, const struct text *page)
{
	const struct call_node *root = &tree->nodes.items[CALL_TREE_ROOT];
	uint32_t widest = root->first_child;
	for (uint32_t i = widest; i != CALL_TREE_NONE; i = tree->nodes.items[i].next_sibling)
		if (tree->nodes.items[i].total > tree->nodes.items[widest].total)
			widest = i;
	printf("{\"nodes\":%zu,\"stacks\":%zu,\"total\":%" PRId64 ",\"total_b\":%" PRId64
	       ",\"bytes\":%zu,\"widest\":\"%s\",\"widest_total\":%" PRId64 "}\n",
	       tree->nodes.count, stack_count(tree), root->total, root->total_b, page->length,
	       call_tree_name(tree, widest), tree->nodes.items[widest].total);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	size_t stacks = strtoul(argv[1], NULL, 10);
	bool is_diff = argc > 3 && !strcmp(argv[3], "diff");
	_cleanup_profile_ struct profile *a = NULL, *b = NULL;
	if (flame_sample_profile(stacks, 0, &a) < 0 || flame_sample_profile(stacks, 1, &b) < 0)
		return 1;
	_cleanup_call_tree_ struct call_tree *cpu = NULL, *samples = NULL;
	int cpu_failed = is_diff ? call_tree_new_pair(a, 1, b, 1, &cpu) : call_tree_new(a, 1, &cpu);
	int samples_failed = is_diff ? call_tree_new_pair(a, 0, b, 0, &samples)
				     : call_tree_new(a, 0, &samples);
	if (cpu_failed < 0 || samples_failed < 0)
		return 1;
	struct flame_view views[] = {{"samples", "count", samples}, {"cpu", "nanoseconds", cpu}};
	const char *comments[] = {"lost: 0", "truncated: 0.0 %", "</script><b>not markup</b>"};
	struct flame_page page = {
		.title = is_diff ? "Before and after" : "CPU of web-7", .host = "web-7.example.net",
		.time_ns = 1760000000000000000, .duration_ns = 30000000000,
		.comments = comments, .comment_count = ARRAY_LENGTH(comments),
		.views = views, .view_count = ARRAY_LENGTH(views), .first_view = 1,
		.is_diff = is_diff, .name_a = "before.pb.gz", .name_b = "after.pb.gz"};
	struct text text = {0};
	int r = flame_page_write(&page, &text);
	if (r == 0)
		r = write_file(argv[2], &text);
	if (r == 0)
		print_truth(cpu, &text);
	text_free(&text);
	return r < 0;
}
