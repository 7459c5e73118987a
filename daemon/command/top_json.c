/* SPDX-License-Identifier: Apache-2.0 */
/* Owns the JSON of `top`: numbers in the profile's unit, null for what is not known. */
#include "command/top_text.h"

#include <errno.h>
#include <inttypes.h>

static void add_string(struct text *out, const char *key, const char *value)
{
	text_add(out, "\"%s\":\"", key);
	text_add_json(out, value);
	text_add_char(out, '"');
}

static void add_costs(const struct top_facts *facts, struct text *out)
{
	const struct top_counters *c = &facts->of_interval;
	if (!facts->has_costs) {
		text_add_string(out, "\"losses\":null,\"cost\":null");
		return;
	}
	text_add(out,
		 "\"losses\":{\"samples\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"missed\":%" PRIu64
		 ",\"process_records\":%" PRIu64 ",\"stacks\":%" PRIu64 ",\"truncated\":%" PRIu64
		 "},\"cost\":{\"own_cpu_ns\":%" PRIu64 ",\"bpf_ns\":%" PRIu64
		 ",\"memory_bytes\":%" PRIu64 "}",
		 c->samples, c->lost, c->missed, c->sideband_lost, c->stacks, c->truncated,
		 c->own_cpu_ns, c->bpf_ns, facts->memory_bytes);
}

static void add_frames(const struct call_tree *tree, uint32_t node, struct text *out)
{
	text_add_string(out, "{\"frames\":[");
	for (const char *separator = "\""; node != CALL_TREE_ROOT; separator = ",\"") {
		text_add_string(out, separator);
		text_add_json(out, call_tree_name(tree, node));
		text_add_char(out, '"');
		node = tree->nodes.items[node].parent;
	}
	text_add_string(out, "],");
}

static void add_row(enum top_view view, const struct top_table *table, const struct top_row *row,
		    struct text *out)
{
	bool is_function = view == TOP_FUNCTIONS;
	if (view == TOP_STACKS) {
		add_frames(table->tree, row->node, out);
		text_add(out, "\"value\":%" PRId64 "}", row->total);
		return;
	}
	text_add_char(out, '{');
	add_string(out, "name", row->name);
	if (is_function)
		text_add(out, ",\"type\":\"%s\"", frame_type_word(row->type));
	else if (view != TOP_CONTAINERS)
		text_add(out, ",\"%s\":%" PRIu64, view == TOP_PROCESSES ? "pid" : "tid", row->id);
	if (row->detail) {
		text_add_char(out, ',');
		add_string(out, "process", row->detail);
	}
	text_add(out, ",\"%s\":%" PRId64 ",\"total\":%" PRId64, is_function ? "self" : "user",
		 row->self, row->total);
	if (row->hottest) {
		text_add_char(out, ',');
		add_string(out, "hottest", row->hottest);
	}
	text_add_char(out, '}');
}

static int add_view(const struct profile *profile, struct top_question question, size_t rows,
		    struct text *out)
{
	struct top_table table;
	int r = top_table_build(profile, &question, &table);
	size_t shown = rows ? MIN_OF(rows, table.rows.count) : table.rows.count;
	text_add(out, ",\"%s\":[", top_view_names[question.view]);
	for (size_t i = 0; i < shown && r == 0; i++) {
		text_add_string(out, i ? "," : "");
		add_row(question.view, &table, &table.rows.items[i], out);
	}
	text_add_char(out, ']');
	top_table_free(&table);
	return r;
}

int top_json_object(const struct profile *profile, const struct top_facts *facts,
		    const struct top_question *question, bool all_views, const char *source,
		    unsigned cpus, size_t rows, struct text *out)
{
	int r = 0;
	text_add(out, "{\"time_ns\":%" PRId64 ",\"duration_ns\":%" PRId64 ",\"cpus\":%u,",
		 facts->time_ns, facts->duration_ns, cpus);
	add_string(out, "source", source);
	text_add_char(out, ',');
	add_string(out, "unit", facts->unit);
	text_add(out, ",\"total\":%" PRId64 ",\"process_count\":%" PRIu64 ",", facts->total,
		 facts->processes);
	add_costs(facts, out);
	for (enum top_view view = 0; view < TOP_VIEW_MAX && r == 0; view++) {
		struct top_question one = *question;
		one.view = view;
		if (all_views || view == question->view)
			r = add_view(profile, one, rows, out);
	}
	text_add_string(out, "}\n");
	return r < 0 ? r : out->failed ? -ENOMEM : 0;
}
