/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a recording asks of its parts, by its options. An option of 0 means a default; most parts have their own, and
 * those that several parts must agree on are set here once.
 */
#include "profile/recording_state.h"

#include "base/clock.h"

#define DEFAULT_FREQUENCY 99
#define HEAP_INTERVAL (512U << 10)
#define HEAP_BUDGET 0.01
#define NAMES_TIMEOUT_NS (30 * NS_PER_SECOND)

void recording_set_defaults(struct recording_options *options)
{
	if (!options->kinds)
		options->kinds = PROFILE_KIND_BIT(PROFILE_KIND_CPU);
	if (!options->frequency)
		options->frequency = DEFAULT_FREQUENCY;
	if (!options->names_timeout_ns)
		options->names_timeout_ns = NAMES_TIMEOUT_NS;
	if (!options->max_frames)
		options->max_frames = MAX_USER_FRAMES;
}

struct aggregate_limits recording_aggregate_limits(const struct recording_options *options)
{
	return (struct aggregate_limits){
		.frames = options->limits.frames,
		.entries = options->limits.entries,
		.times = options->times ? AGGREGATE_DEFAULT_TIMES : 0,
		.cpus = options->cpus,
		.links = options->links,
	};
}

struct collector_options recording_collector_options(const struct recording *r)
{
	const struct recording_options *o = &r->options;
	return (struct collector_options){
		.frequency = r->rate,
		.no_ticks = !(o->kinds & PROFILE_KIND_BIT(PROFILE_KIND_CPU)),
		.growth = o->kinds & PROFILE_KIND_BIT(PROFILE_KIND_GROWTH),
		.heap = o->kinds & PROFILE_KIND_BIT(PROFILE_KIND_HEAP),
		.heap_interval = o->heap_interval ? o->heap_interval : HEAP_INTERVAL,
		.heap_blocks = o->heap_objects,
		.heap_budget = o->heap_budget > 0 ? o->heap_budget : HEAP_BUDGET,
		.heap_processes = o->limits.heap_processes,
		.heap_age_ns = o->limits.heap_age_ns,
		.heap_selection = selection_is_whole_host(&o->heap_selection) ? NULL : &o->heap_selection,
		.contexts = o->trace_contexts,
		.max_frames = o->max_frames,
		.ring_bytes = o->ring_bytes,
		.ignore_kernel_bugs = o->ignore_kernel_bugs,
		.safe_mode = o->safe_mode,
		.detached = o->detached,
		.selection_may_change = o->selection_may_change,
		.leave_out = o->has_strategies,
		.environment = o->labels && o->environment,
		.cache_directory = o->cache_directory,
		.opener = o->opener,
		.cache_bytes = o->limits.cache_bytes,
		.binaries = o->limits.binaries,
		.table_bytes = o->limits.table_bytes,
	};
}
