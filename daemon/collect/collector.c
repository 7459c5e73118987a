/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of starting: side-band first, then the /proc scan (so that no process falls between), then
 * the clock.
 */
#include "collect/collector_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/safe_mode.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/resource.h>

/* A disk that spins up takes longer, and its files are then named without their tables. */
#define OPEN_TIMEOUT_NS (2 * NS_PER_SECOND)
#define FEW_DESCRIPTORS 1024 /* a quiet host has two hundred files that run, maps and events take a hundred */
#define ARENA_LIMIT (256ULL << 20)
#define MAX_BINARIES 8192
#define RING_BYTES_PER_CPU (64U << 10)
#define RING_BYTES_LEAST (512U << 10)

/* ---- Loading --------------------------------------------------------------------------------- */

/* What this kernel's bugs forbid: bits of enum safe_mode_feature, or -ENOTSUP with *failure filled. */
static int judge_kernel(const struct collector_options *options, struct collect_failure *failure)
{
	struct kernel_facts facts;
	if (options->safe_mode)
		return (int)SAFE_MODE_ALL;
	if (options->ignore_kernel_bugs)
		return 0;
	kernel_facts_read("", &facts);
	int r = safe_mode_decide(&facts);
	if (r >= 0 && options->heap && uprobe_trials_return_under_filter() == 1)
		r |= SAFE_MODE_BIT(SAFE_MODE_RETURN_PROBES);
	if (r >= 0)
		return r;
	return collect_fail(failure, r,
			    "kernel %s can hang when a profiler reads user memory in an interrupt "
			    "(fixed in 6.1.36, 6.3.10 and 6.4). Update it, or take the risk with "
			    "--ignore-kernel-bugs",
			    facts.release);
}

static void tell_safe_mode(const struct collector *c)
{
	for (int i = 0; i < SAFE_MODE_FEATURE_COUNT; i++)
		if (c->safe_mode & SAFE_MODE_BIT(i))
			log_warning("safe mode%s: %s",
				    c->options.safe_mode ? "" : ", for a known bug of this kernel (`bolometer "
								"doctor` names it)",
				    safe_mode_meaning((enum safe_mode_feature)i));
}

static uint32_t default_ring_bytes(void)
{
	uint32_t wanted = MAX_OF(RING_BYTES_LEAST,
				 RING_BYTES_PER_CPU * (uint32_t)cpu_events_possible_cpus());
	uint32_t bytes = RING_BYTES_LEAST;
	while (bytes < wanted && bytes < (64U << 20))
		bytes *= 2;
	return bytes;
}

int collector_apply_selection(struct collector *c, struct collect_failure *failure)
{
	const struct selection *selection = c->selection;
	struct programs_selection programs = {
		.by_executable = selection->exe_patterns.count > 0,
		.by_comm = selection->comm_patterns.count > 0,
		.kernel_only = selection->kernel_only,
		.user_only = selection->user_only,
	};
	int r = selected_cgroups_resolve(selection, &programs, failure);
	if (r == 0)
		r = programs_select(&c->programs, &programs, failure);
	for (size_t i = 0; r == 0 && i < programs.cgroup_count; i++) {
		c->cgroup_ids[i] = programs.cgroups[i].id;
		if (!c->cgroup_ids[i])
			log_warning("selected cgroup %s: it is not there yet; it is sampled from when "
				    "it is made", selection->cgroup_paths.items[i]);
	}
	selected_cgroups_free(&programs);
	if (r < 0)
		return r;
	c->whole_host = selection_is_whole_host(selection);
	c->only_by_pid = selection->pids.count && !selection->comm_patterns.count &&
			 !selection->exe_patterns.count && !selection->cgroup_paths.count;
	return 0;
}

