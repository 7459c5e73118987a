/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns collector, aggregate and symbolizer. Once a second the stacks that came since are looked
 * through, so that the parser child finds their names while sampling goes on and a profile is quick to
 * take at the end.
 */
#include "profile/recording.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "collect/collector.h"
#include "process/host.h"
#include "process/jit_map.h"
#include "process/pod_names.h"
#include "profile/aggregate.h"
#include "profile/history.h"
#include "profile/memory_watch.h"
#include "profile/merge.h"
#include "profile/profile_builder.h"
#include "profile/recording_budget.h"
#include "profile/recording_comments.h"
#include "profile/symbolizer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEFAULT_FREQUENCY 99
#define PREPARE_INTERVAL_NS NS_PER_SECOND
#define JIT_BYTES_PER_UPDATE (4UL << 20)
#define JIT_BYTES_AT_END (64UL << 20) /* what a second's share left over is read then */
#define MEMORY_LIFETIME_NS (5 * NS_PER_SECOND)
#define NAMES_TIMEOUT_NS (30 * NS_PER_SECOND)
#define ROOM_PAUSE_NS (60 * NS_PER_SECOND) /* where all is in use: it is not fetched again and again */
#define LEAVING_NS NS_PER_SECOND	   /* far longer than a tick runs */

struct recording {
	struct loop *loop;
	struct recording_options options;
	struct collector *collector;
	struct aggregate aggregate;
	struct history history; /* for victims of a lack of memory */
	uint64_t victims, victims_known;
	struct memory_watch memory; /* of the processes that were named, where growth is looked at */
	struct symbolizer *symbolizer;
	struct loop_source *timer;
	struct hash jit_processes; /* address of a struct process -> 1; each holds a reference */
	struct recording_losses forgotten; /* those of processes that are no more in it */
	uint64_t sampled_processes;
	struct host_facts host;
	struct pod_names *pod_names;
	size_t prepared_stacks;
	ARRAY(uint32_t) unprepared; /* stacks with binaries that were not known yet */
	uint64_t start_ns, stop_ns; /* CLOCK_MONOTONIC */
	uint64_t interval_ns;	    /* start of the profile being collected */
	struct recording_statistics counted; /* at the end of the last profile */
	uint64_t paused_since_ns, paused_ns; /* 0: not paused; the pauses that ended */
	uint64_t memory_bytes, memory_read_ns;
	uint64_t room_made_ns, room_pause_ns; /* among binaries and names; 0: never */
	uint64_t new_ns; /* when recording_new() was called */
	struct recording_phases phases;
	struct profile_builder_statistics built;
	struct recording_budget *budget; /* NULL: none */
	uint32_t rate;	       /* Hz now; with a budget not always options.frequency */
	struct budget_report last_budget; /* when sampling stopped */
	bool rate_was_changed; /* within the profile being collected */
	bool without_lines;
	double weight;	       /* of a CPU sample, times its time */
	bool is_resting;       /* without ticks, as chance and the budget have it */
	bool running;
};

static uint64_t cpu_ns(int who)
{
	struct rusage usage;
	if (getrusage(who, &usage) < 0)
		return 0;
	return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * NS_PER_SECOND +
	       ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

static uint64_t own_cpu_ns(const struct recording *r)
{
	return cpu_ns(RUSAGE_SELF) + collector_parser_cpu_ns(r->collector);
}

static void add_sample(struct recording *r, const struct record_sample *sample, const uint64_t *frames,
		       struct process *process)
{
	if (r->weight == 1 || sample->event != EVENT_CPU) {
		aggregate_add(&r->aggregate, sample, frames, process);
		return;
	}
	struct record_sample weighed = *sample;
	weighed.weight = (uint64_t)((double)sample->weight * r->weight + 0.5);
	aggregate_add(&r->aggregate, &weighed, frames, process);
}

static void on_sample(void *userdata, const struct record_sample *sample, const uint64_t *frames,
		      struct process *process)
{
	struct recording *r = userdata;
	add_sample(r, sample, frames, process);
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
		r->phases.first_complete_cpu_ns = own_cpu_ns(r);
	}
	if (sample->flags & SAMPLE_HAS_ADDRESSES && !hash_get(&r->jit_processes, (uintptr_t)process) &&
	    jit_map_of(process) && hash_put(&r->jit_processes, (uintptr_t)process, 1) == 0)
		process_reference(process);
}

