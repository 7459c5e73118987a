/* SPDX-License-Identifier: Apache-2.0 */
/* What was found out about a process's memory, for people and for programs. */
#include "command/doctor_memory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* From this cost on the counting itself keeps the process from calling as often as it would. */
#define SLOWED 0.1
#define MANY_TIMES 5.0

static const char *const tier_names[] = {"growth", "sampler", "always", "windows"};

static const char *yes_no(int error)
{
	return error == 0 ? "yes" : strerror(-error);
}

/* Why calls cannot be seen in windows: links of many uprobes are refused to this user, or are not there. */
static const char *without_windows(const struct doctor_memory *m)
{
	if (m->trials.multi == -EPERM || m->trials.multi == -EACCES)
		return "tier       growth: this user may set no probes, so allocations cannot be looked at; as root "
		       "they could\n";
	return "tier       growth: this kernel has no links of many uprobes, so there are no windows\n";
}

static void add_kernel(const struct doctor_memory *m, struct text *out)
{
	char emulated[32], stepped[32];
	text_add(out, "kernel     uprobes: %s; many in one link: %s; in sessions: %s\n",
		 yes_no(m->trials.perf), yes_no(m->trials.multi), yes_no(m->trials.session));
	if (m->trials.emulated_ns && m->trials.stepped_ns)
		text_add(out, "           a hit costs %s where it is emulated, %s elsewhere\n",
			 text_duration(emulated, sizeof(emulated), m->trials.emulated_ns),
			 text_duration(stepped, sizeof(stepped), m->trials.stepped_ns));
	if (m->trials.damages_red_zone == 1)
		text_add_string(out, "           a probe on a five-byte nop damages the stack of leaf functions "
				     "here: none is set on one\n");
	if (m->trials.ends_filtered == 1)
		text_add_string(out, "           a probe on a return ends programs in containers here (mended by "
				     "cf6cb56ef244, 6.14):\n           safe mode, no heap profiles\n");
}

/* A second's calls, or -1. */
static double rate_of(const struct doctor_memory *m, const struct memory_file *file, size_t probe)
{
	if (m->count_error || !m->counted_ns)
		return -1;
	return (double)m->counts[file->first_count + probe] * 1e9 / (double)m->counted_ns;
}

static void add_probe(const struct doctor_memory *m, const struct memory_file *file, size_t i,
		      struct text *out)
{
	const struct allocator_probe *p = &file->table.probes[i];
	char place[400];
	double rate = rate_of(m, file, i);
	snprintf(place, sizeof(place), "%s+%llu", allocator_table_name(&file->table, p),
		 (unsigned long long)(p->offset - p->entry));
	text_add_string(out, "             ");
	text_add_printable(out, place);
	text_add(out, "%*s %-14s %-9s", (int)MAX_OF(30 - (int)strlen(place), 0), "",
		 allocator_role_name(p->role), p->flags & PROBE_EMULATED ? "emulated" : "stepped");
	if (rate >= 0)
		text_add(out, " %12.0f calls/s", rate);
	text_add_char(out, '\n');
}

static void add_facts(const struct doctor_memory *m, const struct memory_file *file,
		      const struct allocator_facts *facts, struct text *out)
{
	char interval[32];
	text_add(out, "allocator  %s in ", allocator_kind_name(facts->kind));
	text_add_printable(out, file->path);
	text_add_char(out, '\n');
	if (facts->sampling != SAMPLING_NONE)
		text_add(out, "             samples by itself, once in %s\n",
			 text_size(interval, sizeof(interval), facts->interval));
	else if (facts->kind == ALLOCATOR_GO)
		text_add_string(out, "             its memory profiler was left out by the linker\n");
	for (uint32_t i = 0; i < facts->probe_count; i++)
		add_probe(m, file, facts->first_probe + i, out);
}

static void add_judgement(const struct doctor_memory *m, struct text *out)
{
	char counted[32];
	if (m->probe_count && m->count_error)
		text_add(out, "calls      not counted: %s\n", strerror(-m->count_error));
	else if (m->probe_count)
		text_add(out, "calls      counted over %s, in which the process used %.2f CPUs%s\n",
			 text_duration(counted, sizeof(counted), m->counted_ns), m->cpus,
			 m->cost_share > SLOWED ? "; counting slowed it: there are more calls otherwise" : "");
	if (m->cost_share > MANY_TIMES) /* of a window of 2 ms no figure is left */
		text_add(out, "cost       all calls all the time: many times its own CPU time; the budget is %.2f %%\n",
			 m->budget * 100);
	else if (m->cost_share >= 0)
		text_add(out, "cost       all calls all the time: %.2f %% of its own CPU time; the budget is "
			      "%.2f %%\n", m->cost_share * 100, m->budget * 100);
	switch (m->tier) {
	case TIER_SAMPLER:
		text_add_string(out, "tier       sampler: the allocator's own sampler is listened to\n");
		break;
	case TIER_ALWAYS:
		text_add_string(out, "tier       always: all calls all the time, for less than half the budget\n");
		break;
	case TIER_WINDOWS:
		text_add_string(out, m->cost_share < 0 ? "tier       windows: it is not known what all calls cost\n"
				     : "tier       windows: all calls all the time cost more than half the budget\n");
		break;
	case TIER_GROWTH:
		text_add_string(out, m->probe_count ? without_windows(m)
				     : "tier       growth: there is no allocator to look at\n");
	}
}

