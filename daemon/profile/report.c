/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums over a call tree. All of them are one walk: each node has a key (its function, or its caller,
 * or its callee), and a node's total is credited to its key unless the same key is open above it, for
 * then that total is in the sum already.
 */
#include "profile/report.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <string.h>

struct sums {
	const struct call_tree *tree;
	const uint32_t *key_of_node; /* REPORT_NONE: credited to nobody */
	uint32_t *open;		     /* per key: how many nodes of the path have it */
	int64_t *total, *total_b;    /* per key; total_b may be NULL */
};

static void enter(struct sums *sums, uint32_t node)
{
	uint32_t key = sums->key_of_node[node];
	if (key == REPORT_NONE || sums->open[key]++ > 0)
		return;
	sums->total[key] = add_saturating(sums->total[key], sums->tree->nodes.items[node].total);
	if (sums->total_b)
		sums->total_b[key] = add_saturating(sums->total_b[key],
						    sums->tree->nodes.items[node].total_b);
}

static void leave(struct sums *sums, uint32_t node)
{
	uint32_t key = sums->key_of_node[node];
	if (key != REPORT_NONE)
		sums->open[key]--;
}

static void walk(struct sums *sums)
{
	const struct call_node *nodes = sums->tree->nodes.items;
	uint32_t node = CALL_TREE_ROOT;
	while (node != CALL_TREE_NONE) {
		enter(sums, node);
		if (nodes[node].first_child != CALL_TREE_NONE) {
			node = nodes[node].first_child;
			continue;
		}
		leave(sums, node);
		while (node != CALL_TREE_NONE && nodes[node].next_sibling == CALL_TREE_NONE) {
			node = nodes[node].parent;
			if (node != CALL_TREE_NONE)
				leave(sums, node);
		}
		if (node != CALL_TREE_NONE)
			node = nodes[node].next_sibling;
	}
}

