/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics of what is sampled: ticks, strategies, growth, the heap, stacks and their names. */
#include "service/metrics_parts.h"

#include <ctype.h>

#define MAX_LABEL 64

void metrics_write_samples(const struct recording_statistics *s, struct text *out)
{
	prometheus_family(out, "ticks_total", "counter",
			  "Periods of the CPUs' clocks, by what became of them. Their sum is all that passed "
			  "while sampling was on.");
	prometheus_sample(out, "ticks_total", "outcome", "sample", s->counters[COUNTER_SAMPLES]);
	prometheus_sample(out, "ticks_total", "outcome", "lost",
			  s->counters[COUNTER_LOST_RING_FULL] + s->counters[COUNTER_LOST_SCRATCH]);
	prometheus_sample(out, "ticks_total", "outcome", "unselected", s->counters[COUNTER_UNSELECTED]);
	prometheus_sample(out, "ticks_total", "outcome", "not_taken", s->not_taken);
	prometheus_sample(out, "ticks_total", "outcome", "idle", s->counters[COUNTER_IDLE]);
	prometheus_sample(out, "ticks_total", "outcome", "missed", s->counters[COUNTER_MISSED]);
	prometheus_family(out, "samples_total", "counter", "Samples that are in a profile.");
	prometheus_sample(out, "samples_total", "event", "cpu", s->samples);
	prometheus_sample(out, "samples_total", "event", "growth", s->growth_samples);
	prometheus_sample(out, "samples_total", "event", "heap", s->heap_places);
	prometheus_family(out, "captured_seconds_total", "counter", "CPU time that these samples stand for.");
	prometheus_sample2(out, "captured_seconds_total", "event", "cpu", NULL, NULL, ns_to_seconds(s->captured_ns));
	prometheus_family(out, "samples_lost_total", "counter", "Samples that are in no profile, by reason.");
	prometheus_sample(out, "samples_lost_total", "reason", "ring_full", recording_lost_to_ring(s));
	prometheus_sample(out, "samples_lost_total", "reason", "no_scratch", s->counters[COUNTER_LOST_SCRATCH]);
	prometheus_sample(out, "samples_lost_total", "reason", "limit", s->dropped_samples);
	prometheus_single(out, "samples_untimed_total", "counter",
			  "Samples in a profile without the time they were taken at, for a limit.",
			  (double)s->untimed_samples);
	prometheus_single(out, "sideband_records_lost_total", "counter",
			  "Records of forks, programs and mappings that were lost; /proc is read instead.",
			  (double)s->sideband_lost);
}

/* One family over all strategies, by an expression of `s`, a strategy's statistics. */
#define EACH_STRATEGY(metric, type, help, expression)                                              \
	do {												\
		prometheus_family(out, metric, type, help);						\
		for (size_t i = 0; i < strategies_count(strategies); i++) {				\
			struct strategy_report report;							\
			strategies_get(strategies, i, &report);						\
			const struct strategy_statistics *s = &report.statistics;			\
			prometheus_sample2(out, metric, "strategy", report.rule->name, "event",		\
					   profile_kind_word(report.rule->kind), (expression));		\
		}											\
	} while (0)

void metrics_write_strategies(const struct strategies *strategies, struct text *out)
{
	if (!strategies)
		return;
	EACH_STRATEGY("strategy_offered_samples_total", "counter",
		      "Samples (of the heap: processes) that fell under a strategy, since its statistics began.",
		      (double)s->offered);
	EACH_STRATEGY("strategy_taken_samples_total", "counter", "Of them, those it took.", (double)s->taken);
	EACH_STRATEGY("strategy_effective_ratio", "gauge", "The share it took.",
		      s->offered ? (double)s->taken / (double)s->offered : 0);
}

void metrics_write_growth(const struct recording_statistics *s, struct text *out)
{
	prometheus_family(out, "page_faults_total", "counter",
			  "Minor page faults while growth is looked at, by what became of them. Their sum is all "
			  "that were.");
	prometheus_sample(out, "page_faults_total", "outcome", "new", s->counters[COUNTER_GROWTH_NEW]);
	prometheus_sample(out, "page_faults_total", "outcome", "copied", s->counters[COUNTER_GROWTH_COPIED]);
	prometheus_sample(out, "page_faults_total", "outcome", "file", s->counters[COUNTER_GROWTH_FILE]);
	prometheus_sample(out, "page_faults_total", "outcome", "unselected",
			  s->counters[COUNTER_GROWTH_UNSELECTED]);
	prometheus_sample(out, "page_faults_total", "outcome", "thinned", s->counters[COUNTER_GROWTH_THINNED]);
	prometheus_single(out, "growth_bytes_total", "counter",
			  "Bytes of new and copied memory that samples of growth stand for.",
			  (double)s->growth_bytes);
	prometheus_single(out, "oom_victims_total", "counter",
			  "Processes the kernel killed for lack of memory while growth is looked at.",
			  (double)s->victims);
	prometheus_single(out, "oom_victims_known_total", "counter",
			  "Of them, those whose profiles were kept.", (double)s->victims_known);
}

