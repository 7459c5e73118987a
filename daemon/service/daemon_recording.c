/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns how the daemon's recording begins by a configuration, and how another takes its place. The other is loaded while
 * the old one still samples: that is where a new configuration fails, and then nothing has happened. Only then the old
 * one lets go of the kernel and the new one takes hold, in this order, so that no tick is taken twice. Where the new
 * one cannot, the old one goes back.
 */
#include "service/daemon_state.h"

#include "base/clock.h"
#include "base/log.h"
#include "service/exporters_encode.h"
#include "service/oom_files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of the five seconds that are promised for an end; a margin and the sending (daemon.c) follow. */
#define NAMES_TIMEOUT_NS (1 * NS_PER_SECOND)

#define RENEWAL_PAUSE_NS (60 * NS_PER_SECOND) /* after one that failed */

/* ---- Configuration to recording --------------------------------------------------------------------- */

static int copy_texts(const struct setting_texts *texts, char ***items, size_t *count,
		      size_t *capacity)
{
	struct setting_texts copy = {0};
	int r = 0;
	for (size_t i = 0; i < texts->count && r == 0; i++) {
		char *text = strdup(texts->items[i]);
		r = text ? array_add(&copy, text) : -ENOMEM;
		if (r < 0)
			free(text);
	}
	*items = copy.items;
	*count = copy.count;
	*capacity = copy.capacity;
	return r;
}

#define COPY_TEXTS(from, to) copy_texts(&(from), &(to).items, &(to).count, &(to).capacity)

int daemon_selection(const struct configuration *c, struct selection *ret)
{
	*ret = (struct selection){
		.cgroups_may_come = true,
		.kernel_only = c->sampling.mode == TICK_KERNEL,
		.user_only = c->sampling.mode == TICK_USER,
	};
	if (COPY_TEXTS(c->selection.comms, ret->comm_patterns) == 0 &&
	    COPY_TEXTS(c->selection.executables, ret->exe_patterns) == 0 &&
	    COPY_TEXTS(c->selection.cgroups, ret->cgroup_paths) == 0)
		return 0;
	selection_free(ret);
	return -ENOMEM;
}

static bool has_otlp(const struct configuration *c)
{
	for (size_t i = 0; i < c->exporters.count; i++)
		if (payload_kind_of(c->exporters.items[i].type) == PAYLOAD_OTLP)
			return true;
	return false;
}

/* Samples of different spans stand apart, equal stacks or not: for nothing, where no output says which span. */
bool daemon_wants_links(const struct configuration *c)
{
	return c->sampling.trace_contexts && (c->sampling.trace_labels || has_otlp(c));
}

/* The selections are the caller's to free. Returns 0 or -ENOMEM. */
static int recording_options(const struct configuration *c, struct recording_options *ret)
{
	*ret = (struct recording_options){
		.kinds = PROFILE_KIND_BIT(PROFILE_KIND_CPU) |
			 (c->memory.growth ? PROFILE_KIND_BIT(PROFILE_KIND_GROWTH) : 0) |
			 (c->memory.heap.enabled ? PROFILE_KIND_BIT(PROFILE_KIND_HEAP) : 0),
		.heap_interval = c->memory.heap.interval_bytes,
		.heap_budget = (double)c->memory.heap.budget_ppm / 1e6,
		.heap_estimates = c->memory.heap.budget_ppm < 1000000,
		.heap_objects = (uint32_t)c->memory.heap.objects,
		.frequency = (uint32_t)c->sampling.frequency,
		.max_frames = (uint32_t)c->sampling.max_frames,
		.ring_bytes = (uint32_t)c->sampling.ring_bytes,
		.symbolize = c->sampling.symbolize,
		.inlines = c->sampling.inlines,
		.labels = c->sampling.labels,
		.environment = c->resource_environment,
		.times = true,
		.trace_contexts = c->sampling.trace_contexts,
		.links = daemon_wants_links(c),
		.link_labels = c->sampling.trace_labels,
		.ignore_kernel_bugs = c->sampling.ignore_kernel_bugs,
		.safe_mode = c->sampling.safe_mode,
		.max_cpu = (double)c->budget.cpu_ppm / 1e6,
		.max_memory = c->budget.memory_bytes,
		.cache_directory = c->cache.enabled ? c->cache.directory : "",
		.names_timeout_ns = NAMES_TIMEOUT_NS,
		.limits = {.binaries = (uint32_t)c->limits.binaries,
			   .table_bytes = c->limits.table_bytes,
			   .symbol_bytes = c->limits.symbol_bytes,
			   .frames = c->limits.frames,
			   .entries = c->limits.entries,
			   .cache_bytes = c->cache.max_bytes,
			   .heap_processes = (uint32_t)c->memory.heap.processes,
			   .heap_age_ns = c->memory.heap.age_ns,
			   .idle_ns = c->limits.idle_ns},
	};
	int r = COPY_TEXTS(c->memory.heap.executables, ret->heap_selection.exe_patterns);
	if (r == 0)
		r = COPY_TEXTS(c->memory.heap.cgroups, ret->heap_selection.cgroup_paths);
	return r < 0 ? r : daemon_selection(c, &ret->selection);
}

/* ---- Beginning --------------------------------------------------------------------------------------- */

static void on_victim(void *userdata, const struct recording_victim *victim)
{
	oom_files_add(((struct daemon *)userdata)->oom_files, victim);
}

/* A profile is of one rate. */
static void on_rate_change(void *userdata)
{
	daemon_flush(userdata);
}

