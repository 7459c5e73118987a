/* SPDX-License-Identifier: Apache-2.0 */
/* Owns what a recording says of itself: counts of all its parts, and what it costs. */
#include "profile/recording_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/uprobe_trials.h"
#include "process/jit_map.h"

#include <string.h>
#include <unistd.h>

/* A reading serves for as long as there was something to read, within these. */
#define SHORTEST_MEMORY_LIFETIME_NS (5 * NS_PER_SECOND)
#define LONGEST_MEMORY_LIFETIME_NS (30 * NS_PER_SECOND)

uint64_t recording_own_cpu_ns(const struct recording *r)
{
	uint64_t opener = r->options.opener ? opener_cpu_ns(r->options.opener) : 0;
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID) + opener + collector_parser_cpu_ns(r->collector) +
	       uprobe_trials_children_cpu_ns();
}

uint64_t recording_lost_to_ring(const struct recording_statistics *s)
{
	return s->counters[COUNTER_LOST_RING_FULL] + s->counters[COUNTER_GROWTH_LOST];
}

uint64_t recording_lost_samples(const struct recording_statistics *s)
{
	return recording_lost_to_ring(s) + s->counters[COUNTER_LOST_SCRATCH] + s->dropped_samples;
}

/* After the end one reading serves all that is told. */
static bool memory_is_known(const struct recording *r, uint64_t now)
{
	if (!r->running && r->stop_ns)
		return r->memory_read_ns >= r->stop_ns;
	if (!r->memory_read_ns)
		return false;
	uint64_t lifetime = MAX_OF(r->memory_read_ns - r->new_ns, (uint64_t)SHORTEST_MEMORY_LIFETIME_NS);
	return now - r->memory_read_ns < MIN_OF(lifetime, (uint64_t)LONGEST_MEMORY_LIFETIME_NS);
}

static uint64_t read_memory(struct recording *r, uint32_t parser_pid)
{
	r->memory_read_ns = monotonic_ns();
	r->memory_bytes = process_memory((uint32_t)getpid());
	if (parser_pid)
		r->memory_bytes += process_memory(parser_pid);
	if (r->options.opener)
		r->memory_bytes += process_memory(opener_pid(r->options.opener));
	return r->memory_bytes;
}

uint64_t recording_read_memory(struct recording *r)
{
	struct collector_statistics c;
	collector_get_statistics(r->collector, &c);
	return read_memory(r, c.parser.child_pid) + c.map_bytes;
}

/* Memory of this process and its children, bytes. The kernel walks all their pages to tell: not at every
 * question. */
static uint64_t own_memory(struct recording *r, uint32_t parser_pid)
{
	return memory_is_known(r, monotonic_ns()) ? r->memory_bytes : read_memory(r, parser_pid);
}

static void add_symbolizer_statistics(const struct recording *r, struct recording_statistics *ret)
{
	struct symbolizer_statistics names;
	symbolizer_get_statistics(r->symbolizer, &names);
	ret->symbol_bytes = names.bytes;
	ret->names = names.answers;
	ret->losses.names_refused = names.refused;
	ret->losses.names_forgotten = names.forgotten;
}

void recording_get_budget(const struct recording *r, struct budget_report *ret)
{
	*ret = r->last_budget;
	if (r->budget)
		recording_budget_report(r->budget, ret);
}

/* Of processes that are, and of those that are no more. */
static void add_jit_losses(const struct recording *r, struct recording_losses *losses)
{
	losses->jit_lines_bad = r->forgotten.jit_lines_bad;
	losses->jit_entries_dropped = r->forgotten.jit_entries_dropped;
	losses->jit_bytes_unread = r->forgotten.jit_bytes_unread;
	losses->jit_readings_lost = r->forgotten.jit_readings_lost;
	losses->jit_maps_hanging = r->forgotten.jit_maps_hanging;
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		losses_add_jit(losses, ((struct process *)(uintptr_t)slot->key)->jit);
}