void metrics_write_heap(const struct recording_statistics *s, struct text *out)
{
	const struct heap_windows_statistics *w = &s->heap_windows;
	prometheus_single(out, "heap_allocations_total", "counter",
			  "Allocations that probes have seen while the heap is looked at.",
			  (double)s->counters[COUNTER_HEAP_ALLOCATIONS]);
	prometheus_single(out, "heap_allocated_bytes_total", "counter", "Bytes they asked for.",
			  (double)s->counters[COUNTER_HEAP_BYTES]);
	prometheus_single(out, "heap_samples_total", "counter", "Of them, those whose place was taken.",
			  (double)s->counters[COUNTER_HEAP_SAMPLES]);
	prometheus_family(out, "heap_lost_total", "counter", "Of them, those that are not told in full, by reason.");
	prometheus_sample(out, "heap_lost_total", "reason", "no_memory", s->counters[COUNTER_HEAP_LOST]);
	prometheus_sample(out, "heap_lost_total", "reason", "return_unseen", s->counters[COUNTER_HEAP_LOST_RETURNS]);
	prometheus_sample(out, "heap_lost_total", "reason", "places_full", s->counters[COUNTER_HEAP_SITES_FULL]);
	prometheus_sample(out, "heap_lost_total", "reason", "objects_full", s->counters[COUNTER_HEAP_LIVE_FULL]);
	prometheus_family(out, "heap_processes", "gauge",
			  "Processes whose allocators are probed, all the time or in windows.");
	prometheus_sample(out, "heap_processes", "probes", "always", w->processes_always);
	prometheus_sample(out, "heap_processes", "probes", "windows", w->processes_in_windows);
	prometheus_single(out, "heap_windows_total", "counter", "Windows in which processes were probed.",
			  (double)w->windows);
	prometheus_single(out, "heap_windows_late_total", "counter", "Of them, those that could not be closed in time.",
			  (double)w->late);
	prometheus_single(out, "heap_window_period_seconds", "gauge", "A process in windows has one in such a time.",
			  ns_to_seconds(w->period_ns));
	prometheus_single(out, "heap_own_cpu_seconds_total", "counter",
			  "CPU time of the thread that sets and removes probes.",
			  ns_to_seconds(w->own_ns));
	prometheus_family(out, "heap_cpu_seconds_total", "counter",
			  "CPU time of the probed processes: all of it, and what the probes took.");
	prometheus_sample2(out, "heap_cpu_seconds_total", "of", "processes", NULL, NULL,
			   ns_to_seconds((uint64_t)w->cpu_ns));
	prometheus_sample2(out, "heap_cpu_seconds_total", "of", "probes", NULL, NULL,
			   ns_to_seconds((uint64_t)w->cost_ns));
}

static void lower(const char *id, char lowered[MAX_LABEL])
{
	size_t i = 0;
	for (; id[i] && i < MAX_LABEL - 1; i++)
		lowered[i] = (char)tolower((unsigned char)id[i]);
	lowered[i] = '\0';
}

static void write_frames(const struct recording_statistics *s, struct text *out)
{
	static const char *const types[FRAME_TYPE_MAX] = {
		[FRAME_TYPE_NATIVE] = "native", [FRAME_TYPE_KERNEL] = "kernel",
		[FRAME_TYPE_JIT] = "jit",	[FRAME_TYPE_INTERPRETER] = "interpreter",
		[FRAME_TYPE_GO] = "go",		[FRAME_TYPE_MARK] = "mark",
	};
	prometheus_family(out, "frames_total", "counter",
			  "Frames of the stacks in profiles, with and without a function's name. A mark is no "
			  "code: it says why a stack ends early.");
	for (size_t i = 0; i < FRAME_TYPE_MAX; i++) {
		const struct frame_count *count = &s->frames_of_type[i];
		prometheus_sample2(out, "frames_total", "type", types[i], "symbolized", "true",
				   (double)(count->frames - count->unnamed));
		prometheus_sample2(out, "frames_total", "type", types[i], "symbolized", "false",
				   (double)count->unnamed);
	}
}

void metrics_write_stacks(const struct recording_statistics *s, struct text *out)
{
	static const char *const ends[] = {
#define STACK_END_ID(id, text) #id,
		BOLOMETER_STACK_ENDS(STACK_END_ID)
#undef STACK_END_ID
	};
	prometheus_family(out, "unwind_ends_total", "counter",
			  "Samples by where their stack ended; complete, exiting and in_exec are whole.");
	for (size_t i = 0; i < STACK_END_MAX; i++) {
		char name[MAX_LABEL];
		lower(ends[i], name);
		prometheus_sample(out, "unwind_ends_total", "reason", name, s->ends[i]);
	}
	write_frames(s, out);
	prometheus_family(out, "losses_total", "counter",
			  "What was not understood, refused or given up, by kind.");
#define WRITE_LOSS(name, source, what) prometheus_sample(out, "losses_total", "kind", #name, s->losses.name);
	RECORDING_LOSSES(WRITE_LOSS)
#undef WRITE_LOSS
	prometheus_family(out, "symbolization_seconds", "histogram",
			  "Time from asking for a binary's symbols, or the source lines of addresses in it, to "
			  "the answer of the cache or the parser child.");
	prometheus_histogram(out, "symbolization_seconds", "of", "symbols", &s->names.symbols);
	prometheus_histogram(out, "symbolization_seconds", "of", "lines", &s->names.lines);
	prometheus_single(out, "tracked_processes", "gauge", "Processes that are known now.",
			  (double)s->tracked_processes);
	prometheus_single(out, "tracked_binaries", "gauge", "Executables and libraries that are known now.",
			  (double)s->binaries);
}
