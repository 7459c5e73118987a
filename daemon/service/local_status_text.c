/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's state for people: a line for each subject. */
#include "service/local_state.h"
#include "service/status_figures.h"

#include <limits.h>
#include <unistd.h>

static void describe_exporter(const struct exporter_state *e, struct text *out)
{
	const struct exporter_statistics *s = &e->statistics;
	struct text type = {0};
	char size[32];
	text_add(out, "exporter    %s (%s): ", e->name, figures_exporter_type(e->type, &type));
	text_free(&type);
	if (!e->is_running) {
		text_add(out, "its queue cannot be opened, see the log; %llu samples dropped\n",
			 (unsigned long long)figures_dropped(&s->spool));
		return;
	}
	text_add(out, "%llu samples sent, %llu waiting (%s), %llu dropped",
		 (unsigned long long)s->spool.sent.samples,
		 (unsigned long long)s->spool.waiting.samples,
		 text_size(size, sizeof(size), s->spool.waiting.bytes),
		 (unsigned long long)figures_dropped(&s->spool));
	if (s->failures_in_a_row)
		text_add(out, "; failing (%llu in a row)", (unsigned long long)s->failures_in_a_row);
	else if (s->refusals_in_a_row)
		text_add(out, "; refused (%llu in a row)", (unsigned long long)s->refusals_in_a_row);
	if (s->last_message[0]) {
		text_add_string(out, "\n            last error: ");
		text_add_printable(out, s->last_message); /* a backend may have written it */
	}
	text_add_char(out, '\n');
}

static void describe_budget(const struct budget_report *b, struct text *out)
{
	text_add(out, "budget      %.2f %% of all CPUs, %s cost %.2f %%; at %u Hz", 100 * b->share,
		 b->is_minute ? "the last minute" : "since the start it", 100 * b->window_cost, b->setting.frequency);
	if (b->rate_limit != BUDGET_RATE_LIMIT_ASKED)
		text_add(out, " (%s)", budget_rate_limit_words(b->rate_limit));
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		if (b->setting.used & BUDGET_LEVER_BIT(i))
			text_add(out, ", %s", budget_lever_words((enum budget_lever)i));
	if (b->chance < 1)
		text_add(out, ", %.0f %% of the time", 100 * b->chance);
	text_add_string(out, b->infeasible ? "; it cannot be kept (budget_infeasible)\n" : "\n");
}

static void describe_memory_budget(const struct memory_budget *b, struct text *out)
{
	char limit[32], peak[32];
	text_add(out, "budget      %s of memory, %s at most by now", text_size(limit, sizeof(limit), b->limit),
		 text_size(peak, sizeof(peak), b->peak));
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++)
		if (b->moved[i])
			text_add(out, ", gave up %s %llu times", memory_lever_name((enum memory_lever)i),
				 (unsigned long long)b->moved[i]);
	text_add_string(out, b->infeasible ? "; it cannot be kept (budget_infeasible)\n" : "\n");
}

static void describe_heap(const struct recording_statistics *s, struct text *out)
{
	const struct heap_windows_statistics *w = &s->heap_windows;
	char bytes[32];
	text_add(out,
		 "heap        %llu allocations of %s seen; %llu processes probed all the time, %llu in windows, "
		 "each once in %.0f s; %.2f %% of their CPU time, and %.1f s of our own\n",
		 (unsigned long long)s->counters[COUNTER_HEAP_ALLOCATIONS],
		 text_size(bytes, sizeof(bytes), s->counters[COUNTER_HEAP_BYTES]),
		 (unsigned long long)w->processes_always, (unsigned long long)w->processes_in_windows,
		 ns_to_seconds(w->period_ns), 100 * figures_ratio((uint64_t)w->cost_ns, (uint64_t)w->cpu_ns),
		 ns_to_seconds(w->own_ns));
}

static void describe_strategies(const struct strategies *strategies, struct text *out)
{
	char description[128], time[32];
	for (size_t i = 0; i < strategies_count(strategies); i++) {
		struct strategy_report report;
		strategies_get(strategies, i, &report);
		strategy_rule_describe(report.rule, description, sizeof(description));
		text_add(out, "strategy    %s (%s, %s): %llu of %llu %s taken (%.2f %%) since %s\n",
			 report.rule->name, profile_kind_word(report.rule->kind), description,
			 (unsigned long long)report.statistics.taken,
			 (unsigned long long)report.statistics.offered,
			 report.rule->kind == PROFILE_KIND_HEAP ? "processes" : "samples",
			 100 * figures_ratio(report.statistics.taken, report.statistics.offered),
			 utc_text(report.since_ns, time));
	}
}