static int open_programs(struct collector *c, struct collect_failure *failure)
{
	struct programs_options options = {
		.period_ns = NS_PER_SECOND / c->options.frequency,
		.max_frames = c->options.max_frames,
		.safe_mode = c->safe_mode,
		.ring_bytes = c->options.ring_bytes ? c->options.ring_bytes : default_ring_bytes(),
		.binaries = c->options.binaries,
		.select_by_pid = c->selection->pids.count > 0,
		.select_children = c->selection->children,
		.select_by_name = c->options.selection_may_change || c->selection->comm_patterns.count ||
				  c->selection->exe_patterns.count,
		.leave_out = c->options.leave_out,
		.growth = c->options.growth,
		.heap = c->options.heap,
		.heap_interval = c->options.heap_interval,
		.contexts = c->options.contexts,
		.heap_blocks = c->options.heap_blocks,
		.oom = c->options.on_oom != NULL,
	};
	int r = c->options.heap ? collector_require_heap(c->safe_mode, failure) : 0;
	if (r == 0)
		r = programs_open(&options, &c->programs, failure);
	return r < 0 ? r : collector_apply_selection(c, failure);
}

/* A descriptor a binary: the default soft limit of 1024 is too few for a large host. Where even the hard one is small,
 * what comes of it is said now: everything from here on may fail by it. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < FEW_DESCRIPTORS)
		log_warning("only %llu files may be open at once, and each program and library needs one: some will have "
			    "neither tables nor names. Allow more: ulimit -n 4096, LimitNOFILE= of a systemd unit, --ulimit "
			    "nofile=4096 of a container",
			    (unsigned long long)limit.rlim_cur);
}

/* NULL when there is none: a recording works without. */
static struct artifact_cache *open_cache(const struct collector *c)
{
	struct artifact_cache *cache;
	struct artifact_cache_options options = {.directory = c->options.cache_directory,
						 .max_bytes = c->options.cache_bytes};
	int r = artifact_cache_open(&options, &cache);
	if (r < 0)
		log_warning("binaries are parsed anew, the cache cannot be used: %s. "
			    "`bolometer doctor` says more; --no-cache avoids this message",
			    strerror(-r));
	return r < 0 ? NULL : cache;
}

static bool is_selected_pid(const struct collector *c, uint32_t pid)
{
	uint32_t value, key = programs_pid_key(&c->programs, pid);
	return c->only_by_pid &&
	       bpf_map_lookup_elem(bpf_map__fd(c->programs.skeleton->maps.selected_pids), &key,
				   &value) == 0;
}

static void on_mapping(void *userdata, struct process *process,
		       const struct process_mapping *mapping)
{
	struct collector *c = userdata;
	/* Binaries of processes that are not selected are not opened. Where the kernel side selects by
	 * more than the process, it asks for what it meets. */
	bool is_probed = c->options.heap && heap_probes_on_mapping(&c->heap, process, mapping);
	contexts_on_mapping(c->contexts, process, mapping);
	if (is_probed || c->whole_host || is_selected_pid(c, process->pid))
		binaries_on_mapping(&c->binaries, process, mapping);
}

static int open_parts(struct collector *c, struct collect_failure *failure)
{
	int r = open_programs(c, failure);
	if (r < 0)
		return r;
	c->ring = ring_buffer__new(bpf_map__fd(c->programs.skeleton->maps.ring), collector_on_record, c, NULL);
	if (!c->ring)
		return collect_fail(failure, -errno, "cannot map the ring buffer: %s",
				    strerror(errno));
	r = offload_new(c->loop, OPEN_TIMEOUT_NS, &c->offload);
	if (r == 0)
		r = parser_new(c->loop, NULL, &c->parser);
	if (r == 0)
		r = binary_store_new(c->loop, c->offload, c->parser, open_cache(c), &c->store);
	if (r == 0)
		r = binaries_init(&c->binaries, &c->programs, c->store, "/proc",
				  c->options.binaries,
				  c->options.table_bytes ? c->options.table_bytes : ARENA_LIMIT);
	if (r == 0 && c->options.heap)
		binaries_want_allocators(&c->binaries);
	if (r == 0)
		r = process_table_new("/proc", NULL, on_mapping, c, &c->processes);
	if (r == 0 && c->options.contexts)
		r = contexts_new(c->loop, &c->programs, &c->binaries, c->processes, &c->contexts);
	if (r == 0)
		r = sideband_new(c->loop, 0, cpu_events_open, c->options.opener,
				 &c->sideband);
	if (r < 0)
		return collect_fail(failure, r, "cannot start collecting: %s", strerror(-r));
	return 0;
}