static int number_functions(struct report *report)
{
	const struct call_tree *tree = report->tree;
	_cleanup_(hash_free) struct hash known = {0};
	report->function_of_node[CALL_TREE_ROOT] = REPORT_NONE;
	for (size_t i = 1; i < tree->nodes.count; i++) {
		const struct call_node *node = &tree->nodes.items[i];
		uint64_t key = (uint64_t)node->name << 8 | node->type;
		uint64_t *index = hash_get(&known, key);
		report->function_of_node[i] =
			index ? (uint32_t)*index : (uint32_t)report->functions.count;
		if (index)
			continue;
		struct report_function function = {.name = node->name, .type = node->type};
		if (hash_put(&known, key, report->functions.count) < 0 ||
		    array_add(&report->functions, function) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void add_flat(struct report *report)
{
	for (size_t i = 1; i < report->tree->nodes.count; i++) {
		const struct call_node *node = &report->tree->nodes.items[i];
		struct report_function *function =
			&report->functions.items[report->function_of_node[i]];
		function->flat = add_saturating(function->flat, node->self);
		function->flat_b = add_saturating(function->flat_b, node->self_b);
	}
}

static int add_cumulative(struct report *report)
{
	size_t count = report->functions.count;
	_cleanup_free_ uint32_t *open = calloc(count + 1, sizeof(*open));
	_cleanup_free_ int64_t *total = calloc(count + 1, sizeof(*total));
	_cleanup_free_ int64_t *total_b = calloc(count + 1, sizeof(*total_b));
	if (!open || !total || !total_b)
		return -ENOMEM;
	struct sums sums = {report->tree, report->function_of_node, open, total, total_b};
	walk(&sums);
	for (size_t i = 0; i < count; i++) {
		report->functions.items[i].cumulative = total[i];
		report->functions.items[i].cumulative_b = total_b[i];
	}
	return 0;
}

static void find_whole(struct report *report)
{
	for (size_t i = 0; i < report->tree->nodes.count; i++) {
		int64_t self = report->tree->nodes.items[i].self;
		report->has_negative |= self < 0;
		report->whole = add_saturating(report->whole, magnitude_of(self));
	}
}

int report_new(const struct call_tree *tree, struct report **ret)
{
	_cleanup_report_ struct report *report = calloc(1, sizeof(*report));
	if (!report)
		return -ENOMEM;
	report->tree = tree;
	report->function_of_node = calloc(tree->nodes.count + 1, sizeof(uint32_t));
	if (!report->function_of_node || number_functions(report) < 0)
		return -ENOMEM;
	find_whole(report);
	add_flat(report);
	if (add_cumulative(report) < 0)
		return -ENOMEM;
	*ret = take_pointer(report);
	return 0;
}

struct report *report_free(struct report *report)
{
	if (!report)
		return NULL;
	array_free(&report->functions);
	free(report->function_of_node);
	free(report);
	return NULL;
}

int report_neighbours(const struct report *report, uint32_t function, enum report_side side,
		      int64_t **ret)
{
	const struct call_tree *tree = report->tree;
	size_t count = report->functions.count;
	_cleanup_free_ uint32_t *keys = calloc(tree->nodes.count + 1, sizeof(*keys));
	_cleanup_free_ uint32_t *open = calloc(count + 1, sizeof(*open));
	_cleanup_free_ int64_t *total = calloc(count + 1, sizeof(*total));
	if (!keys || !open || !total)
		return -ENOMEM;
	keys[CALL_TREE_ROOT] = REPORT_NONE;
	for (size_t i = 1; i < tree->nodes.count; i++) {
		uint32_t callee = report->function_of_node[i];
		uint32_t caller = report->function_of_node[tree->nodes.items[i].parent];
		if (side == REPORT_CALLERS)
			keys[i] = callee == function ? caller : REPORT_NONE;
		else
			keys[i] = caller == function ? callee : REPORT_NONE;
	}
	struct sums sums = {tree, keys, open, total, NULL};
	walk(&sums);
	*ret = take_pointer(total);
	return 0;
}

static double share(int64_t part, int64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

double report_change(const struct report *report, int64_t a, int64_t b)
{
	const struct call_node *root = &report->tree->nodes.items[CALL_TREE_ROOT];
	if (report->compares_values)
		return (double)b - (double)a;
	return share(b, root->total_b) - share(a, root->total);
}

struct ranked {
	uint32_t function;
	double weight, size; /* the second orders what the first leaves equal */
};

static double weight_of(const struct report *report, enum report_order order,
			const struct report_function *f)
{
	double change;
	switch (order) {
	case REPORT_BY_FLAT:
		return (double)magnitude_of(f->flat);
	case REPORT_BY_CUMULATIVE:
		return (double)magnitude_of(f->cumulative);
	case REPORT_BY_FLAT_CHANGE:
		change = report_change(report, f->flat, f->flat_b);
		break;
	default:
		change = report_change(report, f->cumulative, f->cumulative_b);
		break;
	}
	return change < 0 ? -change : change;
}

/* Callers without cost of their own are told by what they call, and what does not change in a difference by size. */
static double size_of(const struct report *report, enum report_order order, uint32_t function)
{
	const struct report_function *f = &report->functions.items[function];
	const struct call_node *root = &report->tree->nodes.items[CALL_TREE_ROOT];
	bool is_flat = order == REPORT_BY_FLAT_CHANGE;
	if (order == REPORT_BY_FLAT)
		return (double)magnitude_of(f->cumulative);
	if (order == REPORT_BY_CUMULATIVE)
		return (double)magnitude_of(f->flat);
	int64_t a = is_flat ? f->flat : f->cumulative, b = is_flat ? f->flat_b : f->cumulative_b;
	if (report->compares_values)
		return (double)magnitude_of(a) + (double)magnitude_of(b);
	return share(a, root->total) + share(b, root->total_b);
}

static int compare_ranked(const void *left, const void *right, void *userdata)
{
	const struct ranked *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	if (a->size != b->size)
		return a->size > b->size ? -1 : 1;
	int names = strcmp(report_name(userdata, a->function), report_name(userdata, b->function));
	return names ? names : (a->function > b->function) - (a->function < b->function);
}

int report_sort(const struct report *report, enum report_order order, uint32_t **ret)
{
	size_t count = report->functions.count;
	_cleanup_free_ struct ranked *ranked = calloc(count + 1, sizeof(*ranked));
	_cleanup_free_ uint32_t *sorted = calloc(count + 1, sizeof(*sorted));
	if (!ranked || !sorted)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		ranked[i] = (struct ranked){
			i, weight_of(report, order, &report->functions.items[i]),
			size_of(report, order, i)};
	qsort_r(ranked, count, sizeof(*ranked), compare_ranked, (void *)report);
	for (size_t i = 0; i < count; i++)
		sorted[i] = ranked[i].function;
	*ret = take_pointer(sorted);
	return 0;
}