static void update_jit_maps(struct recording *r)
{
	struct hash_slot *slot;
	uint64_t now = monotonic_ns();
	size_t budget = r->running ? JIT_BYTES_PER_UPDATE : JIT_BYTES_AT_END;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		struct process *process = (struct process *)(uintptr_t)slot->key;
		jit_map_update(process->jit, process, "/proc", now, budget);
	}
}

static bool prepare_stack(struct recording *r, size_t index)
{
	return profile_prepare_stack(&r->aggregate, index, collector_binaries(r->collector),
				     r->symbolizer);
}

/* Looks through the stacks that are new, and again through those whose binaries were not known yet. */
static void prepare_names(struct recording *r)
{
	if (!r->symbolizer)
		return;
	update_jit_maps(r);
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

static bool looks_at(const struct recording *r, enum profile_kind kind)
{
	return r->options.kinds & PROFILE_KIND_BIT(kind);
}

static int on_prepare(struct loop_source *source, uint32_t events, void *userdata)
{
	struct recording *r = userdata;
	prepare_names(r);
	if (r->symbolizer && !r->without_lines)
		symbolizer_request_lines(r->symbolizer, false);
	history_turn(&r->history, monotonic_ns());
	if (looks_at(r, PROFILE_KIND_GROWTH))
		memory_watch_update(&r->memory, "/proc");
	return 0;
}

static void on_victim(void *userdata, const struct record_oom_victim *victim, const char *cgroup_path);

int recording_new(struct loop *loop, struct recording_options *options,
		  struct recording_failure *failure, struct recording **ret)
{
	struct collect_failure cause = {{0}};
	struct recording *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->new_ns = monotonic_ns();
	r->options = *options;
	r->weight = 1;
	options->selection = (struct selection){0};
	if (!r->options.kinds)
		r->options.kinds = PROFILE_KIND_BIT(PROFILE_KIND_CPU);
	if (!r->options.frequency)
		r->options.frequency = DEFAULT_FREQUENCY;
	r->rate = r->options.frequency;
	if (!r->options.names_timeout_ns)
		r->options.names_timeout_ns = NAMES_TIMEOUT_NS;
	if (!r->options.max_frames)
		r->options.max_frames = MAX_USER_FRAMES;
	struct aggregate_limits limits = {
		.frames = r->options.limits.frames,
		.entries = r->options.limits.entries,
		.times = r->options.times ? AGGREGATE_DEFAULT_TIMES : 0,
		.cpus = r->options.cpus,
	};
	aggregate_init(&r->aggregate, &limits);
	host_facts_read(r->options.root ? r->options.root : host_root(), &r->host);
	struct collector_options collector = {
		.frequency = r->options.frequency,
		.no_ticks = !(r->options.kinds & PROFILE_KIND_BIT(PROFILE_KIND_CPU)),
		.growth = r->options.kinds & PROFILE_KIND_BIT(PROFILE_KIND_GROWTH),
		.heap = r->options.kinds & PROFILE_KIND_BIT(PROFILE_KIND_HEAP),
		.max_frames = r->options.max_frames,
		.ring_bytes = r->options.ring_bytes,
		.ignore_kernel_bugs = r->options.ignore_kernel_bugs,
		.environment = r->options.labels && r->options.environment,
		.cache_directory = r->options.cache_directory,
		.opener = r->options.opener,
		.cache_bytes = r->options.limits.cache_bytes,
		.binaries = r->options.limits.binaries,
		.table_bytes = r->options.limits.table_bytes,
		.on_sample = on_sample,
		.on_oom = r->options.on_victim ? on_victim : NULL,
		.userdata = r,
	};
	int error = pod_names_new(r->options.root, &r->pod_names);
	if (error == 0 && r->options.on_victim)
		error = history_begin(&r->history, &r->aggregate,
				      r->options.kinds & ~PROFILE_KIND_BIT(PROFILE_KIND_HEAP),
				      r->new_ns);
	if (error == 0)
		error = collector_new(loop, &r->options.selection, &collector, &cause,
				      &r->collector);
	struct symbolizer_options names = {.inlines = r->options.inlines,
					   .max_bytes = r->options.limits.symbol_bytes};
	if (error == 0 && r->options.symbolize)
		error = symbolizer_new(collector_binary_store(r->collector), &names, &r->symbolizer);
	if (error < 0) {
		snprintf(failure->text, sizeof(failure->text), "%s",
			 cause.text[0] ? cause.text : strerror(-error));
		recording_free(r);
		return error;
	}
	*ret = r;
	return 0;
}

struct recording *recording_free(struct recording *r)
{
	struct hash_slot *slot;
	if (!r)
		return NULL;
	loop_remove(r->timer);
	recording_budget_free(r->budget);
	if (r->collector)
		collector_stop(r->collector);
	history_end(&r->history);
	aggregate_deinit(&r->aggregate);
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		process_unreference((struct process *)(uintptr_t)slot->key);
	hash_free(&r->jit_processes);
	array_free(&r->unprepared);
	symbolizer_free(r->symbolizer);
	pod_names_free(r->pod_names);
	collector_free(r->collector);
	selection_free(&r->options.selection);
	free(r);
	return NULL;
}

/* ---- Budget ---------------------------------------------------------------------------------- */

static void set_rate(struct recording *r, uint32_t frequency)
{
	if (r->options.on_rate_change)
		r->options.on_rate_change(r->options.rate_userdata);
	else
		r->rate_was_changed = true;
	int error = collector_set_frequency(r->collector, frequency);
	if (error < 0)
		log_warning("a CPU keeps its old rate: %s", strerror(-error));
	r->rate = frequency;
}

static void set_lines(struct recording *r, bool lines)
{
	r->without_lines = !lines;
}

static void set_reading(struct recording *r, bool reading)
{
	binary_store_set_held(collector_binary_store(r->collector), !reading);
}

/* What was sampled by now has the weight of its time: it is delivered first. */
static void set_sampling(struct recording *r, bool on, double weight)
{
	collector_drain(r->collector);
	r->weight = weight;
	r->is_resting = !on;
	int error = collector_set_paused(r->collector, !on);
	if (error < 0)
		log_warning("a CPU %s: %s", on ? "does not tick again" : "ticks on",
			    strerror(-error));
}

static bool is_paused(const struct recording *r)
{
	return r->paused_since_ns != 0;
}

static int start_budget(struct recording *r)
{
	static const struct recording_levers levers = {set_rate, set_lines, set_reading,
						      set_sampling, is_paused};
	struct budget_options options = {.share = r->options.max_cpu,
					 .highest_hz = r->options.frequency,
					 .seed = monotonic_ns()};
	return recording_budget_new(r->loop, r, &levers, &options, r->options.opener, &r->budget);
}

int recording_set_max_cpu(struct recording *r, double max_cpu)
{
	r->options.max_cpu = max_cpu;
	if (r->budget && max_cpu > 0) {
		recording_budget_change(r->budget, max_cpu, r->options.frequency);
		return 0;
	}
	if (max_cpu > 0)
		return start_budget(r);
	r->budget = recording_budget_free(r->budget);
	r->without_lines = false;
	set_reading(r, true);
	if (r->weight != 1 && !is_paused(r))
		set_sampling(r, true, 1);
	if (r->rate != r->options.frequency)
		set_rate(r, r->options.frequency);
	return 0;
}

/* ---- Start and end --------------------------------------------------------------------------- */

int recording_start(struct recording *r, struct recording_failure *failure)
{
	struct collect_failure cause = {{0}};
	r->start_ns = r->interval_ns = monotonic_ns();
	for (size_t i = 0; i < r->options.selection.pids.count; i++)
		memory_watch_add(&r->memory, r->options.selection.pids.items[i]);
	if (looks_at(r, PROFILE_KIND_GROWTH))
		memory_watch_update(&r->memory, "/proc");
	r->phases.load_ns = r->start_ns - r->new_ns;
	r->phases.load_cpu_ns = own_cpu_ns(r);
	int error = collector_start(r->collector, &cause);
	if (error == 0)
		error = loop_add_timer(r->loop, PREPARE_INTERVAL_NS, PREPARE_INTERVAL_NS, on_prepare,
				       r, &r->timer);
	r->running = error == 0;
	if (error == 0 && r->options.max_cpu > 0)
		error = start_budget(r);
	if (error < 0)
		snprintf(failure->text, sizeof(failure->text), "%s",
			 cause.text[0] ? cause.text : strerror(-error));
	return error;
}

int recording_select_pid(struct recording *r, uint32_t pid)
{
	return collector_select_pid(r->collector, pid);
}

int recording_set_frequency(struct recording *r, uint32_t frequency)
{
	if (r->budget) {
		r->options.frequency = frequency;
		recording_budget_change(r->budget, r->options.max_cpu, frequency);
		return 0;
	}
	int error = collector_set_frequency(r->collector, frequency);
	if (error == 0)
		r->options.frequency = r->rate = frequency;
	return error;
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
		snprintf(failure->text, sizeof(failure->text), "%s",
			 cause.text[0] ? cause.text : strerror(-error));
		return error;
	}
	selection_free(&old);
	*selection = (struct selection){0};
	return 0;
}

