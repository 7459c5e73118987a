/* SPDX-License-Identifier: Apache-2.0 */
/* Owns how a stretch of time becomes a profile: the intervals one after the other, and windows beside them. */
#include "profile/recording_state.h"

#include "base/clock.h"
#include "profile/heap_estimate.h"
#include "profile/recording_comments.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct host_addition {
	struct profile *profile;
	bool failed;
};

static void add_host_attribute(void *userdata, const char *key, const char *text)
{
	struct host_addition *a = userdata;
	struct profile_label attribute = {.key = profile_string(a->profile, key, &a->failed),
					  .text = profile_string(a->profile, text, &a->failed)};
	if (array_add(&a->profile->host_attributes, attribute) < 0)
		a->failed = true;
}

static int add_host(struct recording *r, struct profile *profile)
{
	struct host_addition addition = {.profile = profile};
	host_facts_visit(&r->host, add_host_attribute, &addition);
	return addition.failed ? -ENOMEM : 0;
}

uint64_t recording_drain(struct recording *r)
{
	uint64_t now = monotonic_ns();
	if (!r->running)
		return r->stop_ns;
	collector_drain(r->collector);
	return now;
}

/* Of the samples since then: that of the clock, or with a budget or strategies, which may have changed what a
 * sample stands for, the mean. */
static uint64_t period_since(struct recording *r, const struct recording_statistics *since)
{
	struct recording_statistics now;
	if (r->options.max_cpu == 0 && !r->strategies)
		return NS_PER_SECOND / r->rate;
	recording_get_statistics(r, &now);
	uint64_t samples = now.samples - since->samples;
	return samples ? (now.captured_ns - since->captured_ns) / samples : NS_PER_SECOND / r->rate;
}

/* How exact the sum is, were each sample drawn by itself, and what it can be held against. */
static int add_growth_comments(struct recording *r, const struct aggregate_window *window,
			       struct profile *profile)
{
	bool failed = false;
	char text[64];
	snprintf(text, sizeof(text), "growth_error_95_bytes=%.0f", 1.96 * sqrt(window->growth_squares));
	if (array_add(&profile->comments, profile_string(profile, "growth_method=sampled", &failed)) < 0 ||
	    array_add(&profile->comments, profile_string(profile, text, &failed)) < 0 || failed)
		return -ENOMEM;
	return memory_watch_add_comments(&r->memory, memory_watch_pss(&r->memory), profile);
}

/* What each place allocated since the last profile, made to agree with what was counted since. */
static int read_heap(struct recording *r, const struct recording_statistics *since, struct heap_totals *ret)
{
	struct recording_statistics now;
	int error = collector_read_heap(r->collector, ret);
	if (error < 0)
		return error;
	heap_places_subtract(&r->heap, ret);
	if (heap_is_exact(ret) || heap_was_windowed(ret))
		return 0;
	recording_get_statistics(r, &now);
	heap_calibrate(ret,
		       (double)(now.counters[COUNTER_HEAP_ALLOCATIONS] - since->counters[COUNTER_HEAP_ALLOCATIONS]),
		       (double)(now.counters[COUNTER_HEAP_BYTES] - since->counters[COUNTER_HEAP_BYTES]));
	return 0;
}

static int add_heap_comments(struct recording *r, const struct heap_totals *totals, const struct heap_told *told,
			     const struct recording_statistics *now, const struct recording_statistics *since,
			     struct profile *profile)
{
	struct heap_windows_statistics windows = now->heap_windows;
	heap_windows_statistics_subtract(&windows, &since->heap_windows);
	int error = heap_add_comments(totals, told, &windows, profile);
	return error < 0 ? error
			 : memory_watch_add_comments(&r->memory, memory_watch_pss(&r->memory), profile);
}

/* A profile's heap: what is told of it, and what that was made of. */
struct heap_reading {
	struct heap_totals totals;
	struct heap_told told;
};

static void heap_reading_free(struct heap_reading *heap)
{
	array_free(&heap->totals.list);
	free(heap->told.values);
}

