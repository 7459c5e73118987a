/* SPDX-License-Identifier: Apache-2.0 */
/* See top_text.h. A number that is unknown is said to be unknown: silence must not look like zero. */
#include "command/top_text.h"

#include "base/clock.h"
#include "command/terminal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void header_what(const struct top_facts *facts, const char *source, unsigned cpus,
			struct text *out)
{
	char clock[16], length[32], processes[32];
	time_t end = (time_t)((facts->time_ns + facts->duration_ns) / (int64_t)NS_PER_SECOND);
	struct tm local;
	localtime_r(&end, &local);
	strftime(clock, sizeof(clock), "%H:%M:%S", &local);
	text_add(out, "bolometer top  %s  %s of %s", clock,
		 text_duration(length, sizeof(length), (uint64_t)facts->duration_ns), source);
	if (facts->cpu_ns && facts->duration_ns > 0)
		text_add(out, "  %.2f of %u CPUs", (double)facts->cpu_ns / (double)facts->duration_ns,
			 cpus);
	else
		text_add_string(out, "  nothing ran");
	text_add(out, "  %s process%s", text_count(processes, sizeof(processes), facts->processes),
		 facts->processes == 1 ? "" : "es");
}

static void header_cost(const struct top_facts *facts, struct text *out)
{
	const struct top_counters *c = &facts->of_interval;
	char number[32], memory[32];
	if (!facts->has_costs) {
		text_add_string(out, "lost, truncated, own cost: known from the next interval on");
		return;
	}
	text_add(out, "%s samples", text_count(number, sizeof(number), c->samples));
	text_add(out, "  lost %s", text_share(number, sizeof(number), (double)c->lost,
					      (double)(c->lost + c->samples)));
	text_add(out, "  missed %s", text_count(number, sizeof(number), c->missed));
	if (c->sideband_lost)
		text_add(out, "  %s process records lost",
			 text_count(number, sizeof(number), c->sideband_lost));
	text_add(out, "  truncated %s", text_share(number, sizeof(number), (double)c->truncated,
						   (double)c->stacks));
	text_add(out, "  own cost %s CPU",
		 text_share(number, sizeof(number), (double)(c->own_cpu_ns + c->bpf_ns),
			    (double)facts->duration_ns));
	if (facts->memory_bytes)
		text_add(out, ", %s", text_size(memory, sizeof(memory), facts->memory_bytes));
}

void top_text_header(const struct top_facts *facts, const char *source, unsigned cpus,
		     unsigned line, struct text *out)
{
	if (line == 0)
		header_what(facts, source, cpus, out);
	else
		header_cost(facts, out);
}

static bool is_group(enum top_view view)
{
	return view == TOP_PROCESSES || view == TOP_THREADS || view == TOP_CONTAINERS;
}

void top_text_columns(const struct top_question *question, struct text *out)
{
	bool neighbours = question->view == TOP_FUNCTIONS && question->function;
	text_add(out, "%6s %6s %6s  ", neighbours ? "flow" : is_group(question->view) ? "user" : "self",
		 "total", "CPU");
	switch (question->view) {
	case TOP_FUNCTIONS:
		text_add(out, "%-11s  %s", "kind", neighbours ? "callers, function, callees" : "function");
		break;
	case TOP_PROCESSES:
		text_add(out, "%7s  %-20s  hottest function", "pid", "process");
		break;
	case TOP_THREADS:
		text_add(out, "%7s  %-16s  %-24s  hottest function", "tid", "thread", "process");
		break;
	case TOP_CONTAINERS:
		text_add(out, "%-64s  hottest function", "container");
		break;
	default:
		text_add(out, "%-11s  %s", "kind",
			 question->stack ? "frames of the stack, innermost first"
					 : "stack, innermost first");
	}
}

static double percent(int64_t part, int64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static void add_shares(const struct top_table *table, const struct top_row *row,
		       const struct top_facts *facts, struct text *out)
{
	text_add(out, "%5.1f%% %5.1f%% ", percent(row->self, table->total),
		 percent(row->total, table->total));
	if (facts->cpu_ns)
		text_add(out, "%5.1f%%  ", percent(row->total, facts->duration_ns));
	else
		text_add(out, "%6s  ", "-");
}

/* `text` padded to so many columns of a terminal that shows one a character. */
static void add_padded(const char *text, size_t columns, struct text *out)
{
	size_t width = 0;
	for (const char *byte = text; *byte; byte++)
		width += (*byte & 0xc0) != 0x80;
	text_add(out, "%s%*s", text, width < columns ? (int)(columns - width) : 0, "");
}

void top_text_row(const struct top_question *question, const struct top_table *table,
		  const struct top_row *row, const struct top_facts *facts, struct text *out)
{
	static const char *const arrows[] = {
		[TOP_PLAIN] = "", [TOP_CALLER] = "", [TOP_MIDDLE] = "> ", [TOP_CALLEE] = "    "};
	const char *hottest = row->hottest ? row->hottest : "";
	add_shares(table, row, facts, out);
	if (!is_group(question->view)) {
		text_add(out, "%-11s  %s%s", frame_type_word(row->type), arrows[row->side],
			 row->name);
		return;
	}
	if (question->view == TOP_CONTAINERS) {
		add_padded(row->name, 64, out);
	} else {
		text_add(out, "%7llu  ", (unsigned long long)row->id);
		add_padded(row->name, question->view == TOP_PROCESSES ? 20 : 16, out);
	}
	if (row->detail) {
		text_add_string(out, "  ");
		add_padded(row->detail, 24, out);
	}
	text_add(out, "  %s", hottest);
}

void top_text_block(const struct top_question *question, const struct top_table *table,
		    const struct top_facts *facts, const char *source, unsigned cpus, size_t rows,
		    struct text *out)
{
	for (unsigned i = 0; i < TOP_HEADER_LINES; i++) {
		top_text_header(facts, source, cpus, i, out);
		text_add_char(out, '\n');
	}
	top_text_columns(question, out);
	text_add_char(out, '\n');
	size_t shown = rows ? MIN_OF(rows, table->rows.count) : table->rows.count;
	for (size_t i = 0; i < shown; i++) {
		top_text_row(question, table, &table->rows.items[i], facts, out);
		text_add_char(out, '\n');
	}
	if (shown < table->rows.count)
		text_add(out, "... and %zu more (--rows 0 shows all)\n", table->rows.count - shown);
	text_add_char(out, '\n');
}