int recording_pause(struct recording *r)
{
	int error = collector_set_paused(r->collector, true);
	if (!r->paused_since_ns)
		r->paused_since_ns = monotonic_ns();
	return error;
}

int recording_resume(struct recording *r)
{
	uint64_t now = monotonic_ns();
	if (r->paused_since_ns)
		r->paused_ns += now - r->paused_since_ns;
	r->paused_since_ns = 0;
	r->interval_ns = now;
	return collector_set_paused(r->collector, r->is_resting);
}

int recording_stop(struct recording *r)
{
	if (!r->running)
		return 0;
	r->running = false;
	if (r->budget)
		recording_budget_report(r->budget, &r->last_budget);
	r->budget = recording_budget_free(r->budget);
	set_reading(r, true);
	if (looks_at(r, PROFILE_KIND_GROWTH))
		memory_watch_update(&r->memory, "/proc");
	collector_stop(r->collector);
	r->stop_ns = monotonic_ns();
	r->phases.capture_cpu_ns = own_cpu_ns(r);
	r->timer = loop_remove(r->timer);
	return 0;
}

/* ---- Profile --------------------------------------------------------------------------------- */

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

/* Delivers what was sampled by now, and says when that is. */
static uint64_t drain(struct recording *r)
{
	uint64_t now = monotonic_ns();
	if (!r->running)
		return r->stop_ns;
	collector_drain(r->collector);
	return now;
}