/* `strategies`: what processes stand for; NULL: for themselves. */
static int take_heap(struct recording *r, const struct recording_statistics *since, struct strategies *strategies,
		     bool in_all, struct heap_reading *ret)
{
	const struct aggregate_window *window = &r->aggregate.current[PROFILE_KIND_HEAP];
	int error = read_heap(r, since, &ret->totals);
	if (error == 0)
		error = heap_places_tell(&r->heap, &r->aggregate, window, &ret->totals, strategies, in_all,
					 &ret->told);
	ret->told.has_estimates = r->options.heap_estimates || heap_was_windowed(&ret->totals);
	return error;
}

/* The profile of a window from `start_ns` to `end_ns`, with the names known by now; *now is what was counted at its
 * end, *since at its start; `heap` of one of the heap; `only_pid` 0: of all processes. */
static int build_profile(struct recording *r, const struct aggregate_window *window,
			 uint64_t start_ns, uint64_t end_ns, const struct recording_statistics *now,
			 const struct recording_statistics *since, const struct heap_reading *heap,
			 uint32_t only_pid, struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct profile_builder_options options = {
		.symbolizer = r->symbolizer,
		.labels = r->options.labels,
		.link_labels = r->options.link_labels,
		.pod_names = r->pod_names,
		.period_ns = period_since(r, since),
		.realtime_offset_ns = (int64_t)(realtime_ns() - monotonic_ns()),
		.heap = heap ? &heap->told : NULL,
		.only_pid = only_pid,
	};
	int error = profile_build(&r->aggregate, window, collector_binaries(r->collector), &options, &r->built,
				  &profile);
	if (error == 0 && window->kind == PROFILE_KIND_HEAP)
		error = add_heap_comments(r, &heap->totals, &heap->told, now, since, profile);
	if (error < 0)
		return error;
	profile->time_ns = (int64_t)start_ns + options.realtime_offset_ns;
	profile->duration_ns = (int64_t)(end_ns - start_ns);
	error = recording_add_comments(now, since, window->kind, r->options.times, profile);
	if (error == 0)
		error = recording_add_strategies(r->strategies, window->kind, profile);
	if (error == 0 && window->kind == PROFILE_KIND_GROWTH)
		error = add_growth_comments(r, window, profile);
	if (error == 0 && r->options.labels)
		error = add_host(r, profile);
	if (error < 0)
		return error;
	*ret = take_pointer(profile);
	return 0;
}

static void wait_for_names(struct recording *r)
{
	struct binary_store *store = collector_binary_store(r->collector);
	/* Facts of the last binaries first, then what their stacks ask for. */
	uint64_t timeout = r->options.names_timeout_ns, until = monotonic_ns() + timeout, now;
	binary_store_drain(store, timeout);
	recording_prepare_names(r);
	recording_wait_for_code(r);
	symbolizer_request_lines(r->symbolizer, true);
	do {
		now = monotonic_ns();
		binary_store_drain(store, now < until ? until - now : 0);
	} while (symbolizer_replace_damaged(r->symbolizer) && now < until);
}

/* The profiles of all kinds that are looked at. */
static int build_profiles(struct recording *r, uint64_t end, const struct recording_statistics *now,
			  const struct heap_reading *heap,
			  struct profile *ret[PROFILE_KIND_COUNT])
{
	int error = 0;
	r->built = (struct profile_builder_statistics){0};
	for (int kind = 0; kind < PROFILE_KIND_COUNT && error == 0; kind++)
		if (recording_looks_at(r, (enum profile_kind)kind))
			error = build_profile(r, &r->aggregate.current[kind], r->interval_ns, end, now, &r->counted, heap, 0,
					      &ret[kind]);
	return error;
}

/* The next ones begin where these end: what the kernel side has counted since *now is theirs. */
static int begin_next(struct recording *r, uint64_t end, const struct recording_statistics *now,
		      const struct heap_reading *heap)
{
	if (recording_looks_at(r, PROFILE_KIND_HEAP)) {
		int error = heap_places_next(&r->heap, &r->aggregate, &r->aggregate.current[PROFILE_KIND_HEAP],
					     &heap->totals, &heap->told);
		if (error < 0)
			return error;
		collector_note_heap_told(r->collector);
	}
	r->counted = *now;
	r->counted.heap_places = r->heap.told;
	r->interval_ns = end;
	recording_budget_begin_interval(r->budget);
	aggregate_next(&r->aggregate);
	recording_forget_old(r);
	if (r->strategies)
		strategies_forget_processes(r->strategies);
	return 0;
}

