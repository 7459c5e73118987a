/* SPDX-License-Identifier: Apache-2.0 */
/* See metrics.h. */
#include "service/metrics.h"

#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "bolometer_"
#define MAX_LABEL 64
#define MAX_NAME 64

/* ---- The format ------------------------------------------------------------------------------------ */

static void family(struct text *out, const char *name, const char *type, const char *help)
{
	text_add(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void label(struct text *out, const char *separator, const char *key, const char *value)
{
	text_add(out, "%s%s=\"", separator, key);
	for (const char *p = value; *p; p++) {
		if (*p == '\\' || *p == '"')
			text_add_char(out, '\\');
		if (*p == '\n')
			text_add_string(out, "\\n");
		else
			text_add_char(out, *p);
	}
	text_add_char(out, '"');
}

/* A sample with up to two labels; `key` NULL: without. */
static void sample2(struct text *out, const char *name, const char *key, const char *value,
		    const char *key2, const char *value2, double number)
{
	text_add(out, PREFIX "%s", name);
	if (key)
		label(out, "{", key, value);
	if (key2)
		label(out, ",", key2, value2);
	/* Counts are written in full, whatever their size. */
	text_add(out, number == floor(number) ? "%s %.0f\n" : "%s %.15g\n", key ? "}" : "", number);
}

static void sample(struct text *out, const char *name, const char *key, const char *value,
		   uint64_t number)
{
	sample2(out, name, key, value, NULL, NULL, (double)number);
}

static void single(struct text *out, const char *name, const char *type, const char *help,
		   double number)
{
	family(out, name, type, help);
	sample2(out, name, NULL, NULL, NULL, NULL, number);
}

static double seconds(uint64_t ns)
{
	return (double)ns / (double)NS_PER_SECOND;
}

/* The samples of one series of a histogram. A bucket counts everything up to its bound. */
static void histogram(struct text *out, const char *name, const char *key, const char *value,
		      const struct durations *d)
{
	char sample_name[MAX_NAME], bound[32];
	uint64_t up_to = 0;
	snprintf(sample_name, sizeof(sample_name), "%s_bucket", name);
	for (size_t i = 0; i < ARRAY_LENGTH(DURATION_BOUNDS); i++) {
		up_to += d->within[i];
		snprintf(bound, sizeof(bound), "%g", seconds(DURATION_BOUNDS[i]));
		sample2(out, sample_name, key, value, "le", bound, (double)up_to);
	}
	sample2(out, sample_name, key, value, "le", "+Inf", (double)d->count);
	snprintf(sample_name, sizeof(sample_name), "%s_sum", name);
	sample2(out, sample_name, key, value, NULL, NULL, seconds(d->sum_ns));
	snprintf(sample_name, sizeof(sample_name), "%s_count", name);
	sample(out, sample_name, key, value, d->count);
}

static void lower(const char *id, char lowered[MAX_LABEL])
{
	size_t i = 0;
	for (; id[i] && i < MAX_LABEL - 1; i++)
		lowered[i] = (char)tolower((unsigned char)id[i]);
	lowered[i] = '\0';
}

/* ---- What is sampled --------------------------------------------------------------------------------- */

static void write_samples(const struct recording_statistics *s, struct text *out)
{
	family(out, "ticks_total", "counter",
	       "Periods of the CPUs' clocks, by what became of them. Their sum is all that passed "
	       "while sampling was on.");
	sample(out, "ticks_total", "outcome", "sample", s->counters[COUNTER_SAMPLES]);
	sample(out, "ticks_total", "outcome", "lost",
	       s->counters[COUNTER_LOST_RING_FULL] + s->counters[COUNTER_LOST_SCRATCH]);
	sample(out, "ticks_total", "outcome", "unselected", s->counters[COUNTER_UNSELECTED]);
	sample(out, "ticks_total", "outcome", "not_taken", s->not_taken);
	sample(out, "ticks_total", "outcome", "idle", s->counters[COUNTER_IDLE]);
	sample(out, "ticks_total", "outcome", "missed", s->counters[COUNTER_MISSED]);
	family(out, "samples_total", "counter", "Samples that are in a profile.");
	sample(out, "samples_total", "event", "cpu", s->samples);
	sample(out, "samples_total", "event", "growth", s->growth_samples);
	sample(out, "samples_total", "event", "heap", s->heap_places);
	family(out, "captured_seconds_total", "counter", "CPU time that these samples stand for.");
	sample2(out, "captured_seconds_total", "event", "cpu", NULL, NULL, seconds(s->captured_ns));
	family(out, "samples_lost_total", "counter", "Samples that are in no profile, by reason.");
	sample(out, "samples_lost_total", "reason", "ring_full",
	       s->counters[COUNTER_LOST_RING_FULL] + s->counters[COUNTER_GROWTH_LOST]);
	sample(out, "samples_lost_total", "reason", "no_scratch", s->counters[COUNTER_LOST_SCRATCH]);
	sample(out, "samples_lost_total", "reason", "limit", s->dropped_samples);
	single(out, "samples_untimed_total", "counter",
	       "Samples in a profile without the time they were taken at, for a limit.",
	       (double)s->untimed_samples);
	single(out, "sideband_records_lost_total", "counter",
	       "Records of forks, programs and mappings that were lost; /proc is read instead.",
	       (double)s->sideband_lost);
}

/* One family over all strategies, by an expression of `s`, a strategy's statistics. */
#define EACH_STRATEGY(metric, type, help, expression)                                              \
	do {                                                                                       \
		family(out, metric, type, help);                                                   \
		for (size_t i = 0; i < strategies_count(strategies); i++) {                        \
			struct strategy_report report;                                             \
			strategies_get(strategies, i, &report);                                    \
			const struct strategy_statistics *s = &report.statistics;                  \
			sample2(out, metric, "strategy", report.rule->name, "event",               \
				profile_kind_word(report.rule->kind), (expression));               \
		}                                                                                  \
	} while (0)

static void write_strategies(const struct strategies *strategies, struct text *out)
{
	if (!strategies)
		return;
	EACH_STRATEGY("strategy_offered_samples_total", "counter",
		      "Samples (of the heap: programs) that fell under a strategy, since its statistics began.", (double)s->offered);
	EACH_STRATEGY("strategy_taken_samples_total", "counter", "Of them, those it took.", (double)s->taken);
	EACH_STRATEGY("strategy_effective_ratio", "gauge", "The share it took.",
		      s->offered ? (double)s->taken / (double)s->offered : 0);
}

static void write_growth(const struct recording_statistics *s, struct text *out)
{
	family(out, "page_faults_total", "counter",
	       "Minor page faults while growth is looked at, by what became of them. Their sum is all "
	       "that were.");
	sample(out, "page_faults_total", "outcome", "new", s->counters[COUNTER_GROWTH_NEW]);
	sample(out, "page_faults_total", "outcome", "copied", s->counters[COUNTER_GROWTH_COPIED]);
	sample(out, "page_faults_total", "outcome", "file", s->counters[COUNTER_GROWTH_FILE]);
	sample(out, "page_faults_total", "outcome", "unselected",
	       s->counters[COUNTER_GROWTH_UNSELECTED]);
	sample(out, "page_faults_total", "outcome", "thinned", s->counters[COUNTER_GROWTH_THINNED]);
	single(out, "growth_bytes_total", "counter",
	       "Bytes of new and copied memory that samples of growth stand for.",
	       (double)s->growth_bytes);
	single(out, "oom_victims_total", "counter",
	       "Processes the kernel killed for lack of memory while growth is looked at.",
	       (double)s->victims);
	single(out, "oom_victims_known_total", "counter",
	       "Of them, those whose profiles were kept.", (double)s->victims_known);
}

static void write_heap(const struct recording_statistics *s, struct text *out)
{
	const struct heap_windows_statistics *w = &s->heap_windows;
	single(out, "heap_allocations_total", "counter",
	       "Allocations that probes have seen while the heap is looked at.",
	       (double)s->counters[COUNTER_HEAP_ALLOCATIONS]);
	single(out, "heap_allocated_bytes_total", "counter", "Bytes they asked for.",
	       (double)s->counters[COUNTER_HEAP_BYTES]);
	single(out, "heap_samples_total", "counter", "Of them, those whose place was taken.",
	       (double)s->counters[COUNTER_HEAP_SAMPLES]);
	family(out, "heap_lost_total", "counter", "Of them, those that are not told in full, by reason.");
	sample(out, "heap_lost_total", "reason", "no_memory", s->counters[COUNTER_HEAP_LOST]);
	sample(out, "heap_lost_total", "reason", "return_unseen", s->counters[COUNTER_HEAP_LOST_RETURNS]);
	sample(out, "heap_lost_total", "reason", "places_full", s->counters[COUNTER_HEAP_SITES_FULL]);
	sample(out, "heap_lost_total", "reason", "objects_full", s->counters[COUNTER_HEAP_LIVE_FULL]);
	family(out, "heap_processes", "gauge", "Processes whose allocators are probed, all the time or in windows.");
	sample(out, "heap_processes", "probes", "always", w->processes_always);
	sample(out, "heap_processes", "probes", "windows", w->processes_in_windows);
	single(out, "heap_windows_total", "counter", "Windows in which processes were probed.",
	       (double)w->windows);
	single(out, "heap_windows_late_total", "counter", "Of them, those that could not be closed in time.",
	       (double)w->late);
	single(out, "heap_window_period_seconds", "gauge", "A process in windows has one in such a time.",
	       seconds(w->period_ns));
	single(out, "heap_own_cpu_seconds_total", "counter", "CPU time of the thread that sets and removes probes.",
	       seconds(w->own_ns));
	family(out, "heap_cpu_seconds_total", "counter",
	       "CPU time of the probed processes: all of it, and what the probes took.");
	sample2(out, "heap_cpu_seconds_total", "of", "processes", NULL, NULL, seconds((uint64_t)w->cpu_ns));
	sample2(out, "heap_cpu_seconds_total", "of", "probes", NULL, NULL, seconds((uint64_t)w->cost_ns));
}

static void write_frames(const struct recording_statistics *s, struct text *out)
{
	static const char *const types[FRAME_TYPE_MAX] = {
		[FRAME_TYPE_NATIVE] = "native", [FRAME_TYPE_KERNEL] = "kernel",
		[FRAME_TYPE_JIT] = "jit",	[FRAME_TYPE_INTERPRETER] = "interpreter",
		[FRAME_TYPE_GO] = "go",		[FRAME_TYPE_MARK] = "mark",
	};
	family(out, "frames_total", "counter",
	       "Frames of the stacks in profiles, with and without a function's name. A mark is no "
	       "code: it says why a stack ends early.");
	for (size_t i = 0; i < FRAME_TYPE_MAX; i++) {
		const struct frame_count *count = &s->frames_of_type[i];
		sample2(out, "frames_total", "type", types[i], "symbolized", "true",
			(double)(count->frames - count->unnamed));
		sample2(out, "frames_total", "type", types[i], "symbolized", "false",
			(double)count->unnamed);
	}
}

static void write_stacks(const struct recording_statistics *s, struct text *out)
{
	static const char *const ends[] = {
#define STACK_END_ID(id, text) #id,
		BOLOMETER_STACK_ENDS(STACK_END_ID)
#undef STACK_END_ID
	};
	family(out, "unwind_ends_total", "counter",
	       "Samples by where their stack ended; complete, exiting and in_exec are whole.");
	for (size_t i = 0; i < STACK_END_MAX; i++) {
		char name[MAX_LABEL];
		lower(ends[i], name);
		sample(out, "unwind_ends_total", "reason", name, s->ends[i]);
	}
	write_frames(s, out);
	family(out, "losses_total", "counter",
	       "What was not understood, refused or given up, by kind.");
#define WRITE_LOSS(name, source, what) sample(out, "losses_total", "kind", #name, s->losses.name);
	RECORDING_LOSSES(WRITE_LOSS)
#undef WRITE_LOSS
	family(out, "symbolization_seconds", "histogram",
	       "Time from asking for a binary's symbols, or the source lines of addresses in it, to "
	       "the answer of the cache or the parser child.");
	histogram(out, "symbolization_seconds", "of", "symbols", &s->names.symbols);
	histogram(out, "symbolization_seconds", "of", "lines", &s->names.lines);
	single(out, "tracked_processes", "gauge", "Processes that are known now.",
	       (double)s->tracked_processes);
	single(out, "tracked_binaries", "gauge", "Executables and libraries that are known now.",
	       (double)s->binaries);
}

static void write_cost(const struct metrics *m, struct text *out)
{
	const struct recording_statistics *s = m->recording;
	single(out, "process_cpu_seconds_total", "counter",
	       "CPU time of the daemon and its parser children.", seconds(s->own_cpu_ns));
	single(out, "bpf_cpu_seconds_total", "counter",
	       "CPU time of the BPF programs; 0 where the kernel does not tell.",
	       seconds(s->bpf_ns));
	single(out, "process_resident_memory_bytes", "gauge", "Resident memory of the daemon.",
	       (double)m->resident_bytes);
	single(out, "process_proportional_memory_bytes", "gauge",
	       "Memory of the daemon, shared pages by their part; of the last seconds.",
	       (double)(s->memory_bytes - s->map_bytes));
	single(out, "bpf_map_bytes", "gauge", "Kernel memory of the BPF maps.",
	       (double)s->map_bytes);
	family(out, "bpf_map_entries", "gauge", "Entries of the BPF maps that can be full.");
	for (size_t i = 0; i < m->map_count; i++)
		sample(out, "bpf_map_entries", "map", m->maps[i].name, m->maps[i].entries);
	family(out, "bpf_map_capacity", "gauge", "How many entries they can have.");
	for (size_t i = 0; i < m->map_count; i++)
		sample(out, "bpf_map_capacity", "map", m->maps[i].name, m->maps[i].capacity);
}

/* ---- Where it goes ----------------------------------------------------------------------------------- */

/* One family over all exporters, by an expression of `s`, an exporter's statistics. */
#define EACH_EXPORTER(metric, type, help, expression)                                           \
	do {                                                                                    \
		family(out, metric, type, help);                                                \
		for (size_t i = 0; i < m->exporter_count; i++) {                                \
			const struct exporter_statistics *s = &m->exporters[i].statistics;      \
			sample(out, metric, "exporter", m->exporters[i].name, (expression));    \
		}                                                                               \
	} while (0)

static void write_requests(const struct metrics *m, struct text *out)
{
	family(out, "export_requests_total", "counter",
	       "Attempts to send, by the answer: a status of HTTP or gRPC, or why there was none.");
	for (size_t i = 0; i < m->exporter_count; i++) {
		const struct exporter_statistics *s = &m->exporters[i].statistics;
		for (size_t k = 0; k < s->answer_count; k++)
			sample2(out, "export_requests_total", "exporter", m->exporters[i].name,
				"code", s->answers[k].code, (double)s->answers[k].sends);
	}
	EACH_EXPORTER("export_retries_total", "counter", "Attempts that are to be repeated.",
		      s->retries);
	EACH_EXPORTER("export_partial_successes_total", "counter",
		      "Attempts that the backend took with some profiles refused.",
		      s->partial_successes);
	EACH_EXPORTER("export_rejected_profiles_total", "counter", "Profiles refused by these.",
		      s->rejected_profiles);
	EACH_EXPORTER("export_maybe_repeated_total", "counter",
		      "Payloads sent again although an earlier answer may have been lost.",
		      s->spool.maybe_repeated);
	EACH_EXPORTER("export_splits_total", "counter",
		      "Payloads that the backend found too large and that became two.",
		      s->spool.splits);
	EACH_EXPORTER("export_failures_in_a_row", "gauge",
		      "Attempts since the last that was answered.", s->failures_in_a_row);
	EACH_EXPORTER("export_disk_failures_total", "counter",
		      "Attempts to write to the spool that failed.", s->spool.disk_failures);
	family(out, "exporter_running", "gauge", "Is the exporter there to send?");
	for (size_t i = 0; i < m->exporter_count; i++)
		sample(out, "exporter_running", "exporter", m->exporters[i].name,
		       m->exporters[i].is_running);
}

static void write_amounts(const struct metrics *m, struct text *out)
{
	family(out, "export_bytes_total", "counter",
	       "Bytes taken into the queue and sent from it, encoded; wire: sent, compressed, with "
	       "failed attempts.");
	for (size_t i = 0; i < m->exporter_count; i++) {
		const struct exporter_state *e = &m->exporters[i];
		const struct spool_statistics *spool = &e->statistics.spool;
		const char *const stages[] = {"taken", "sent", "wire"};
		const uint64_t bytes[] = {spool->taken.bytes, spool->sent.bytes,
					  e->statistics.bytes_sent};
		for (size_t k = 0; k < ARRAY_LENGTH(stages); k++)
			sample2(out, "export_bytes_total", "exporter", e->name, "stage", stages[k],
				(double)bytes[k]);
	}
	EACH_EXPORTER("export_samples_taken_total", "counter",
		      "Samples given to the exporter, with those an earlier run had left.",
		      s->spool.taken.samples + s->spool.recovered.samples);
	EACH_EXPORTER("export_samples_sent_total", "counter", "Samples that arrived.",
		      s->spool.sent.samples);
	family(out, "export_samples_dropped_total", "counter",
	       "Samples that never will arrive, by reason.");
	for (size_t i = 0; i < m->exporter_count; i++)
		for (int reason = 0; reason < DROP_REASON_COUNT; reason++)
			sample2(out, "export_samples_dropped_total", "exporter",
				m->exporters[i].name, "reason",
				drop_reason_name((enum drop_reason)reason),
				(double)m->exporters[i].statistics.spool.dropped[reason].samples);
	EACH_EXPORTER("export_queue_samples", "gauge", "Samples that wait to be sent.",
		      s->spool.waiting.samples);
	EACH_EXPORTER("export_queue_payloads", "gauge", "Payloads that wait to be sent.",
		      s->spool.waiting.payloads);
	EACH_EXPORTER("export_queue_bytes", "gauge", "Their bytes.", s->spool.waiting.bytes);
	EACH_EXPORTER("export_queue_memory_bytes", "gauge",
		      "Of these, what is only in memory and a kill would lose.",
		      s->spool.in_memory.bytes);
	EACH_EXPORTER("export_queue_disk_bytes", "gauge", "Files of the queue.",
		      s->spool.disk_bytes);
}

/* ---- The daemon -------------------------------------------------------------------------------------- */

static void write_budget(const struct budget_report *b, struct text *out)
{
	single(out, "budget_cpu_ratio", "gauge", "Share of all CPUs that profiling may cost.", b->share);
	single(out, "budget_cost_ratio", "gauge", "Share of all CPUs that the last minute cost.",
	       b->window_cost);
	single(out, "budget_frequency_hertz", "gauge", "Samples a second and CPU, as the budget allows.",
	       b->setting.frequency);
	single(out, "budget_chance_ratio", "gauge", "Share of the time in which sampling is on at all.",
	       b->chance);
	family(out, "budget_given_up", "gauge", "Is this given up for the budget?");
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		sample(out, "budget_given_up", "what", budget_lever_name((enum budget_lever)i),
		       b->setting.used >> i & 1);
	single(out, "budget_heap_ratio", "gauge", "Share of all CPUs that looking at allocators may cost.",
	       b->setting.heap_share);
	single(out, "budget_infeasible", "gauge", "Is the cost above the budget with every lever used?",
	       b->infeasible);
}

static void write_memory_budget(const struct memory_budget *b, struct text *out)
{
	single(out, "budget_memory_bytes", "gauge", "Bytes of memory that profiling may take.", (double)b->limit);
	single(out, "budget_memory_used_bytes", "gauge", "Bytes that it took lately, maps in the kernel included.",
	       (double)b->bytes);
	family(out, "budget_memory_given_up_total", "counter", "How often this was given up for the budget.");
	for (int i = 0; i < MEMORY_LEVER_COUNT; i++)
		sample(out, "budget_memory_given_up_total", "what", memory_lever_name((enum memory_lever)i),
		       (double)b->moved[i]);
	single(out, "budget_memory_infeasible", "gauge", "Is it above the budget with everything given up?",
	       b->infeasible);
}

static void write_state(const struct metrics *m, struct text *out)
{
	family(out, "build_info", "gauge", "The version that runs.");
	sample(out, "build_info", "version", m->version, 1);
	single(out, "start_time_seconds", "gauge", "When the daemon started, since 1970.",
	       m->start_time);
	single(out, "sampling_enabled", "gauge", "Is sampling on?", !m->is_paused);
	family(out, "kill_switch_active", "gauge",
	       "Is everything detached from the kernel, and by what?");
	for (int i = KILL_NONE + 1; i < KILL_REASON_COUNT; i++)
		sample(out, "kill_switch_active", "reason", kill_reason_name((enum kill_reason)i),
		       m->kill_switch[i]);
	single(out, "kill_switch_activations_total", "counter", "How often that came.",
	       (double)m->kill_switch_activations);
	family(out, "safe_mode", "gauge",
	       "Is this left out, as a known bug of the kernel or the configuration wants it?");
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		sample(out, "safe_mode", "feature", safe_mode_name((enum safe_mode_feature)i),
		       m->recording->safe_mode >> i & 1);
	single(out, "sampling_frequency_hertz", "gauge", "Samples a second and CPU.",
	       (double)m->frequency);
	if (m->recording->budget.share > 0)
		write_budget(&m->recording->budget, out);
	if (m->recording->memory_budget.limit)
		write_memory_budget(&m->recording->memory_budget, out);
	single(out, "sampling_paused_seconds_total", "counter",
	       "Time in which sampling was off because somebody stopped it.",
	       seconds(m->recording->paused_ns));
	family(out, "recording_renewals_total", "counter",
	       "Times a new recording was begun because the one before had met millions of files.");
	sample(out, "recording_renewals_total", "result", "success", m->renewals);
	sample(out, "recording_renewals_total", "result", "failure", m->renewal_failures);
	single(out, "config_last_reload_successful", "gauge",
	       "Is the configuration that was last read in force?", m->last_reload_successful);
	single(out, "config_last_reload_timestamp_seconds", "gauge",
	       "When the configuration was last read, since 1970.", m->last_reload_time);
	family(out, "config_reloads_total", "counter", "Times the configuration was read again.");
	sample(out, "config_reloads_total", "result", "success", m->reloads - m->reload_failures);
	sample(out, "config_reloads_total", "result", "failure", m->reload_failures);
}

static void write_listeners(const struct metrics *m, struct text *out)
{
	family(out, "http_requests_total", "counter", "Requests to the local server.");
	for (size_t i = 0; i < m->listener_count; i++)
		sample(out, "http_requests_total", "listener", m->listeners[i].name,
		       m->listeners[i].statistics.requests);
	family(out, "http_requests_refused_total", "counter",
	       "Of these, refused for path, method, host, size or token.");
	for (size_t i = 0; i < m->listener_count; i++)
		sample(out, "http_requests_refused_total", "listener", m->listeners[i].name,
		       m->listeners[i].statistics.refused);
	family(out, "pull_profiles_total", "counter",
	       "Profiles that were asked for at /debug/pprof/profile.");
	sample(out, "pull_profiles_total", "result", "served", m->profiles_served);
	sample(out, "pull_profiles_total", "result", "refused", m->profiles_refused);
	single(out, "pull_profiles_open", "gauge", "Those that are being taken.",
	       (double)m->profiles_open);
}

void metrics_write(const struct metrics *m, struct text *out)
{
	write_state(m, out);
	write_samples(m->recording, out);
	write_strategies(m->strategies, out);
	write_growth(m->recording, out);
	write_heap(m->recording, out);
	write_stacks(m->recording, out);
	write_cost(m, out);
	write_requests(m, out);
	write_amounts(m, out);
	write_listeners(m, out);
}
