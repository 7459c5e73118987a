/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flame graph's page of 50,000 distinct stacks: time to write it beside the time to build the
 * tree it draws, and its size beside the names and nodes it holds. Medians of a few rounds.
 */
#include "../browser/flame_sample.h"

#include "base/clock.h"
#include "format/flame_page.h"

#include <stdio.h>

#define STACKS 50000
#define ROUNDS 7

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;
	return (left > right) - (left < right);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

static double ms_since(uint64_t began)
{
	return (double)(monotonic_ns() - began) / (double)NS_PER_MS;
}

static int measure(const struct profile *profile, double *ret_build_ms, double *ret_write_ms,
		   size_t *ret_nodes, size_t *ret_bytes)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	uint64_t began = monotonic_ns();
	int r = call_tree_new(profile, 1, &tree);
	if (r < 0)
		return r;
	*ret_build_ms = ms_since(began);

	struct flame_view view = {"cpu", "nanoseconds", tree};
	struct flame_page page = {.title = "bench", .views = &view, .view_count = 1};
	struct text text = {0};
	began = monotonic_ns();
	r = flame_page_write(&page, &text);
	*ret_write_ms = ms_since(began);
	*ret_nodes = tree->nodes.count;
	*ret_bytes = text.length;
	text_free(&text);
	return r;
}

int main(void)
{
	_cleanup_profile_ struct profile *profile = NULL;
	if (flame_sample_profile(STACKS, 0, &profile) < 0)
		return 1;
	double build[ROUNDS], write[ROUNDS];
	size_t nodes = 0, bytes = 0;
	for (size_t i = 0; i < ROUNDS; i++)
		if (measure(profile, &build[i], &write[i], &nodes, &bytes) < 0)
			return 1;
	double build_ms = median(build), write_ms = median(write);
	printf("tree of %d stacks, %zu nodes: built in %.1f ms\n", STACKS, nodes, build_ms);
	printf("page of %.2f MB written in %.1f ms, %.2f times the tree's; %.1f bytes a node\n",
	       (double)bytes / 1e6, write_ms, write_ms / build_ms, (double)bytes / (double)nodes);
	return 0;
}