int recording_take_profiles(struct recording *r, struct profile *ret[PROFILE_KIND_COUNT])
{
	struct profile *profiles[PROFILE_KIND_COUNT] = {0};
	_cleanup_(heap_reading_free) struct heap_reading heap = {0};
	uint64_t end = recording_drain(r);
	if (r->symbolizer)
		symbolizer_replace_damaged(r->symbolizer);
	recording_prepare_names(r);
	recording_wait_for_code(r);
	if (!r->running && r->symbolizer)
		wait_for_names(r);
	int error = recording_looks_at(r, PROFILE_KIND_HEAP) ? take_heap(r, &r->counted, r->strategies, false, &heap)
							 : 0;
	struct recording_statistics now;
	recording_get_statistics(r, &now);
	if (error == 0)
		error = build_profiles(r, end, &now, &heap, profiles);
	if (error == 0)
		error = begin_next(r, end, &now, &heap);
	if (error < 0) {
		for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
			profile_free(profiles[kind]);
		return error;
	}
	memcpy(ret, profiles, sizeof(profiles));
	return 0;
}

int recording_take_profile(struct recording *r, struct profile **ret)
{
	struct profile *profiles[PROFILE_KIND_COUNT];
	int error = recording_take_profiles(r, profiles);
	if (error == 0)
		*ret = profiles[PROFILE_KIND_CPU];
	return error;
}

int recording_build_heap(struct recording *r, uint32_t pid, uint64_t end, struct profile **ret)
{
	static const struct recording_statistics none;
	_cleanup_(heap_reading_free) struct heap_reading heap = {0};
	struct profile_builder_statistics built = r->built; /* of the intervals */
	int error = take_heap(r, &r->counted, pid ? NULL : r->strategies, true, &heap);
	struct recording_statistics now;
	recording_get_statistics(r, &now);
	if (error == 0)
		error = build_profile(r, &r->aggregate.current[PROFILE_KIND_HEAP], r->start_ns, end, &now, &none, &heap, pid,
				      ret);
	r->built = built;
	return error;
}

int recording_read_heap(struct recording *r, uint32_t pid, struct profile **ret)
{
	if (!recording_looks_at(r, PROFILE_KIND_HEAP))
		return -ENODATA;
	uint64_t end = recording_drain(r);
	recording_prepare_names(r);
	recording_wait_for_code(r);
	return recording_build_heap(r, pid, end, ret);
}

/* ---- Windows --------------------------------------------------------------------------------- */

struct recording_window {
	struct aggregate_window window;
	uint64_t start_ns; /* CLOCK_MONOTONIC */
	struct recording_statistics counted; /* at its start */
};

int recording_open_window(struct recording *r, enum profile_kind kind, uint32_t pid,
			  struct recording_window **ret)
{
	struct recording_window *window = calloc(1, sizeof(*window));
	if (!window)
		return -ENOMEM;
	collector_drain(r->collector);
	window->window = (struct aggregate_window){.kind = kind, .pid = pid, .no_times = true};
	window->start_ns = monotonic_ns();
	recording_get_statistics(r, &window->counted);
	aggregate_open(&r->aggregate, &window->window);
	*ret = window;
	return 0;
}

int recording_close_window(struct recording *r, struct recording_window *window,
			   struct profile **ret)
{
	int error = 0;
	if (ret) {
		uint64_t end = recording_drain(r);
		recording_prepare_names(r);
		recording_wait_for_code(r);
		/* What is told of frames is of the intervals. */
		struct profile_builder_statistics built = r->built;
		struct recording_statistics now;
		recording_get_statistics(r, &now);
		error = build_profile(r, &window->window, window->start_ns, end, &now, &window->counted, NULL, 0, ret);
		r->built = built;
	}
	aggregate_close(&r->aggregate, &window->window);
	free(window);
	return error;
}