/* Of the samples since then: that of the clock, or where that changed or chance decided, the mean. */
static uint64_t period_since(struct recording *r, const struct recording_statistics *since)
{
	struct recording_statistics now;
	if (!r->rate_was_changed && r->weight == 1)
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

/* The profile of a window from `start_ns` to `end_ns`, with the names known by now; *since is what was
 * counted at its start. */
static int build_profile(struct recording *r, const struct aggregate_window *window,
			 uint64_t start_ns, uint64_t end_ns,
			 const struct recording_statistics *since, struct profile **ret)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct profile_builder_options options = {
		.symbolizer = r->symbolizer,
		.labels = r->options.labels,
		.pod_names = r->pod_names,
		.period_ns = period_since(r, since),
		.realtime_offset_ns = (int64_t)(realtime_ns() - monotonic_ns()),
	};
	struct heap_totals heap = {0};
	int error = window->kind == PROFILE_KIND_HEAP ? collector_read_heap(r->collector, &heap) : 0;
	options.heap = &heap;
	if (error == 0)
		error = profile_build(&r->aggregate, window, collector_binaries(r->collector),
				      &options, &r->built, &profile);
	array_free(&heap.list);
	if (error < 0)
		return error;
	profile->time_ns = (int64_t)start_ns + options.realtime_offset_ns;
	profile->duration_ns = (int64_t)(end_ns - start_ns);
	struct recording_statistics now;
	recording_get_statistics(r, &now);
	error = recording_add_comments(&now, since, window->kind, r->options.times, profile);
	if (error == 0 && window->kind == PROFILE_KIND_GROWTH)
		error = add_growth_comments(r, window, profile);
	if (error == 0 && r->options.labels)
		error = add_host(r, profile);
	if (error < 0)
		return error;
	*ret = take_pointer(profile);
	return 0;
}

static bool release_binary(void *userdata, struct binary *binary)
{
	const struct recording *r = userdata;
	return !r->symbolizer || symbolizer_forget(r->symbolizer, binary);
}

static bool names_are_crowded(const struct recording *r)
{
	return binaries_are_crowded(collector_binaries(r->collector)) ||
	       (r->symbolizer && symbolizer_is_crowded(r->symbolizer));
}