static int new_recording(struct daemon *daemon, const struct configuration *configuration, bool detached,
			 struct recording_failure *failure, struct recording **ret)
{
	struct recording_options options = {0};
	int r = recording_options(configuration, &options);
	if (r == 0) {
		options.opener = daemon->opener;
		options.detached = detached;
		options.selection_may_change = options.has_strategies = true;
		options.on_rate_change = on_rate_change;
		options.rate_userdata = daemon;
	}
	if (r == 0 && daemon->oom_files) {
		options.on_victim = on_victim;
		options.victim_userdata = daemon;
	}
	if (r == 0)
		r = recording_new(daemon->loop, &options, failure, ret);
	selection_free(&options.selection);
	selection_free(&options.heap_selection);
	return r;
}

static int try_recording(struct daemon *daemon, const struct configuration *configuration, bool detached,
			 struct recording_failure *failure, struct recording **ret)
{
	struct strategies *strategies = NULL;
	*failure = (struct recording_failure){0};
	int r = new_recording(daemon, configuration, detached, failure, ret);
	if (r == 0)
		r = daemon_strategies(configuration, &strategies);
	if (r == 0) {
		recording_set_strategies(*ret, strategies);
		r = recording_start(*ret, failure);
	}
	if (r < 0) {
		*ret = recording_free(*ret);
		if (!failure->text[0])
			snprintf(failure->text, sizeof(failure->text), "%s", strerror(-r));
	}
	return r;
}

/* Where the kernel does not let allocators be probed, all else is worth having: then the configuration says so. */
static int try_without_heap(struct daemon *daemon, struct configuration *configuration, bool detached,
			    struct recording_failure *failure, struct recording **ret)
{
	log_warning("memory.heap is off: %s", failure->text);
	configuration->memory.heap.enabled = false;
	int r = try_recording(daemon, configuration, detached, failure, ret);
	daemon->heap_is_refused = r == 0;
	return r;
}

int daemon_begin_recording(struct daemon *daemon)
{
	struct configuration *configuration = &daemon->configuration;
	struct recording_failure failure;
	int r = try_recording(daemon, configuration, daemon->is_paused, &failure, &daemon->recording);
	if (r < 0 && configuration->memory.heap.enabled)
		r = try_without_heap(daemon, configuration, daemon->is_paused, &failure, &daemon->recording);
	if (r < 0)
		log_error("%s", failure.text);
	return r;
}

/* ---- Another in its place ------------------------------------------------------------------------------ */

int daemon_load_recording(struct daemon *daemon, struct configuration *new, struct recording **ret)
{
	struct recording_failure failure;
	*ret = NULL;
	/* Swapped, and swapped back: until all has succeeded the old configuration is whole. */
	configuration_keep_fixed(&daemon->configuration, new);
	int r = try_recording(daemon, new, true, &failure, ret);
	if (r < 0 && new->memory.heap.enabled && daemon->heap_is_refused)
		r = try_without_heap(daemon, new, true, &failure, ret);
	configuration_keep_fixed(&daemon->configuration, new);
	if (r < 0)
		log_error("a new recording cannot be loaded: %s", failure.text);
	return r;
}

void daemon_tell_account(struct daemon *daemon)
{
	struct recording_statistics s;
	recording_get_statistics(daemon->recording, &s);
	log_info("recording: samples taken=%llu dropped=%llu lost=%llu",
		 (unsigned long long)(s.samples + s.growth_samples + s.heap_places),
		 (unsigned long long)s.dropped_samples,
		 (unsigned long long)recording_lost_to_ring(&s));
}

static void give_up_recording(struct daemon *daemon)
{
	local_server_end_windows(daemon->local);
	daemon_tell_account(daemon);
	daemon->recording = recording_free(daemon->recording);
	daemon->last = (struct recording_statistics){0};
}

/* The old one's place in the kernel was given up for nothing. */
static void begin_again(struct daemon *daemon)
{
	struct recording_failure failure = {0};
	if (recording_resume(daemon->recording, &failure) == 0) {
		log_warning("the recording before it goes on");
		return;
	}
	log_error("the recording before it cannot go on: %s", failure.text);
	give_up_recording(daemon);
	if (daemon_begin_recording(daemon) < 0)
		log_error("without a recording the daemon ends");
	else
		log_warning("a recording by the old configuration has begun");
}

int daemon_exchange_recording(struct daemon *daemon, struct recording *new)
{
	struct recording_failure failure = {0};
	int r = 0;
	if (!daemon->is_paused) {
		recording_detach(daemon->recording);
		daemon_flush(daemon);
		r = recording_resume(new, &failure);
	}
	if (r < 0) {
		log_error("the new recording cannot begin: %s", failure.text);
		recording_free(new);
		begin_again(daemon);
		return r;
	}
	give_up_recording(daemon);
	daemon->recording = new;
	recording_get_statistics(new, &daemon->last);
	return 0;
}

static int exchange_used_up(struct daemon *daemon)
{
	struct recording_failure failure;
	struct recording *new = NULL;
	int r = try_recording(daemon, &daemon->configuration, true, &failure, &new);
	if (r == 0)
		return daemon_exchange_recording(daemon, new);
	log_error("a new recording cannot be loaded: %s", failure.text);
	return r;
}

void daemon_renew_recording(struct daemon *daemon)
{
	struct renewal_statistics *renewal = &daemon->renewal;
	if (!recording_is_used_up(daemon->recording) || monotonic_ns() < renewal->not_before)
		return;
	log_info("so many files were met that new ones will soon find no number: a new recording begins");
	if (exchange_used_up(daemon) == 0) {
		renewal->renewals++;
		return;
	}
	renewal->failures++;
	renewal->not_before = monotonic_ns() + RENEWAL_PAUSE_NS;
}
