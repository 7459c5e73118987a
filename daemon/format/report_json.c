/* SPDX-License-Identifier: Apache-2.0 */
/* See report_json.h. */
#include "format/report_json.h"

#include <errno.h>
#include <inttypes.h>

static void add_string(struct text *out, const char *key, const char *value)
{
	text_add(out, "\"%s\":\"", key);
	text_add_json(out, value);
	text_add_char(out, '"');
}

static bool is_difference(enum report_order order)
{
	return order == REPORT_BY_FLAT_CHANGE || order == REPORT_BY_CUMULATIVE_CHANGE;
}

static void begin(const struct report_view *view, bool is_pair, struct text *out)
{
	const struct profile *profile = view->profile;
	const struct profile_value_type *type = &profile->sample_types.items[view->value];
	const struct call_node *root = &view->report->tree->nodes.items[CALL_TREE_ROOT];
	text_add_char(out, '{');
	add_string(out, "sample_type", profile_text(profile, type->type));
	text_add_char(out, ',');
	add_string(out, "unit", profile_text(profile, type->unit));
	text_add(out, ",\"total\":%" PRId64, root->total);
	if (is_pair)
		text_add(out, ",\"total_b\":%" PRId64, root->total_b);
	else
		text_add(out, ",\"file_total\":%" PRId64 ",\"duration_ns\":%" PRId64, view->file_total, profile->duration_ns);
}

static int end(struct text *out)
{
	text_add_string(out, "\n]}\n");
	return out->failed ? -ENOMEM : 0;
}

static void add_function(const struct report_view *view, uint32_t index, struct text *out)
{
	const struct report_function *function = &view->report->functions.items[index];
	add_string(out, "name", report_name(view->report, index));
	text_add(out, ",\"type\":\"%s\",\"flat\":%" PRId64 ",\"cumulative\":%" PRId64,
		 frame_type_word(function->type), function->flat, function->cumulative);
}

static void add_difference(const struct report_view *view, uint32_t index, enum report_order order,
			   struct text *out)
{
	const struct report_function *f = &view->report->functions.items[index];
	bool is_flat = order == REPORT_BY_FLAT_CHANGE;
	text_add(out, ",\"flat_b\":%" PRId64 ",\"cumulative_b\":%" PRId64 ",\"change\":%.9g",
		 f->flat_b, f->cumulative_b,
		 report_change(view->report, is_flat ? f->flat : f->cumulative,
			       is_flat ? f->flat_b : f->cumulative_b));
}

/* What profile_group_by() put at the roots, the largest first, each below what it is a part of. */
static void add_groups(const struct report_view *view, struct text *out)
{
	const struct call_tree *tree = view->report->tree;
	unsigned levels = view->profile->group_levels, depth = 0;
	const char *separator = "";
	text_add_string(out, ",\"groups\":[");
	for (uint32_t node = call_tree_next_within(tree, CALL_TREE_ROOT, levels, &depth); node != CALL_TREE_NONE;
	     node = call_tree_next_within(tree, node, levels, &depth)) {
		text_add(out, "%s\n{\"level\":%u,", separator, depth);
		add_string(out, "name", call_tree_name(tree, node));
		text_add(out, ",\"total\":%" PRId64 "}", tree->nodes.items[node].total);
		separator = ",";
	}
	text_add_string(out, "\n]");
}

int report_json_functions(const struct report_view *view, enum report_order order,
			  struct text *out)
{
	_cleanup_free_ uint32_t *sorted = NULL;
	if (report_sort(view->report, order, &sorted) < 0)
		return -ENOMEM;
	size_t count = view->report->functions.count;
	size_t rows = view->rows ? MIN_OF(view->rows, count) : count;
	begin(view, is_difference(order), out);
	if (view->profile->group_levels && !is_difference(order))
		add_groups(view, out);
	text_add_string(out, ",\"functions\":[");
	for (size_t i = 0; i < rows; i++) {
		text_add_string(out, i ? ",\n{" : "\n{");
		add_function(view, sorted[i], out);
		if (is_difference(order))
			add_difference(view, sorted[i], order, out);
		text_add_char(out, '}');
	}
	return end(out);
}

int report_json_tree(const struct report_view *view, struct text *out)
{
	const struct call_tree *tree = view->report->tree;
	begin(view, false, out);
	text_add_string(out, ",\"nodes\":[");
	for (uint32_t i = 0; i < tree->nodes.count; i++) {
		const struct call_node *node = &tree->nodes.items[i];
		text_add(out, "%s\n{\"parent\":%" PRId64 ",", i ? "," : "",
			 node->parent == CALL_TREE_NONE ? -1 : (int64_t)node->parent);
		add_string(out, "name", call_tree_name(tree, i));
		text_add(out, ",\"type\":\"%s\",\"inlined\":%s", frame_type_word(node->type),
			 node->is_inlined ? "true" : "false");
		text_add(out, ",\"self\":%" PRId64 ",\"total\":%" PRId64 "}", node->self,
			 node->total);
	}
	return end(out);
}

static int add_side(const struct report_view *view, uint32_t function, enum report_side side,
		    struct text *out)
{
	_cleanup_free_ int64_t *values = NULL;
	if (report_neighbours(view->report, function, side, &values) < 0)
		return -ENOMEM;
	const char *separator = "";
	text_add(out, ",\"%s\":[", side == REPORT_CALLERS ? "callers" : "callees");
	for (uint32_t i = 0; i < view->report->functions.count; i++) {
		if (values[i] == 0)
			continue;
		text_add(out, "%s{", separator);
		add_string(out, "name", report_name(view->report, i));
		text_add(out, ",\"value\":%" PRId64 "}", values[i]);
		separator = ",";
	}
	text_add_char(out, ']');
	return 0;
}

int report_json_neighbours(const struct report_view *view, const uint32_t *functions, size_t count,
			   struct text *out)
{
	begin(view, false, out);
	text_add_string(out, ",\"functions\":[");
	for (size_t i = 0; i < count; i++) {
		text_add_string(out, i ? ",\n{" : "\n{");
		add_function(view, functions[i], out);
		if (add_side(view, functions[i], REPORT_CALLERS, out) < 0 ||
		    add_side(view, functions[i], REPORT_CALLEES, out) < 0)
			return -ENOMEM;
		text_add_char(out, '}');
	}
	return end(out);
}

static void add_source_function(const struct report_view *view, const struct source_lines *lines,
				const struct source_function *function, struct text *out)
{
	add_string(out, "name", profile_text(view->profile, function->name));
	text_add_char(out, ',');
	add_string(out, "file", profile_text(view->profile, function->file));
	text_add(out, ",\"flat\":%" PRId64 ",\"cumulative\":%" PRId64 ",\"lines\":[", function->flat, function->cumulative);
	for (size_t i = 0; i < function->line_count; i++) {
		const struct source_line *line = &lines->lines.items[function->first_line + i];
		text_add(out, "%s{\"line\":%" PRIu32 ",\"flat\":%" PRId64 ",\"cumulative\":%" PRId64 "}", i ? "," : "",
			 line->line, line->flat, line->cumulative);
	}
	text_add_char(out, ']');
}

int report_json_source(const struct report_view *view, const struct source_lines *lines, struct text *out)
{
	size_t count = lines->functions.count, rows = view->rows ? MIN_OF(view->rows, count) : count;
	begin(view, false, out);
	text_add_string(out, ",\"functions\":[");
	for (size_t i = 0; i < rows; i++) {
		text_add_string(out, i ? ",\n{" : "\n{");
		add_source_function(view, lines, &lines->functions.items[i], out);
		text_add_char(out, '}');
	}
	return end(out);
}
