/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns collector, aggregate and symbolizer. Once a second the stacks that came since are looked
 * through, so that the parser child finds their names while sampling goes on and a profile is quick to
 * take at the end.
 */
#include "profile/recording_state.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREPARE_INTERVAL_NS NS_PER_SECOND
#define PREPARE_EARLY_NS (50 * NS_PER_MS) /* rather than with the next reading of the rings */

static void add_sample(struct recording *r, const struct record_sample *sample, const uint64_t *frames,
		       const struct record_trace *trace, struct process *process, double factor)
{
	if (sample->event == EVENT_CPU)
		factor *= r->weight;
	if (factor == 1) {
		aggregate_add(&r->aggregate, sample, frames, trace, process);
		return;
	}
	struct record_sample weighed = *sample;
	weighed.weight = (uint64_t)((double)sample->weight * factor + 0.5);
	aggregate_add(&r->aggregate, &weighed, frames, trace, process);
}

/* A strategy does not take it. */
static void leave_out(struct recording *r, const struct record_sample *sample, const uint64_t *frames)
{
	struct recording_left_out *left_out = &r->left_out[profile_kind_of_event(sample->event)];
	left_out->samples++;
	left_out->weight += sample->weight;
	aggregate_keep_stack(&r->aggregate, sample, frames);
}

/* Is it taken, and what does it weigh more? The kernel side is told of processes that are left out whole. */
static double offer(struct recording *r, const struct record_sample *sample, const struct record_trace *trace,
		    const struct process *process)
{
	if (!r->strategies)
		return 1;
	double factor = strategies_offer(r->strategies, sample, trace, process, r->pod_names);
	int reason = factor > 0 ? -1 : strategies_reason(r->strategies, sample, process, r->pod_names);
	collector_leave_out(r->collector, sample, reason);
	return factor;
}

static double weigh_heap(void *userdata, const struct process *process)
{
	struct recording *r = userdata;
	return r->strategies ? strategies_offer_heap(r->strategies, process, r->pod_names, monotonic_ns()) : 1;
}

static void on_sample(void *userdata, const struct record_sample *sample, const uint64_t *frames,
		      const struct record_trace *trace, struct process *process)
{
	struct recording *r = userdata;
	double factor = offer(r, sample, trace, process);
	if (factor == 0) {
		leave_out(r, sample, frames);
		return;
	}
	add_sample(r, sample, frames, trace, process, factor);
	if (!process->sampled) {
		struct pod_name name;
		r->sampled_processes++;
		process->sampled = true;
		if (process->container_id) /* now: it may be gone with its files at the end */
			pod_names_find(r->pod_names, process->container_id, "", monotonic_ns(),
				       &name);
	}
	if (!r->phases.first_complete_ns && sample->end == STACK_END_COMPLETE &&
	    sample->user_frames > 1) {
		r->phases.first_complete_ns = sample->header.time - r->start_ns;
		r->phases.first_complete_cpu_ns = recording_own_cpu_ns(r);
	}
	if (sample->flags & SAMPLE_HAS_ADDRESSES)
		recording_note_jit(r, process);
}

static void on_code_replaced(void *userdata, uint64_t start, uint64_t size)
{
	struct recording *r = userdata;
	aggregate_part_kernel_code(&r->aggregate, start, size);
}

static bool prepare_stack(struct recording *r, size_t index)
{
	return profile_prepare_stack(&r->aggregate, index, collector_binaries(r->collector),
				     r->symbolizer);
}

void recording_prepare_names(struct recording *r)
{
	if (!r->symbolizer)
		return;
	recording_update_jit(r);
	size_t kept = 0;
	for (size_t i = 0; i < r->unprepared.count; i++)
		if (!prepare_stack(r, r->unprepared.items[i]))
			r->unprepared.items[kept++] = r->unprepared.items[i];
	r->unprepared.count = kept;
	for (; r->prepared_stacks < r->aggregate.stacks.count; r->prepared_stacks++)
		if (!prepare_stack(r, r->prepared_stacks) &&
		    array_add(&r->unprepared, (uint32_t)r->prepared_stacks) < 0)
			return; /* out of memory: the stack is met again next time */
}

static void on_drained(void *userdata)
{
	struct recording *r = userdata;
	uint64_t now = monotonic_ns();
	if (now - r->prepared_ns < PREPARE_INTERVAL_NS - PREPARE_EARLY_NS)
		return;
	r->prepared_ns = now;
	recording_prepare_names(r);
	if (r->symbolizer && !r->without_lines)
		symbolizer_request_lines(r->symbolizer, false);
	history_turn(&r->history, now);
	if (recording_looks_at_memory(r))
		memory_watch_update(&r->memory, "/proc");
}

/* All of them in the order in which they need each other. */
static int open_parts(struct recording *r, struct collect_failure *failure)
{
	struct collector_options collector = recording_collector_options(r);
	struct symbolizer_options names = {.inlines = r->options.inlines,
					   .max_bytes = r->options.limits.symbol_bytes};
	collector.on_sample = on_sample;
	collector.on_drained = on_drained;
	collector.on_code_replaced = on_code_replaced;
	collector.weigh_heap = r->options.has_strategies ? weigh_heap : NULL;
	collector.on_oom = r->options.on_victim ? recording_on_victim : NULL;
	collector.userdata = r;
	int error = pod_names_new(r->options.root, &r->pod_names);
	if (error == 0 && r->options.on_victim)
		error = history_begin(&r->history, &r->aggregate,
				      r->options.kinds & ~PROFILE_KIND_BIT(PROFILE_KIND_HEAP),
				      r->new_ns);
	if (error == 0)
		error = collector_new(r->loop, &r->options.selection, &collector, failure, &r->collector);
	if (error == 0 && r->options.symbolize)
		error = symbolizer_new(collector_binary_store(r->collector),
				       collector_generated_code(r->collector), &names, &r->symbolizer);
	return error;
}