/* Among binaries and names, where the stacks that are kept do not need them. */
static void make_room(struct recording *r)
{
	struct binaries *binaries = collector_binaries(r->collector);
	r->room_made_ns = monotonic_ns();
	binaries_next_age(binaries);
	for (size_t i = 0; i < r->aggregate.frames.count; i++)
		if (r->aggregate.frames.items[i] >> 60 < FRAME_ADDRESS)
			binaries_mark_used(binaries, (uint32_t)(r->aggregate.frames.items[i] >>
								FRAME_OFFSET_BITS));
	if (binaries_are_crowded(binaries))
		binaries_make_room(binaries);
	if (r->symbolizer && symbolizer_is_crowded(r->symbolizer))
		symbolizer_make_room(r->symbolizer, binaries->age);
	r->room_pause_ns = names_are_crowded(r) ? ROOM_PAUSE_NS : LEAVING_NS;
}

/* What a recording without end must give up now and then. */
static void forget_old(struct recording *r)
{
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));) {
		struct process *process = (struct process *)(uintptr_t)slot->key;
		if (process->references > 1)
			continue;
		hash_remove(&r->jit_processes, (uintptr_t)process, NULL);
		losses_add_jit(&r->forgotten, process->jit);
		process_unreference(process);
		i = 0; /* the slots have moved */
	}
	uint64_t now = monotonic_ns();
	if (r->running)
		binaries_retry_interrupted(collector_binaries(r->collector));
	if (now - r->room_made_ns >= LEAVING_NS)
		binaries_remove_leaving(collector_binaries(r->collector), release_binary, r);
	bool room_is_due = now - r->room_made_ns >= r->room_pause_ns && names_are_crowded(r);
	if (!r->running || (!aggregate_is_crowded(&r->aggregate) && !room_is_due))
		return;
	collector_forget_stacks(r->collector);
	if (aggregate_forget_old(&r->aggregate) < 0)
		return; /* out of memory: tried again next time */
	r->prepared_stacks = 0;
	r->unprepared.count = 0;
	if (room_is_due)
		make_room(r);
}

/* What can still be known of the names at the end. */
static void wait_for_names(struct recording *r)
{
	struct binary_store *store = collector_binary_store(r->collector);
	/* Facts of the last binaries first, then what their stacks ask for. */
	uint64_t timeout = r->options.names_timeout_ns, until = monotonic_ns() + timeout, now;
	binary_store_drain(store, timeout);
	prepare_names(r);
	symbolizer_request_lines(r->symbolizer, true);
	now = monotonic_ns();
	binary_store_drain(store, now < until ? until - now : 0);
}

