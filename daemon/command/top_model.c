/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the tables of functions, neighbours, stacks and frames, the order of rows and the filter. */
#include "command/top_model.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STACK_TEXT_FRAMES 24 /* of a stack's row; Enter shows all */

const char *const top_view_names[TOP_VIEW_MAX] = {
	[TOP_FUNCTIONS] = "functions",	 [TOP_PROCESSES] = "processes", [TOP_THREADS] = "threads",
	[TOP_CONTAINERS] = "containers", [TOP_STACKS] = "stacks",
};

const char *const top_order_names[TOP_ORDER_MAX] = {
	[TOP_BY_SELF] = "self", [TOP_BY_TOTAL] = "total", [TOP_BY_NAME] = "name"};

static void row_free(struct top_row *row)
{
	free(row->name);
	free(row->detail);
	free(row->hottest);
}

void top_table_free(struct top_table *table)
{
	for (size_t i = 0; i < table->rows.count; i++)
		row_free(&table->rows.items[i]);
	array_free(&table->rows);
	table->tree = call_tree_free(table->tree);
}

int top_table_add(struct top_table *table, struct top_row *row)
{
	if (array_add(&table->rows, *row) == 0)
		return 0;
	row_free(row);
	return -ENOMEM;
}

/* ---- The samples in the scope ---------------------------------------------------------------------- */

/* A view of the profile in which the other samples weigh nothing. The caller frees its values. */
static int apply_scope(const struct profile *profile, const struct top_scope *scope,
		       struct profile *ret, int64_t **ret_values)
{
	size_t types = profile->sample_types.count;
	*ret = *profile;
	*ret_values = NULL;
	if (scope->kind == TOP_FUNCTIONS)
		return 0;
	int64_t *values = calloc(profile->values.count + 1, sizeof(*values));
	if (!values)
		return -ENOMEM;
	for (size_t i = 0; i < profile->samples.count; i++) {
		struct top_origin origin;
		top_origin_read(profile, &profile->samples.items[i], &origin);
		if (top_origin_key(&origin, scope->kind) == scope->id)
			memcpy(values + i * types, profile->values.items + i * types,
			       types * sizeof(*values));
	}
	ret->values.items = *ret_values = values;
	return 0;
}

/* ---- Functions ------------------------------------------------------------------------------------- */

static int add_named(struct top_table *table, struct top_row row, const char *name)
{
	struct text text = {0};
	text_add_printable(&text, name);
	row.name = text_take(&text);
	return row.name ? top_table_add(table, &row) : -ENOMEM;
}