static void describe_interval(const struct daemon *daemon, const struct recording_statistics *s,
			      struct text *out)
{
	const struct interval_figures *f = &daemon->interval_figures;
	char memory[32], maps[32];
	if (f->duration_ns)
		text_add(out,
			 "interval    %.1f s: %llu samples, %llu lost; cost %.2f %% of a CPU, "
			 "%.2f %% in the kernel\n",
			 ns_to_seconds(f->duration_ns), (unsigned long long)f->samples,
			 (unsigned long long)f->lost, 100 * figures_ratio(f->own_cpu_ns, f->duration_ns),
			 100 * figures_ratio(f->bpf_ns, f->duration_ns));
	text_add(out, "in all      %llu samples, %llu lost; %llu processes, %llu binaries known\n",
		 (unsigned long long)s->samples, (unsigned long long)recording_lost_samples(s),
		 (unsigned long long)s->tracked_processes, (unsigned long long)s->binaries);
	if (s->growth_samples)
		text_add(out, "growth      %llu samples, %s of memory\n",
			 (unsigned long long)s->growth_samples,
			 text_size(memory, sizeof(memory), s->growth_bytes));
	if (daemon->configuration.memory.heap.enabled)
		describe_heap(s, out);
	if (s->budget.share > 0)
		describe_budget(&s->budget, out);
	if (s->memory_budget.limit)
		describe_memory_budget(&s->memory_budget, out);
	text_add(out, "memory      %s, and %s of BPF maps\n",
		 text_size(memory, sizeof(memory), s->memory_bytes - s->map_bytes),
		 text_size(maps, sizeof(maps), s->map_bytes));
}

void local_status_describe(struct local_server *local, struct text *out)
{
	const struct daemon *daemon = local->daemon;
	struct recording_statistics s;
	struct exporter_state exporter;
	char time[UTC_TEXT_SIZE], command[PATH_MAX];
	recording_get_statistics(daemon->recording, &s);
	text_add(out, "bolometer " BOLOMETER_VERSION ", pid %d, since %s\n", (int)getpid(),
		 utc_text(daemon->start_realtime_ns, time));
	text_add(out, "sampling    %s, %u Hz", daemon->is_paused ? "OFF" : "on", s.frequency);
	if (s.frequency != daemon->configuration.sampling.frequency)
		text_add(out, " of the %llu asked for", (unsigned long long)daemon->configuration.sampling.frequency);
	text_add(out, ", an interval of %.1f s", ns_to_seconds(daemon->configuration.interval_ns));
	if (s.paused_ns)
		text_add(out, "; was off for %.1f s", ns_to_seconds(s.paused_ns));
	if (daemon->kill_switch.reason)
		text_add(out, "\nkill switch detached everything (%s) at %s; %s ends it",
			 kill_reason_name(daemon->kill_switch.reason),
			 utc_text(daemon->kill_switch.since_realtime_ns, time),
			 kill_switch_way_back(&daemon->kill_switch, command, sizeof(command)));
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		if (s.safe_mode & SAFE_MODE_BIT(i))
			text_add(out, "\nsafe mode   %s", safe_mode_meaning((enum safe_mode_feature)i));
	text_add(out, "\nconfigured  %s%s\n",
		 daemon->sources->path ? daemon->sources->path : "by defaults and environment",
		 daemon->reload.last_successful ? ""
						: "; its present text is wrong, the one before it "
						  "is in force");
	describe_interval(daemon, &s, out);
	describe_strategies(recording_strategies(daemon->recording), out);
	if (!exporters_count(daemon->exporters))
		text_add_string(out, "exporter    none: profiles are made and thrown away\n");
	for (size_t i = 0; i < exporters_count(daemon->exporters); i++) {
		exporters_get(daemon->exporters, i, &exporter);
		describe_exporter(&exporter, out);
	}
}