int recording_take_profiles(struct recording *r, struct profile *ret[PROFILE_KIND_COUNT])
{
	struct profile *profiles[PROFILE_KIND_COUNT] = {0};
	uint64_t end = drain(r);
	int error = 0;
	prepare_names(r);
	if (!r->running && r->symbolizer)
		wait_for_names(r);
	r->built = (struct profile_builder_statistics){0};
	for (int kind = 0; kind < PROFILE_KIND_COUNT && error == 0; kind++)
		if (r->options.kinds & PROFILE_KIND_BIT(kind))
			error = build_profile(r, &r->aggregate.current[kind], r->interval_ns, end,
					      &r->counted, &profiles[kind]);
	if (error < 0) {
		for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
			profile_free(profiles[kind]);
		return error;
	}
	recording_get_statistics(r, &r->counted);
	memcpy(ret, profiles, sizeof(profiles));
	r->interval_ns = end;
	r->rate_was_changed = false;
	aggregate_next(&r->aggregate);
	forget_old(r);
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

/* ---- Victims of a lack of memory --------------------------------------------------------------- */

static int build_of_process(struct recording *r, const struct aggregate_window *window,
			    const struct process *process, struct profile **ret)
{
	struct profile_builder_options options = {
		.symbolizer = r->symbolizer,
		.labels = r->options.labels,
		.pod_names = r->pod_names,
		.period_ns = NS_PER_SECOND / r->options.frequency,
		.only = process,
		.realtime_offset_ns = (int64_t)(realtime_ns() - monotonic_ns()),
	};
	struct profile_builder_statistics built = {0};
	return profile_build(&r->aggregate, window, collector_binaries(r->collector), &options, &built,
			     ret);
}

/* What history has of a process in one kind; *ret stays NULL when that is nothing. */
static int build_history(struct recording *r, const struct history_kind *kind,
			 const struct process *process, uint64_t end_ns, struct profile **ret)
{
	_cleanup_profile_ struct profile *older = NULL, *newer = NULL;
	const struct profile *both[2];
	size_t count = 0;
	int error = 0;
	if (kind->older)
		error = build_of_process(r, kind->older, process, &older);
	if (error == 0 && kind->newer)
		error = build_of_process(r, kind->newer, process, &newer);
	if (error == 0 && older && older->samples.count)
		both[count++] = older;
	if (error == 0 && newer && newer->samples.count)
		both[count++] = newer;
	if (error < 0 || count == 0)
		return error;
	if (count == 2)
		error = profile_merge(both, count, ret);
	else
		*ret = both[0] == older ? take_pointer(older) : take_pointer(newer);
	if (error < 0)
		return error;
	(*ret)->time_ns = (int64_t)(kind->begin_ns + realtime_ns() - monotonic_ns());
	(*ret)->duration_ns = (int64_t)(end_ns - kind->begin_ns);
	return 0;
}

static int add_victim_comments(const struct recording_victim *victim, struct profile *profile)
{
	struct text line = {0};
	text_add(&line, "oom_victim=%u %s", victim->pid, victim->name);
	if (victim->cgroup_path)
		text_add(&line, "\noom_cgroup=%s", victim->cgroup_path);
	if (victim->anonymous_bytes)
		text_add(&line, "\nrss_anonymous_bytes=%llu\nrss_file_bytes=%llu\nrss_shared_bytes=%llu"
				"\nswapped_bytes=%llu",
			 (unsigned long long)victim->anonymous_bytes,
			 (unsigned long long)victim->file_bytes,
			 (unsigned long long)victim->shared_bytes,
			 (unsigned long long)victim->swapped_bytes);
	bool failed = line.failed || !line.bytes;
	for (char *at = line.bytes; at && !failed;) {
		char *end = strchr(at, '\n');
		if (end)
			*end = '\0';
		if (array_add(&profile->comments, profile_string(profile, at, &failed)) < 0)
			failed = true;
		at = end ? end + 1 : NULL;
	}
	text_free(&line);
	return failed ? -ENOMEM : 0;
}

static void on_victim(void *userdata, const struct record_oom_victim *record, const char *cgroup_path)
{
	struct recording *r = userdata;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct process *process = history_find_process(&r->history, record->pid, record->process_start);
	struct recording_victim victim = {
		.pid = process ? process->pid : record->pid,
		.name = process ? process->executable_name : record->comm,
		.cgroup_path = process && process->cgroup_path ? process->cgroup_path : cgroup_path,
		.file_bytes = record->file_pages * page,
		.anonymous_bytes = record->anonymous_pages * page,
		.shared_bytes = record->shared_pages * page,
		.swapped_bytes = record->swapped_pages * page,
	};
	int error = 0;
	r->victims++;
	r->victims_known += process != NULL;
	prepare_names(r);
	for (int kind = 0; process && kind < PROFILE_KIND_COUNT && error == 0; kind++) {
		error = build_history(r, &r->history.kinds[kind], process, record->header.time,
				      &victim.profiles[kind]);
		if (error == 0 && victim.profiles[kind])
			error = add_victim_comments(&victim, victim.profiles[kind]);
	}
	if (error < 0)
		log_error("what is known of process %u, killed for lack of memory, is lost: %s",
			  victim.pid, strerror(-error));
	else
		r->options.on_victim(r->options.victim_userdata, &victim);
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
		profile_free(victim.profiles[kind]);
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
		uint64_t end = drain(r);
		prepare_names(r);
		/* What is told of frames is of the intervals. */
		struct profile_builder_statistics built = r->built;
		error = build_profile(r, &window->window, window->start_ns, end, &window->counted, ret);
		r->built = built;
	}
	aggregate_close(&r->aggregate, &window->window);
	free(window);
	return error;
}

/* ---- Statistics ------------------------------------------------------------------------------ */

/* Memory of this process and its children, bytes. The kernel walks all their pages to tell: not at every
 * question. */