static int build_functions(const struct report *report, struct top_table *table)
{
	for (uint32_t i = 0; i < report->functions.count; i++) {
		const struct report_function *function = &report->functions.items[i];
		struct top_row row = {.type = function->type,
				      .self = function->flat,
				      .total = function->cumulative,
				      .node = CALL_TREE_NONE};
		if (row.total && add_named(table, row, report_name(report, i)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static uint32_t find_function(const struct report *report, const struct top_question *question)
{
	for (uint32_t i = 0; i < report->functions.count; i++) {
		struct text name = {0};
		if (report->functions.items[i].type != question->function_type)
			continue;
		text_add_printable(&name, report_name(report, i));
		bool same = name.bytes && strcmp(name.bytes, question->function) == 0;
		text_free(&name);
		if (same && report->functions.items[i].cumulative)
			return i;
	}
	return REPORT_NONE;
}

static int add_side(const struct report *report, uint32_t function, enum report_side side,
		    struct top_table *table)
{
	_cleanup_free_ int64_t *values = NULL;
	if (report_neighbours(report, function, side, &values) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < report->functions.count; i++) {
		struct top_row row = {.type = report->functions.items[i].type,
				      .side = side == REPORT_CALLERS ? TOP_CALLER : TOP_CALLEE,
				      .self = values[i],
				      .total = values[i],
				      .node = CALL_TREE_NONE};
		if (values[i] && add_named(table, row, report_name(report, i)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int build_neighbours(const struct report *report, const struct top_question *question,
			    struct top_table *table)
{
	uint32_t function = find_function(report, question);
	if (function == REPORT_NONE)
		return -ENOENT;
	struct top_row middle = {.type = question->function_type,
				 .side = TOP_MIDDLE,
				 .self = report->functions.items[function].flat,
				 .total = report->functions.items[function].cumulative,
				 .node = CALL_TREE_NONE};
	if (add_side(report, function, REPORT_CALLERS, table) < 0 ||
	    add_named(table, middle, report_name(report, function)) < 0 ||
	    add_side(report, function, REPORT_CALLEES, table) < 0)
		return -ENOMEM;
	return 0;
}

static int build_from_report(const struct top_question *question, struct top_table *table)
{
	_cleanup_report_ struct report *report = NULL;
	if (report_new(table->tree, &report) < 0)
		return -ENOMEM;
	return question->function ? build_neighbours(report, question, table)
				  : build_functions(report, table);
}

/* ---- Stacks ---------------------------------------------------------------------------------------- */

static bool contains(const char *text, const char *part)
{
	return text && strcasestr(text, part);
}

/* Each node with time of its own ends a stack. Its key is of the names on the path to it. */
static int hash_paths(const struct call_tree *tree, uint64_t **ret)
{
	uint64_t *keys = calloc(tree->nodes.count, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 1; i < tree->nodes.count; i++) {
		const struct call_node *node = &tree->nodes.items[i];
		const char *name = call_tree_name(tree, i);
		uint64_t frame = hash_bytes(name, strlen(name)) + node->type * 2U + node->is_inlined;
		keys[i] = hash_mix(keys[node->parent] ^ hash_mix(frame)) | 1;
	}
	*ret = keys;
	return 0;
}

static char *stack_text(const struct call_tree *tree, uint32_t node)
{
	struct text text = {0};
	for (unsigned i = 0; node != CALL_TREE_ROOT; node = tree->nodes.items[node].parent, i++) {
		if (i == STACK_TEXT_FRAMES) {
			text_add_string(&text, " <- ...");
			break;
		}
		text_add_string(&text, i ? " <- " : "");
		text_add_printable(&text, call_tree_name(tree, node));
	}
	return text_take(&text);
}

static int build_stacks(const uint64_t *keys, const char *filter, struct top_table *table)
{
	const struct call_tree *tree = table->tree;
	/* Does a frame on the way to the node match? */
	_cleanup_free_ bool *matches = calloc(tree->nodes.count, sizeof(*matches));
	if (!matches)
		return -ENOMEM;
	matches[CALL_TREE_ROOT] = !filter || !*filter;
	for (uint32_t i = 1; i < tree->nodes.count; i++) {
		const struct call_node *node = &tree->nodes.items[i];
		matches[i] = matches[node->parent] || contains(call_tree_name(tree, i), filter);
		table->unfiltered += node->self != 0;
		if (!node->self || !matches[i])
			continue;
		struct top_row row = {.name = stack_text(tree, i),
				      .id = keys[i],
				      .type = node->type,
				      .self = node->self,
				      .total = node->self,
				      .node = i};
		if (!row.name || top_table_add(table, &row) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Leaf first, as the rows of stacks read. */
static int build_frames(const uint64_t *keys, uint64_t stack, struct top_table *table)
{
	const struct call_tree *tree = table->tree;
	uint32_t node = 1;
	while (node < tree->nodes.count && (keys[node] != stack || !tree->nodes.items[node].self))
		node++;
	if (node >= tree->nodes.count)
		return -ENOENT;
	for (; node != CALL_TREE_ROOT; node = tree->nodes.items[node].parent) {
		const struct call_node *frame = &tree->nodes.items[node];
		struct top_row row = {.type = frame->type,
				      .self = frame->self,
				      .total = frame->total,
				      .node = node};
		if (add_named(table, row, call_tree_name(tree, node)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int build_from_paths(const struct top_question *question, struct top_table *table)
{
	_cleanup_free_ uint64_t *keys = NULL;
	if (hash_paths(table->tree, &keys) < 0)
		return -ENOMEM;
	return question->stack ? build_frames(keys, question->stack, table)
			       : build_stacks(keys, question->filter, table);
}

/* ---- Order and filter ------------------------------------------------------------------------------ */

static int compare_descending(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

static int compare_rows(const void *left, const void *right, void *userdata)
{
	const struct top_row *a = left, *b = right;
	enum top_order order = *(const enum top_order *)userdata;
	int result = (int)a->side - (int)b->side;
	if (!result && order == TOP_BY_SELF)
		result = compare_descending(a->self, b->self);
	if (!result && order != TOP_BY_NAME)
		result = compare_descending(a->total, b->total);
	if (!result)
		result = strcmp(a->name, b->name);
	if (!result)
		result = (a->id > b->id) - (a->id < b->id);
	return result ? result : (int)a->type - (int)b->type;
}

static bool row_matches(const struct top_row *row, const char *filter)
{
	char number[24];
	snprintf(number, sizeof(number), "%llu", (unsigned long long)row->id);
	return row->side == TOP_MIDDLE || contains(row->name, filter) ||
	       contains(row->detail, filter) || strcmp(number, filter) == 0;
}

static void apply_filter(struct top_table *table, const char *filter)
{
	size_t kept = 0;
	table->unfiltered = table->rows.count;
	if (!filter || !*filter)
		return;
	for (size_t i = 0; i < table->rows.count; i++) {
		if (row_matches(&table->rows.items[i], filter))
			table->rows.items[kept++] = table->rows.items[i];
		else
			row_free(&table->rows.items[i]);
	}
	table->rows.count = kept;
}

static int build_from_tree(const struct profile *profile, size_t value,
			   const struct top_question *question, struct top_table *table)
{
	int r = call_tree_new(profile, value, &table->tree);
	if (r < 0)
		return r;
	table->total = table->tree->nodes.items[CALL_TREE_ROOT].total;
	return question->view == TOP_STACKS ? build_from_paths(question, table)
					    : build_from_report(question, table);
}

int top_table_build(const struct profile *profile, const struct top_question *question,
		    struct top_table *ret)
{
	*ret = (struct top_table){0};
	if (!profile->sample_types.count)
		return -EINVAL;
	size_t value = profile_default_value(profile);
	struct profile scoped;
	_cleanup_free_ int64_t *values = NULL;
	int r = apply_scope(profile, &question->scope, &scoped, &values);
	if (r < 0)
		return r;
	bool is_path = question->view == TOP_STACKS;
	if (question->view == TOP_FUNCTIONS || is_path)
		r = build_from_tree(&scoped, value, question, ret);
	else
		r = top_groups_build(&scoped, value, question->view, ret);
	if (r == 0 && !(is_path && !question->stack))
		apply_filter(ret, question->filter);
	enum top_order order = question->order;
	if (r == 0 && ret->rows.count && !(is_path && question->stack))
		qsort_r(ret->rows.items, ret->rows.count, sizeof(struct top_row), compare_rows, &order);
	return r;
}