static void tell_failure(const struct collect_failure *cause, int error, struct recording_failure *ret)
{
	snprintf(ret->text, sizeof(ret->text), "%s", cause->text[0] ? cause->text : strerror(-error));
}

int recording_new(struct loop *loop, struct recording_options *options,
		  struct recording_failure *failure, struct recording **ret)
{
	struct collect_failure cause = {{0}};
	struct recording *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->new_ns = monotonic_ns();
	r->new_cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	r->options = *options;
	r->weight = 1;
	options->selection = options->heap_selection = (struct selection){0};
	recording_set_defaults(&r->options);
	r->rate = r->options.max_cpu > 0 ? budget_first_hz(r->options.max_cpu, r->options.frequency)
					 : r->options.frequency;
	recording_limit_memory(r);
	struct aggregate_limits limits = recording_aggregate_limits(&r->options);
	aggregate_init(&r->aggregate, &limits);
	host_facts_read(r->options.root ? r->options.root : host_root(), &r->host);
	int error = open_parts(r, &cause);
	if (error < 0) {
		tell_failure(&cause, error, failure);
		recording_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

struct recording *recording_free(struct recording *r)
{
	if (!r)
		return NULL;
	loop_remove(r->memory_timer);
	recording_budget_free(r->budget);
	if (r->collector)
		collector_stop(r->collector);
	history_end(&r->history);
	heap_places_free(&r->heap);
	aggregate_deinit(&r->aggregate);
	recording_free_jit(r);
	array_free(&r->unprepared);
	symbolizer_free(r->symbolizer);
	strategies_free(r->strategies);
	pod_names_free(r->pod_names);
	collector_free(r->collector);
	selection_free(&r->options.selection);
	selection_free(&r->options.heap_selection);
	free(r);
	return NULL;
}

/* ---- Start and end --------------------------------------------------------------------------- */

int recording_start(struct recording *r, struct recording_failure *failure)
{
	struct collect_failure cause = {{0}};
	r->start_ns = r->interval_ns = r->prepared_ns = monotonic_ns();
	r->paused_since_ns = r->options.detached ? r->start_ns : 0;
	for (size_t i = 0; i < r->options.selection.pids.count; i++)
		memory_watch_add(&r->memory, r->options.selection.pids.items[i],
				 r->options.pids_are_unborn);
	if (recording_looks_at_memory(r))
		memory_watch_update(&r->memory, "/proc");
	r->phases.load_ns = r->start_ns - r->new_ns;
	r->phases.load_cpu_ns = recording_own_cpu_ns(r);
	int error = collector_start(r->collector, &cause);
	r->running = error == 0;
	if (error == 0 && r->options.max_cpu > 0)
		error = recording_start_budget(r, r->new_cpu_ns);
	if (error == 0 && r->options.max_memory)
		error = recording_start_memory_budget(r);
	if (error < 0)
		tell_failure(&cause, error, failure);
	return error;
}

int recording_select_pid(struct recording *r, uint32_t pid)
{
	return collector_select_pid(r->collector, pid);
}

int recording_set_selection(struct recording *r, struct selection *selection,
			    struct recording_failure *failure)
{
	struct collect_failure cause = {{0}};
	struct selection old = r->options.selection;
	collector_drain(r->collector);
	r->options.selection = *selection;
	int error = collector_apply_selection(r->collector, &cause);
	if (error < 0) {
		r->options.selection = old;
		tell_failure(&cause, error, failure);
		return error;
	}
	selection_free(&old);
	*selection = (struct selection){0};
	return 0;
}

/* Tells the strategies what the kernel side left out for them. */
static void count_left_out(struct recording *r)
{
	struct left_out_counts now;
	if (!r->strategies)
		return;
	collector_read_left_out(r->collector, &now);
	for (int i = 0; i < LEFT_OUT_REASONS; i++)
		strategies_count_left_out(r->strategies, i,
					  now.by_reason[i].ticks - r->left_out_told.by_reason[i].ticks,
					  now.by_reason[i].ns - r->left_out_told.by_reason[i].ns);
	r->left_out_told = now;
}

void recording_set_strategies(struct recording *r, struct strategies *strategies)
{
	if (r->running)
		collector_drain(r->collector);
	collector_set_leaving_out(r->collector, strategies_leave_out(strategies));
	count_left_out(r);
	if (strategies)
		strategies_go_on(strategies, r->strategies);
	strategies_free(r->strategies);
	r->strategies = strategies;
}

struct strategies *recording_strategies(struct recording *r)
{
	count_left_out(r);
	return r->strategies;
}

int recording_stop(struct recording *r)
{
	if (!r->running)
		return 0;
	r->running = false;
	if (r->budget) {
		recording_budget_end(r->budget);
		recording_budget_report(r->budget, &r->last_budget);
	}
	r->budget = recording_budget_free(r->budget);
	r->memory_timer = loop_remove(r->memory_timer);
	recording_grant_reading(r, PARSER_UNLIMITED);
	if (recording_looks_at_memory(r))
		memory_watch_update(&r->memory, "/proc");
	collector_stop(r->collector);
	r->stop_ns = monotonic_ns();
	r->phases.capture_cpu_ns = recording_own_cpu_ns(r);
	return 0;
}