/* What the kernel side took and nobody wanted afterwards is no sample of the profile: ticks = samples + ... still. */
static void correct_counters(const struct recording *r, const struct collector_statistics *c,
			     struct recording_statistics *ret)
{
	const struct recording_left_out *left_out = r->left_out;
	/* Rejected after all: they belong to the unselected ticks. */
	ret->counters[COUNTER_SAMPLES] -= c->rejected;
	ret->counters[COUNTER_CAPTURED_NS] -= c->rejected_ns;
	ret->counters[COUNTER_UNSELECTED] += c->rejected;
	ret->counters[COUNTER_UNSELECTED_NS] += c->rejected_ns;
	ret->counters[COUNTER_GROWTH_SAMPLES] -= c->rejected_growth;
	ret->counters[COUNTER_GROWTH_BYTES] -= c->rejected_growth_bytes;
	/* Left out by strategies. */
	ret->counters[COUNTER_SAMPLES] -= left_out[PROFILE_KIND_CPU].samples;
	ret->counters[COUNTER_CAPTURED_NS] -= left_out[PROFILE_KIND_CPU].weight;
	ret->counters[COUNTER_NOT_TAKEN] = ret->not_taken;
	ret->counters[COUNTER_NOT_TAKEN_NS] = ret->not_taken_ns;
	ret->counters[COUNTER_GROWTH_SAMPLES] -= ret->growth_not_taken;
	ret->counters[COUNTER_GROWTH_BYTES] -= ret->growth_not_taken_bytes;
}

static void add_ends(const struct aggregate *aggregate, uint64_t ends[STACK_END_MAX])
{
	for (size_t i = 0; i < STACK_END_MAX; i++)
		for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
			ends[i] += aggregate->totals[kind].ends[i];
}

void recording_get_statistics(struct recording *r, struct recording_statistics *ret)
{
	struct collector_statistics c;
	const struct aggregate_totals *ticks = &r->aggregate.totals[PROFILE_KIND_CPU];
	const struct aggregate_totals *growth = &r->aggregate.totals[PROFILE_KIND_GROWTH];
	const struct recording_left_out *left_out = r->left_out;
	uint64_t now = r->running ? monotonic_ns() : r->stop_ns;
	collector_get_statistics(r->collector, &c);
	*ret = (struct recording_statistics){
		.samples = ticks->samples,
		.captured_ns = ticks->weight,
		.victims = r->victims,
		.victims_known = r->victims_known,
		.growth_samples = growth->samples,
		.growth_bytes = growth->weight,
		.heap_places = r->heap.told,
		.dropped_samples = ticks->dropped + growth->dropped + c.bad_records,
		.not_taken = left_out[PROFILE_KIND_CPU].samples + c.counters[COUNTER_NOT_TAKEN],
		.not_taken_ns = left_out[PROFILE_KIND_CPU].weight + c.counters[COUNTER_NOT_TAKEN_NS],
		.growth_not_taken = left_out[PROFILE_KIND_GROWTH].samples,
		.growth_not_taken_bytes = left_out[PROFILE_KIND_GROWTH].weight,
		.untimed_samples = r->aggregate.untimed,
		.sideband_lost = c.sideband.lost,
		.processes = r->sampled_processes,
		.frames = r->built.frames,
		.frames_unnamed = r->built.unnamed,
		.binaries = c.binaries.known,
		.binaries_failed = c.binaries.failed,
		.own_cpu_ns = recording_own_cpu_ns(r),
		.bpf_ns = c.bpf_ns,
		.memory_bytes = own_memory(r, c.parser.child_pid) + c.map_bytes,
		.map_bytes = c.map_bytes,
		.elapsed_ns = now - r->start_ns,
		.paused_ns = r->paused_ns + (r->paused_since_ns ? now - r->paused_since_ns : 0),
		.tracked_processes = c.processes.alive,
		.drained_ns = c.drained_ns,
		.phases = r->phases,
		.heap_windows = c.heap_windows,
		.safe_mode = c.safe_mode,
		.in_pid_namespace = c.in_pid_namespace,
		.frequency = r->rate,
	};
	recording_get_budget(r, &ret->budget);
	ret->memory_budget = r->memory_budget;
	losses_collect(&ret->losses, &c);
	ret->losses.samples_unlinked = r->aggregate.unlinked;
	add_jit_losses(r, &ret->losses);
	ret->watched_processes =
		memory_watch_sum(&r->memory, &ret->watched_first, &ret->watched_last);
	if (r->symbolizer)
		add_symbolizer_statistics(r, ret);
	add_ends(&r->aggregate, ret->ends);
	memcpy(ret->frames_of_type, r->built.of_type, sizeof(ret->frames_of_type));
	memcpy(ret->counters, c.counters, sizeof(ret->counters));
	correct_counters(r, &c, ret);
}

size_t recording_get_maps(const struct recording *r, struct map_usage *ret, size_t capacity)
{
	return collector_get_maps(r->collector, ret, capacity);
}

bool recording_has_names(const struct recording *r)
{
	return r->symbolizer != NULL;
}

const char *recording_find_kernel(struct recording *r, uint64_t address)
{
	struct symbol_frame frame;
	const char *module;
	bool found = r->symbolizer && (int64_t)address < 0 && /* the upper half is the kernel's */
		     symbolizer_find_kernel(r->symbolizer, address, monotonic_ns(), &frame, &module);
	return found ? frame.name : NULL;
}
