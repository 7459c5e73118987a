/* SPDX-License-Identifier: Apache-2.0 */
/* See report_text.h. */
#include "format/report_text.h"

#include "base/arithmetic.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MAX_INDENT 60 /* columns; what is deeper says how deep */
#define FILE_ROWS 200 /* of each table in a .txt file */

static double share(int64_t part, int64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* Units that are written in steps a person reads, as pprof's own tool takes them. */
static const struct value_unit {
	const char *name;
	bool is_time;	/* ns, else bytes */
	uint64_t scale; /* of one of it */
} value_units[] = {
	{"nanoseconds", true, 1},	    {"microseconds", true, 1000},
	{"milliseconds", true, 1000000},    {"seconds", true, 1000000000},
	{"bytes", false, 1},		    {"kilobytes", false, 1 << 10},
	{"megabytes", false, 1 << 20},	    {"gigabytes", false, 1 << 30},
};

static const struct value_unit *find_unit(const char *unit)
{
	for (size_t i = 0; i < ARRAY_LENGTH(value_units); i++)
		if (strcmp(value_units[i].name, unit) == 0)
			return &value_units[i];
	return NULL;
}

static const char *unit_of(const struct report_view *view)
{
	return profile_text(view->profile, view->profile->sample_types.items[view->value].unit);
}

const char *report_value(const struct report_view *view, int64_t value, char *buffer, size_t size)
{
	const struct value_unit *unit = find_unit(unit_of(view));
	uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
	char text[48];
	uint64_t scaled;
	if (unit && __builtin_mul_overflow(magnitude, unit->scale, &scaled))
		scaled = UINT64_MAX;
	if (unit && unit->is_time)
		text_duration(text, sizeof(text), scaled);
	else if (unit)
		text_size(text, sizeof(text), scaled);
	else
		snprintf(text, sizeof(text), "%" PRIu64, magnitude);
	snprintf(buffer, size, "%s%s", value < 0 ? "-" : "", text);
	return buffer;
}

static int result(const struct text *out)
{
	return out->failed ? -ENOMEM : 0;
}

static const struct call_node *root_of(const struct report_view *view)
{
	return &view->report->tree->nodes.items[CALL_TREE_ROOT];
}

static size_t rows_of(const struct report_view *view, size_t count)
{
	return view->rows ? MIN_OF(view->rows, count) : count;
}

double report_share(const struct report_view *view, int64_t value)
{
	return share(value, view->report->whole);
}

static void add_value(const struct report_view *view, int64_t value, struct text *out)
{
	char buffer[64];
	text_add(out, "%10s %5.1f%%", report_value(view, value, buffer, sizeof(buffer)), report_share(view, value));
}

static void add_rest(size_t shown, size_t all, const char *what, struct text *out)
{
	if (shown < all)
		text_add(out, "… and %zu more %s%s (-n 0 shows all)\n", all - shown, what, all - shown == 1 ? "" : "s");
}

int report_text_header(const struct report_view *view, struct text *out)
{
	const struct profile *profile = view->profile;
	const char *unit = unit_of(view);
	char total[64], duration[64];
	text_add_printable(out, profile_text(profile, profile->sample_types.items[view->value].type));
	text_add(out, ": %s", report_value(view, root_of(view)->total, total, sizeof(total)));
	if (*unit && strcmp(unit, "count") != 0 && !find_unit(unit)) {
		text_add_char(out, ' ');
		text_add_printable(out, unit);
	}
	if (view->file_total > root_of(view)->total && root_of(view)->total >= 0)
		text_add(out, " (%.1f%% of %s)", share(root_of(view)->total, view->file_total),
			 report_value(view, view->file_total, total, sizeof(total)));
	text_add(out, " in %zu different sample%s", profile->samples.count, profile->samples.count == 1 ? "" : "s");
	if (profile->duration_ns > 0)
		text_add(out, ", %s long",
			 text_duration(duration, sizeof(duration), (uint64_t)profile->duration_ns));
	if (view->report->has_negative)
		text_add(out, "; shares are of %s, the sum without signs",
			 report_value(view, view->report->whole, total, sizeof(total)));
	text_add_char(out, '\n');
	return result(out);
}

int report_text_functions(const struct report_view *view, enum report_order order,
			  struct text *out)
{
	const struct report *report = view->report;
	_cleanup_free_ uint32_t *sorted = NULL;
	if (report_sort(report, order, &sorted) < 0)
		return -ENOMEM;
	size_t rows = rows_of(view, report->functions.count);
	text_add(out, "%10s %6s  %10s %6s  function\n", "flat", "", "cumulative", "");
	for (size_t i = 0; i < rows; i++) {
		const struct report_function *function = &report->functions.items[sorted[i]];
		add_value(view, function->flat, out);
		text_add_string(out, "  ");
		add_value(view, function->cumulative, out);
		text_add_string(out, "  ");
		text_add_printable(out, report_name(report, sorted[i]));
		text_add_char(out, '\n');
	}
	add_rest(rows, report->functions.count, "function", out);
	return result(out);
}

static int compare_descending(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
	return (a < b) - (a > b);
}

/* The smallest total that is still among the `rows` largest, without its sign. */
static int find_threshold(const struct report_view *view, int64_t *ret)
{
	size_t count = view->report->tree->nodes.count;
	_cleanup_free_ int64_t *totals = calloc(count, sizeof(*totals));
	if (!totals)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		totals[i] = magnitude_of(view->report->tree->nodes.items[i].total);
	qsort(totals, count, sizeof(*totals), compare_descending);
	*ret = totals[rows_of(view, count) - 1];
	return 0;
}

static void add_node(const struct report_view *view, uint32_t index, unsigned depth,
		     struct text *out)
{
	const struct call_node *node = &view->report->tree->nodes.items[index];
	add_value(view, node->total, out);
	text_add_string(out, "  ");
	add_value(view, node->self, out);
	text_add(out, "  %*s", (int)MIN_OF(depth, (unsigned)MAX_INDENT), "");
	if (depth > MAX_INDENT)
		text_add(out, "(%u deep) ", depth);
	text_add_printable(out, call_tree_name(view->report->tree, index));
	text_add_char(out, '\n');
}

int report_text_tree(const struct report_view *view, struct text *out)
{
	const struct call_node *nodes = view->report->tree->nodes.items;
	int64_t threshold;
	if (find_threshold(view, &threshold) < 0)
		return -ENOMEM;
	size_t shown = 0, rows = rows_of(view, view->report->tree->nodes.count);
	unsigned depth = 0;
	text_add(out, "%10s %6s  %10s %6s  function\n", "total", "", "self", "");
	for (uint32_t node = CALL_TREE_ROOT; node != CALL_TREE_NONE && shown < rows;) {
		bool is_shown = node == CALL_TREE_ROOT || magnitude_of(nodes[node].total) >= threshold;
		if (is_shown) {
			add_node(view, node, depth, out);
			shown++;
		}
		if (is_shown && nodes[node].first_child != CALL_TREE_NONE) {
			node = nodes[node].first_child;
			depth++;
			continue;
		}
		while (node != CALL_TREE_NONE && nodes[node].next_sibling == CALL_TREE_NONE) {
			node = nodes[node].parent;
			depth--;
		}
		if (node != CALL_TREE_NONE)
			node = nodes[node].next_sibling;
	}
	add_rest(shown, view->report->tree->nodes.count, "node", out);
	return result(out);
}

int report_text_groups(const struct report_view *view, unsigned levels, const char *by,
		       struct text *out)
{
	const struct call_tree *tree = view->report->tree;
	const struct call_node *nodes = tree->nodes.items;
	size_t all = 0, rows;
	unsigned depth = 0;
	for (uint32_t node = call_tree_next_within(tree, CALL_TREE_ROOT, levels, &depth); node != CALL_TREE_NONE;
	     node = call_tree_next_within(tree, node, levels, &depth))
		all++;
	rows = rows_of(view, all);
	text_add(out, "%10s %6s  by ", "total", "");
	text_add_printable(out, by);
	text_add_char(out, '\n');
	uint32_t node = CALL_TREE_ROOT;
	depth = 0;
	for (size_t i = 0; i < rows; i++) {
		node = call_tree_next_within(tree, node, levels, &depth);
		add_value(view, nodes[node].total, out);
		text_add(out, "  %*s", 2 * (int)(depth - 1), "");
		text_add_printable(out, call_tree_name(tree, node));
		text_add_char(out, '\n');
	}
	add_rest(rows, all, "group", out);
	text_add_char(out, '\n');
	return result(out);
}

static void add_neighbour(const struct report_view *view, uint32_t function, int64_t value,
			  const char *arrow, struct text *out)
{
	add_value(view, value, out);
	text_add(out, "  %s", arrow);
	text_add_printable(out, report_name(view->report, function));
	text_add_char(out, '\n');
}

/* The neighbours with the largest values first. There are few: picking the largest again and again is
 * as fast as sorting, up to the rows a person reads. */
static void add_side(const struct report_view *view, int64_t *values, const char *arrow,
		     struct text *out)
{
	size_t count = view->report->functions.count, rows = rows_of(view, count);
	for (size_t row = 0; row < rows; row++) {
		uint32_t largest = 0;
		for (uint32_t i = 1; i < count; i++)
			if (magnitude_of(values[i]) > magnitude_of(values[largest]))
				largest = i;
		if (!values[largest])
			return;
		add_neighbour(view, largest, values[largest], arrow, out);
		values[largest] = 0;
	}
}

int report_text_neighbours(const struct report_view *view, uint32_t function, struct text *out)
{
	const struct report_function *f = &view->report->functions.items[function];
	_cleanup_free_ int64_t *callers = NULL, *callees = NULL;
	if (report_neighbours(view->report, function, REPORT_CALLERS, &callers) < 0 ||
	    report_neighbours(view->report, function, REPORT_CALLEES, &callees) < 0)
		return -ENOMEM;
	add_side(view, callers, "  from ", out);
	char flat[64];
	add_value(view, f->cumulative, out);
	text_add_string(out, "  ");
	text_add_printable(out, report_name(view->report, function));
	text_add(out, "  (%s of its own)\n", report_value(view, f->flat, flat, sizeof(flat)));
	add_side(view, callees, "  to   ", out);
	return result(out);
}

/* What the shares are of: a function's may grow because the others cost less. */
static void add_totals(const struct report_view *view, struct text *out)
{
	char a[64], b[64];
	text_add_printable(out, profile_text(view->profile, view->profile->sample_types.items[view->value].type));
	text_add(out, ": %s in A, %s in B\n", report_value(view, root_of(view)->total, a, sizeof(a)),
		 report_value(view, root_of(view)->total_b, b, sizeof(b)));
}

static void add_change_of_value(const struct report_view *view, int64_t a, int64_t b, struct text *out)
{
	char text[3][64];
	int64_t change;
	if (__builtin_sub_overflow(b, a, &change))
		change = b < a ? INT64_MIN : INT64_MAX;
	report_value(view, change, text[0] + 1, sizeof(text[0]) - 1);
	text[0][0] = '+';
	text_add(out, "%11s  %10s  %10s  ", text[0] + (change <= 0), report_value(view, a, text[1], sizeof(text[1])),
		 report_value(view, b, text[2], sizeof(text[2])));
}

int report_text_difference(const struct report_view *view, enum report_order order,
			   struct text *out)
{
	const struct report *report = view->report;
	const struct call_node *root = root_of(view);
	bool is_flat = order == REPORT_BY_FLAT_CHANGE;
	_cleanup_free_ uint32_t *sorted = NULL;
	if (report_sort(report, order, &sorted) < 0)
		return -ENOMEM;
	size_t rows = rows_of(view, report->functions.count);
	add_totals(view, out);
	int width = report->compares_values ? 10 : 7;
	text_add(out, "%*s  %*s  %*s  function (%s)\n", width + 1, "change", width, "A", width, "B",
		 is_flat ? "flat" : "cumulative");
	for (size_t i = 0; i < rows; i++) {
		const struct report_function *f = &report->functions.items[sorted[i]];
		int64_t a = is_flat ? f->flat : f->cumulative;
		int64_t b = is_flat ? f->flat_b : f->cumulative_b;
		if (report->compares_values)
			add_change_of_value(view, a, b, out);
		else
			text_add(out, "%+7.2f%%  %6.2f%%  %6.2f%%  ", 100 * report_change(report, a, b),
				 share(a, root->total), share(b, root->total_b));
		text_add_printable(out, report_name(report, sorted[i]));
		text_add_char(out, '\n');
	}
	add_rest(rows, report->functions.count, "function", out);
	return result(out);
}

int report_text_write(const struct profile *profile, struct text *out)
{
	_cleanup_call_tree_ struct call_tree *tree = NULL;
	_cleanup_report_ struct report *report = NULL;
	size_t value = profile_default_value(profile);
	int r = call_tree_new(profile, value, &tree);
	if (r == 0)
		r = call_tree_sort(tree, CALL_TREE_BY_TOTAL);
	if (r == 0)
		r = report_new(tree, &report);
	if (r < 0)
		return r;
	struct report_view view = {profile, value, report, FILE_ROWS, 0};
	report_text_header(&view, out);
	for (size_t i = 0; i < profile->comments.count; i++) {
		text_add_printable(out, profile_text(profile, profile->comments.items[i]));
		text_add_char(out, '\n');
	}
	text_add_char(out, '\n');
	r = report_text_functions(&view, REPORT_BY_FLAT, out);
	text_add_char(out, '\n');
	return r < 0 ? r : report_text_tree(&view, out);
}