static uint64_t own_memory(struct recording *r, uint32_t parser_pid)
{
	uint64_t now = monotonic_ns();
	if (r->running && r->memory_read_ns && now - r->memory_read_ns < MEMORY_LIFETIME_NS)
		return r->memory_bytes;
	r->memory_read_ns = now;
	r->memory_bytes = process_memory((uint32_t)getpid());
	if (parser_pid)
		r->memory_bytes += process_memory(parser_pid);
	if (r->options.opener)
		r->memory_bytes += process_memory(opener_pid(r->options.opener));
	return r->memory_bytes;
}

static void add_symbolizer_statistics(const struct recording *r, struct recording_statistics *ret)
{
	struct symbolizer_statistics names;
	symbolizer_get_statistics(r->symbolizer, &names);
	ret->symbol_bytes = names.bytes;
	ret->losses.names_refused = names.refused;
	ret->losses.names_forgotten = names.forgotten;
}

void recording_get_statistics(struct recording *r, struct recording_statistics *ret)
{
	struct collector_statistics c;
	const struct aggregate_totals *ticks = &r->aggregate.totals[PROFILE_KIND_CPU];
	const struct aggregate_totals *growth = &r->aggregate.totals[PROFILE_KIND_GROWTH];
	uint64_t now = r->running ? monotonic_ns() : r->stop_ns;
	collector_get_statistics(r->collector, &c);
	*ret = (struct recording_statistics){
		.samples = ticks->samples,
		.captured_ns = ticks->weight,
		.victims = r->victims,
		.victims_known = r->victims_known,
		.growth_samples = growth->samples,
		.growth_bytes = growth->weight,
		.dropped_samples = ticks->dropped + growth->dropped + c.bad_records,
		.untimed_samples = r->aggregate.untimed,
		.sideband_lost = c.sideband.lost,
		.processes = r->sampled_processes,
		.frames = r->built.frames,
		.frames_unnamed = r->built.unnamed,
		.binaries = c.binaries.known,
		.binaries_failed = c.binaries.failed,
		.own_cpu_ns = own_cpu_ns(r),
		.bpf_ns = c.bpf_ns,
		.memory_bytes = own_memory(r, c.parser.child_pid) + c.map_bytes,
		.map_bytes = c.map_bytes,
		.elapsed_ns = now - r->start_ns,
		.paused_ns = r->paused_ns + (r->paused_since_ns ? now - r->paused_since_ns : 0),
		.tracked_processes = c.processes.alive,
		.drained_ns = c.drained_ns,
		.phases = r->phases,
	};
	ret->budget = r->last_budget;
	if (r->budget)
		recording_budget_report(r->budget, &ret->budget);
	losses_collect(&ret->losses, &c);
	ret->watched_processes =
		memory_watch_sum(&r->memory, &ret->watched_first, &ret->watched_last);
	ret->losses.jit_lines_bad = r->forgotten.jit_lines_bad;
	ret->losses.jit_entries_dropped = r->forgotten.jit_entries_dropped;
	ret->losses.jit_bytes_unread = r->forgotten.jit_bytes_unread;
	if (r->symbolizer)
		add_symbolizer_statistics(r, ret);
	struct hash_slot *slot;
	for (size_t i = 0; (slot = hash_next(&r->jit_processes, &i));)
		losses_add_jit(&ret->losses, ((struct process *)(uintptr_t)slot->key)->jit);
	memcpy(ret->counters, c.counters, sizeof(ret->counters));
	for (size_t i = 0; i < STACK_END_MAX; i++)
		for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++)
			ret->ends[i] += r->aggregate.totals[kind].ends[i];
	memcpy(ret->frames_of_type, r->built.of_type, sizeof(ret->frames_of_type));
	/* Rejected after all: they belong to the unselected ticks. */
	ret->counters[COUNTER_SAMPLES] -= c.rejected;
	ret->counters[COUNTER_CAPTURED_NS] -= c.rejected_ns;
	ret->counters[COUNTER_UNSELECTED] += c.rejected;
	ret->counters[COUNTER_UNSELECTED_NS] += c.rejected_ns;
	ret->counters[COUNTER_GROWTH_SAMPLES] -= c.rejected_growth;
	ret->counters[COUNTER_GROWTH_BYTES] -= c.rejected_growth_bytes;
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
		     symbolizer_find_kernel(r->symbolizer, address, &frame, &module);
	return found ? frame.name : NULL;
}