int collector_new(struct loop *loop, const struct selection *selection,
		  const struct collector_options *options, struct collect_failure *failure,
		  struct collector **ret)
{
	int safe_mode = judge_kernel(options, failure);
	if (safe_mode < 0)
		return safe_mode;
	struct collector *c = calloc(1, sizeof(*c));
	if (!c)
		return collect_fail(failure, -ENOMEM, "out of memory");
	c->heap_allowed = INFINITY;
	c->loop = loop;
	c->statistics_fd = c->events.hotplug_fd = -1; /* it may be freed before it opens any */
	c->selection = selection;
	c->options = *options;
	if (!c->options.binaries)
		c->options.binaries = MAX_BINARIES;
	c->safe_mode = (unsigned)safe_mode;
	c->is_following = true;
	tell_safe_mode(c);
	raise_descriptor_limit();
	int r = open_parts(c, failure);
	if (r < 0) {
		collector_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

struct collector *collector_free(struct collector *c)
{
	if (!c)
		return NULL;
	cpu_events_stop(&c->events);
	growth_events_stop(&c->growth);
	heap_probes_end(&c->heap);
	c->heap_windows = heap_windows_free(c->heap_windows);
	heap_table_deinit(&c->heap_table);
	close_fd(c->statistics_fd);
	loop_remove(c->ring_source);
	loop_remove(c->timer);
	ring_buffer__free(c->ring);
	sideband_free(c->sideband);
	generated_code_free(&c->generated_code);
	contexts_free(c->contexts);
	process_table_free(c->processes);
	offload_free(c->offload);
	parser_free(c->parser);
	binary_store_free(c->store);
	binaries_deinit(&c->binaries);
	held_stacks_clear(&c->held_stacks);
	hash_free(&c->cgroup_pids);
	hash_free(&c->heap_cgroup_pids);
	if (c->programs.skeleton)
		programs_close(&c->programs);
	free(c);
	return NULL;
}

/* ---- Running --------------------------------------------------------------------------------- */

int collector_start(struct collector *c, struct collect_failure *failure)
{
	int r;
	for (size_t i = 0; i < c->selection->pids.count; i++) {
		r = collector_select_pid(c, c->selection->pids.items[i]);
		if (r < 0)
			return collect_fail(failure, r, "cannot select process %u: %s",
					    c->selection->pids.items[i], strerror(-r));
	}
	if (!c->options.detached) {
		c->attached = true;
		r = collector_attach_all(c, failure);
		if (r < 0)
			return r;
	}
	r = collector_start_heap(c);
	if (r < 0)
		return collect_fail(failure, r, "cannot probe allocators: %s", strerror(-r));
	c->running = true;
	c->last_expiry = monotonic_ns();
	r = collector_start_draining(c);
	if (r < 0)
		return collect_fail(failure, r, "cannot read the ring: %s", strerror(-r));
	return c->attached ? collector_scan(c, failure) : 0;
}

void collector_stop(struct collector *c)
{
	if (!c->running)
		return;
	c->running = false;
	cpu_events_stop(&c->events);
	growth_events_stop(&c->growth);
	heap_windows_stop(c->heap_windows);
	if (c->heap_windows)
		heap_windows_update(c->heap_windows, &c->heap_table);
	programs_log_counters(&c->programs);
	collector_drain(c);
	c->ring_source = loop_remove(c->ring_source);
	c->timer = loop_remove(c->timer);
}

int collector_set_frequency(struct collector *c, uint32_t frequency)
{
	uint64_t old = NS_PER_SECOND / c->options.frequency, new = NS_PER_SECOND / frequency;
	programs_set_period(&c->programs, MAX_OF(old, new));
	int r = cpu_events_set_period(&c->events, new);
	c->options.frequency = frequency;
	c->settle_ns = monotonic_ns() + 2 * MAX_OF(old, new);
	return r;
}

void collector_set_depth(struct collector *c, uint32_t frames)
{
	programs_set_depth(&c->programs, frames);
}

int collector_set_paused(struct collector *c, bool paused)
{
	int r = cpu_events_set_paused(&c->events, paused);
	int growth = cpu_events_set_paused(&c->growth.events, paused);
	collector_drain(c);
	return r < 0 ? r : growth;
}

int collector_select_pid(struct collector *c, uint32_t pid)
{
	return programs_select_pid(&c->programs, pid);
}

void collector_set_leaving_out(struct collector *c, bool leaves_out)
{
	programs_set_leaving_out(&c->programs, leaves_out);
}

/* Where threads are selected by their names, some of a process may not be selected at all. */
void collector_leave_out(struct collector *c, const struct record_sample *sample, int reason)
{
	if (sample->event == EVENT_CPU)
		left_out_judge(&c->programs.left_out, sample, c->selection->comm_patterns.count ? -1 : reason);
}

void collector_read_left_out(const struct collector *c, struct left_out_counts *ret)
{
	left_out_read(&c->programs.left_out, ret);
}

void collector_forget_stacks(struct collector *c)
{
	held_stacks_clear(&c->held_stacks);
	programs_bump_stacks(&c->programs);
	collector_drain(c);
}

/* ---- Reading --------------------------------------------------------------------------------- */

struct binaries *collector_binaries(struct collector *c)
{
	return &c->binaries;
}

struct binary_store *collector_binary_store(struct collector *c)
{
	return c->store;
}

struct generated_code *collector_generated_code(struct collector *c)
{
	return &c->generated_code;
}

struct process_table *collector_processes(struct collector *c)
{
	return c->processes;
}

uint64_t collector_parser_cpu_ns(const struct collector *c)
{
	struct parser_statistics parser;
	parser_get_statistics(c->parser, &parser);
	return parser.child_cpu_ns;
}

void collector_get_statistics(struct collector *c, struct collector_statistics *ret)
{
	*ret = (struct collector_statistics){.rejected = c->rejected,
					     .rejected_ns = c->rejected_ns,
					     .rejected_growth = c->rejected_growth,
					     .rejected_growth_bytes = c->rejected_growth_bytes,
					     .bad_records = c->bad_records,
					     .safe_mode = c->safe_mode,
					     .in_pid_namespace = c->programs.in_pid_namespace};
	programs_read_counters(&c->programs, ret->counters);
	ret->drained_ns = c->sideband_seen_ns;
	ret->bpf_ns = programs_run_ns(&c->programs, true);
	ret->map_bytes = programs_map_bytes(&c->programs) +
			 c->binaries.arena.segments.count * ARENA_SEGMENT_SIZE;
	binary_store_get_statistics(c->store, &ret->cache);
	parser_get_statistics(c->parser, &ret->parser);
	sideband_get_statistics(c->sideband, &ret->sideband);
	process_table_get_statistics(c->processes, &ret->processes);
	ret->binaries = c->binaries.statistics;
	ret->code_forgotten = c->generated_code.forgotten;
	contexts_get_statistics(c->contexts, &ret->contexts);
	ret->heap = c->heap.statistics;
	ret->heap_ended_lost = c->heap_table.ended.lost;
	ret->heap_totals_unsettled = c->heap_table.unsettled;
	collector_get_heap_statistics(c, &ret->heap_windows);
	ret->binaries.pending = c->binaries.pending;
}

void collector_get_cost(struct collector *c, struct collector_cost *ret)
{
	struct heap_windows_statistics heap;
	collector_get_heap_statistics(c, &heap);
	programs_read_counters(&c->programs, ret->counters);
	ret->bpf_ns = programs_run_ns(&c->programs, false);
	ret->heap_ns = (uint64_t)heap.cost_ns;
}

size_t collector_get_maps(const struct collector *c, struct map_usage *ret, size_t capacity)
{
	return map_usage_read(c->programs.skeleton->obj, ret, capacity);
}