void doctor_memory_write_text(const struct doctor_memory *m, struct text *out)
{
	text_add(out, "process    %u ", m->pid);
	text_add_printable(out, m->comm);
	if (m->runtime)
		text_add(out, ", %s: what that runtime gives out of its own heap does not pass an allocator",
			 m->runtime);
	text_add_char(out, '\n');
	add_kernel(m, out);
	for (size_t i = 0; i < m->files.count; i++)
		for (size_t k = 0; k < m->files.items[i].table.facts_count; k++)
			add_facts(m, &m->files.items[i], &m->files.items[i].table.facts[k], out);
	if (m->files.count == 0)
		text_add_string(out, "allocator  none found: no file of the process has one with a name\n");
	if (m->unread)
		text_add(out, "unread     %zu files\n", m->unread);
	add_judgement(m, out);
}

/* ---- JSON -------------------------------------------------------------------------------------- */

static void add_string(struct text *out, const char *key, const char *value)
{
	text_add(out, "\"%s\": \"", key);
	text_add_json(out, value);
	text_add_char(out, '"');
}

static void add_probe_json(const struct doctor_memory *m, const struct memory_file *file, size_t i,
			   struct text *out)
{
	const struct allocator_probe *p = &file->table.probes[i];
	double rate = rate_of(m, file, i);
	text_add_string(out, "        {");
	add_string(out, "function", allocator_table_name(&file->table, p));
	text_add(out, ", \"offset\": %llu, \"instruction\": %llu, \"role\": \"%s\", \"emulated\": %s",
		 (unsigned long long)p->offset, (unsigned long long)(p->offset - p->entry),
		 allocator_role_name(p->role), p->flags & PROBE_EMULATED ? "true" : "false");
	if (rate >= 0)
		text_add(out, ", \"calls_per_second\": %.1f", rate);
	text_add_char(out, '}');
}

static void add_facts_json(const struct doctor_memory *m, const struct memory_file *file,
			   const struct allocator_facts *facts, struct text *out)
{
	text_add_string(out, "    {");
	add_string(out, "kind", allocator_kind_name(facts->kind));
	text_add_string(out, ", ");
	add_string(out, "file", file->path);
	text_add(out, ", \"sample_interval_bytes\": %llu, \"probes\": [",
		 (unsigned long long)facts->interval);
	for (uint32_t i = 0; i < facts->probe_count; i++) {
		text_add_string(out, i ? ",\n" : "\n");
		add_probe_json(m, file, facts->first_probe + i, out);
	}
	text_add_string(out, "]}");
}

static void add_number(struct text *out, const char *key, bool known, double value)
{
	text_add(out, ",\n  \"%s\": ", key);
	if (known)
		text_add(out, "%.6g", value);
	else
		text_add_string(out, "null");
}

void doctor_memory_write_json(const struct doctor_memory *m, struct text *out)
{
	const struct uprobe_trials *t = &m->trials;
	bool first = true, counted = m->probe_count && m->count_error == 0;
	text_add(out, "{\n  \"pid\": %u,\n  ", m->pid);
	add_string(out, "command", m->comm);
	text_add(out, ",\n  \"uprobes\": %s,\n  \"uprobe_multi\": %s,\n  \"uprobe_session\": %s",
		 t->perf == 0 ? "true" : "false", t->multi == 0 ? "true" : "false",
		 t->session == 0 ? "true" : "false");
	add_number(out, "nop5_damages_red_zone", t->damages_red_zone >= 0, t->damages_red_zone);
	add_number(out, "return_probe_ends_filtered", t->ends_filtered >= 0, t->ends_filtered);
	add_number(out, "emulated_hit_ns", t->emulated_ns, (double)t->emulated_ns);
	add_number(out, "stepped_hit_ns", t->stepped_ns, (double)t->stepped_ns);
	add_number(out, "counted_seconds", counted, (double)m->counted_ns / 1e9);
	add_number(out, "cpus", counted, m->cpus);
	add_number(out, "cost_share", m->cost_share >= 0, m->cost_share);
	add_number(out, "budget", true, m->budget);
	text_add(out, ",\n  \"unread_files\": %zu,\n  \"tier\": \"%s\",\n  \"allocators\": [", m->unread,
		 tier_names[m->tier]);
	for (size_t i = 0; i < m->files.count; i++)
		for (size_t k = 0; k < m->files.items[i].table.facts_count; k++, first = false) {
			text_add_string(out, first ? "\n" : ",\n");
			add_facts_json(m, &m->files.items[i], &m->files.items[i].table.facts[k], out);
		}
	text_add_string(out, "\n  ]\n}\n");
}
