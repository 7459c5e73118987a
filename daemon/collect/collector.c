/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of starting: side-band first, then the /proc scan (so that no process falls between), then
 * the clock. Draining: for each sample the side-band records up to its time are applied first, so a
 * sample finds its process as it was then.
 */
#include "collect/collector.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/cpu_events.h"
#include "collect/growth_events.h"
#include "collect/held_stacks.h"
#include "collect/kernel_bugs.h"
#include "collect/records.h"
#include "collect/selected_cgroups.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

/* How often what the kernel side wrote is read, if it does not ask before. Where nothing new was met for a
 * while, a process that lives for less than the longer interval may be gone before it is looked at: it is the
 * first such process for a second, and its binary, if it is new as well, makes the kernel side ask. */
#define DRAIN_INTERVAL_NS (200 * NS_PER_MS)
#define QUIET_DRAIN_INTERVAL_NS (500 * NS_PER_MS)
#define QUIET_DRAINS 5
#define EXPIRE_INTERVAL_NS (2 * NS_PER_SECOND)
/* A disk that spins up takes longer, and its files are then named without their tables. */
#define OPEN_TIMEOUT_NS (2 * NS_PER_SECOND)
#define ARENA_LIMIT (256ULL << 20)
#define MAX_BINARIES 8192
#define RING_BYTES_PER_CPU (64U << 10)
#define RING_BYTES_LEAST (512U << 10)

struct collector {
	struct loop *loop;
	const struct selection *selection;
	struct collector_options options;
	struct programs programs;
	struct cpu_events events;
	struct growth_events growth;
	struct heap_probes heap;
	struct heap_table heap_table;
	struct heap_windows *heap_windows; /* NULL: no allocators are probed */
	struct hash cgroup_pids; /* in the selected cgroups, where allocators are probed */
	uint64_t cgroup_pids_ns; /* when that was read */
	struct sideband *sideband;
	struct process_table *processes;
	struct offload *offload; /* opens files */
	struct parser *parser;
	struct binary_store *store;
	struct binaries binaries;
	struct ring_buffer *ring;
	struct loop_source *ring_source, *timer;
	int statistics_fd; /* open: the kernel counts the programs' run time */
	bool whole_host;
	bool only_by_pid; /* selected by process, and by nothing else */
	bool running, attached;
	uint64_t cgroup_ids[MAX_SELECTED_CGROUPS]; /* of the selection's paths; 0: not there */
	uint64_t last_expiry;
	uint64_t sideband_seen_ns; /* up to when the side-band was read */
	uint64_t drain_interval_ns;
	unsigned quiet_drains; /* in a row without anything but samples of known processes */
	bool met_news;	       /* since the last drain */
	struct held_stacks held_stacks;
	uint64_t settle_ns; /* when every CPU ticks at the new rate; 0: no change is under way */
	uint64_t rejected, rejected_ns, bad_records;
	uint64_t rejected_growth, rejected_growth_bytes;
};

/* ---- Records --------------------------------------------------------------------------------- */

static void on_sideband(void *userdata, const struct sideband_record *record)
{
	struct collector *c = userdata;
	c->met_news = true;
	process_table_apply(c->processes, record);
}

static void set_verdict(int map, const void *key, bool selected)
{
	uint32_t verdict = selected ? VERDICT_YES : VERDICT_NO;
	if (bpf_map_update_elem(map, key, &verdict, BPF_ANY) < 0)
		log_debug("verdict not stored: %s", strerror(errno));
}

/* Judges a sample that the BPF side could not, and tells it for the next ones. */
static bool decide(struct collector *c, const struct record_sample *sample,
		   const struct process *process)
{
	const struct selection *selection = c->selection;
	bool selected = true;
	if (selection->comm_patterns.count) {
		bool match = selection_matches_comm(selection, sample->comm);
		set_verdict(bpf_map__fd(c->programs.skeleton->maps.comm_verdicts), sample->comm,
			    match);
		selected = match;
	}
	if (selection->exe_patterns.count) {
		struct executable_key key = {sample->executable_inode, sample->executable_device, 0};
		bool match = selection_matches_executable(selection, process->executable_path);
		/* An unknown path is asked for again with the next sample; no file at all is the key
		 * of the kernel's own tasks, and of programs at their end, which differ. */
		bool is_lasting = sample->executable_inode ? process->executable_path != NULL
							   : process->kernel_task;
		if (is_lasting)
			set_verdict(
				bpf_map__fd(c->programs.skeleton->maps.executable_verdicts), &key,
				match);
		selected = selected && match;
	}
	return selected;
}

/* Its stack counts as sent: it is held for samples that are wanted, or else all are sent again. */
static void reject(struct collector *c, const struct record_sample *sample, const uint64_t *frames)
{
	if (sample->event == EVENT_CPU) {
		c->rejected++;
		c->rejected_ns += sample->weight;
	} else {
		c->rejected_growth++;
		c->rejected_growth_bytes += sample->weight;
	}
	if (!frames || held_stacks_keep(&c->held_stacks, sample, frames) == 0)
		return;
	held_stacks_clear(&c->held_stacks);
	programs_bump_stacks(&c->programs);
}

static void on_sample(struct collector *c, const struct record_sample *sample, const uint64_t *frames)
{
	char comm[COMM_SIZE];
	memcpy(comm, sample->comm, sizeof(comm));
	comm[COMM_SIZE - 1] = '\0';
	struct process *process =
		process_table_find(c->processes, sample->pid, sample->header.time,
				   sample->process_start, sample->exec_id, comm);
	if (!process) {
		c->bad_records++;
		return;
	}
	c->met_news |= (sample->flags & SAMPLE_UNDECIDED) != 0;
	if (sample->flags & SAMPLE_UNDECIDED && !decide(c, sample, process)) {
		reject(c, sample, frames);
		return;
	}
	process_table_resolve_cgroup(c->processes, process, sample->cgroup_id);
	if (c->options.environment)
		process_table_resolve_environment(c->processes, process);
	_cleanup_free_ uint64_t *held = frames ? NULL : held_stacks_take(&c->held_stacks, sample);
	c->options.on_sample(c->options.userdata, sample, held ? held : frames, process);
}

/* The side-band is looked at anew only for samples younger than the last look. */
static void catch_up(struct collector *c, uint64_t time)
{
	if (time <= c->sideband_seen_ns && sideband_next_time(c->sideband) > time)
		return;
	c->sideband_seen_ns = monotonic_ns();
	sideband_drain(c->sideband, time, on_sideband, c);
}

/* Other groups may have the selected paths by now. */
static void refresh_cgroups(struct collector *c)
{
	struct programs_selection now = {0};
	struct collect_failure failure;
	if (!c->selection->cgroup_paths.count || !c->selection->cgroups_may_come)
		return;
	int r = selected_cgroups_resolve(c->selection, &now, &failure);
	if (r == 0 && selected_cgroups_note_changes(c->selection, &now, c->cgroup_ids))
		r = programs_select_cgroups(&c->programs, &now, &failure);
	if (r < 0)
		log_warning("%s", failure.text);
	selected_cgroups_free(&now);
}

static void on_new_cgroup(struct collector *c, const struct record_new_cgroup *cgroup)
{
	process_table_note_cgroup(c->processes, cgroup->id, cgroup->path);
	if (selected_cgroups_may_have(c->selection, cgroup->path))
		refresh_cgroups(c);
}

static void on_oom_victim(struct collector *c, const struct record_oom_victim *victim)
{
	const char *path = NULL;
	if (victim->cgroup_id)
		path = process_table_cgroup_path(c->processes, victim->cgroup_id);
	if (c->options.on_oom)
		c->options.on_oom(c->options.userdata, victim, path);
}

static int on_record(void *userdata, void *data, size_t size)
{
	struct collector *c = userdata;
	struct ring_record record;
	if (ring_record_parse(data, size, &record) < 0) {
		c->bad_records++;
		return 0;
	}
	catch_up(c, ((const struct record_header *)data)->time);
	c->met_news |= record.sample == NULL;
	if (record.sample)
		on_sample(c, record.sample, record.frames);
	else if (record.fast_faults)
		growth_events_hurry(&c->growth, record.fast_faults->cpu, monotonic_ns());
	else if (record.oom_victim)
		on_oom_victim(c, record.oom_victim);
	else if (record.new_binary)
		binaries_on_notice(&c->binaries, record.new_binary);
	else
		on_new_cgroup(c, record.new_cgroup);
	return 0;
}

static bool is_selected_pid(const struct collector *c, uint32_t pid)
{
	uint32_t value, key = programs_pid_key(&c->programs, pid);
	return c->only_by_pid &&
	       bpf_map_lookup_elem(bpf_map__fd(c->programs.skeleton->maps.selected_pids), &key,
				   &value) == 0;
}

/* Are binaries opened before they are met? */
static bool wants_maps(const struct collector *c)
{
	return c->whole_host || c->only_by_pid;
}

/* Does the selection mean the process? As the kernel side judges its samples, but by its main thread's
 * name. The host as a whole is meant without us. */
static bool is_selected_for_heap(void *userdata, const struct process *process)
{
	const struct collector *c = userdata;
	const struct selection *selection = c->selection;
	uint32_t value, own = (uint32_t)getpid(), key = programs_pid_key(&c->programs, process->pid);
	if (selection->pids.count
		    ? bpf_map_lookup_elem(bpf_map__fd(c->programs.skeleton->maps.selected_pids), &key,
					  &value) < 0
		    : process->pid == own || process->parent_pid == own)
		return false;
	return selection_matches_comm(selection, process->comm) &&
	       selection_matches_executable(selection, process->executable_path) &&
	       (!selection->cgroup_paths.count || hash_get(&c->cgroup_pids, process->pid));
}

static void update_heap_probes(struct collector *c, uint64_t now)
{
	if (!c->options.heap || !c->running)
		return;
	if (c->selection->cgroup_paths.count && now - c->cgroup_pids_ns >= NS_PER_SECOND) {
		int r = selected_cgroups_read_pids(c->selection, &c->cgroup_pids);
		if (r < 0)
			log_warning("the processes of a selected cgroup are not all known: %s",
				    strerror(-r));
		c->cgroup_pids_ns = now;
	}
	heap_probes_update(&c->heap, now);
	heap_table_regulate(&c->heap_table);
	heap_windows_update(c->heap_windows, &c->heap_table);
}

static void on_mapping(void *userdata, struct process *process,
		       const struct process_mapping *mapping)
{
	struct collector *c = userdata;
	/* Binaries of processes that are not selected are not opened. Where the kernel side selects by
	 * more than the process, it asks for what it meets. */
	bool is_probed = c->options.heap && heap_probes_on_mapping(&c->heap, process, mapping);
	if (is_probed || c->whole_host || is_selected_pid(c, process->pid))
		binaries_on_mapping(&c->binaries, process, mapping);
}

/* A tick is taken for several when more than a period and a half went by. The first one after a change
 * may come after parts of both, so until then the programs go by the longer period. */
static void settle_period(struct collector *c, uint64_t now)
{
	if (!c->settle_ns || now < c->settle_ns)
		return;
	programs_set_period(&c->programs, c->events.kind.period);
	c->settle_ns = 0;
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

void collector_drain(struct collector *c)
{
	uint64_t now = monotonic_ns();
	settle_period(c, now);
	if (c->options.growth && c->attached)
		growth_events_regulate(&c->growth, now);
	update_heap_probes(c, now);
	ring_buffer__consume(c->ring);
	c->sideband_seen_ns = now;
	sideband_drain(c->sideband, now, on_sideband, c);
	if (sideband_take_loss(c->sideband))
		process_table_scan(c->processes, wants_maps(c));
	if (now - c->last_expiry > EXPIRE_INTERVAL_NS) {
		process_table_expire(c->processes, now);
		if (c->options.heap)
			heap_table_expire(&c->heap_table);
		refresh_cgroups(c);
		c->last_expiry = now;
	}
}

int collector_set_paused(struct collector *c, bool paused)
{
	int r = cpu_events_set_paused(&c->events, paused);
	int growth = cpu_events_set_paused(&c->growth.events, paused);
	collector_drain(c);
	return r < 0 ? r : growth;
}

/* Waking up costs more than the samples of a steady host, so it wakes up less often. */
static int pace(struct collector *c)
{
	bool regulates = c->options.heap || c->options.growth || c->settle_ns;
	c->quiet_drains = c->met_news || regulates ? 0 : c->quiet_drains + 1;
	c->met_news = false;
	uint64_t interval =
		c->quiet_drains < QUIET_DRAINS ? DRAIN_INTERVAL_NS : QUIET_DRAIN_INTERVAL_NS;
	if (interval == c->drain_interval_ns)
		return 0;
	c->drain_interval_ns = interval;
	return loop_set_timer(c->timer, interval, interval);
}

static int on_drain(struct loop_source *source, uint32_t events, void *userdata)
{
	collector_drain(userdata);
	return pace(userdata);
}

/* ---- Start and stop -------------------------------------------------------------------------- */

static int refuse_bad_kernel(const struct collector_options *options,
			     struct collect_failure *failure)
{
	struct utsname name;
	_cleanup_free_ char *version = NULL, *signature = NULL;
	struct kernel_version kernel;
	uname(&name);
	if (read_whole_file("/proc/version", 4096, &version, NULL) < 0)
		version = NULL;
	if (read_whole_file("/proc/version_signature", 4096, &signature, NULL) < 0)
		signature = NULL;
	if (options->ignore_kernel_bugs ||
	    kernel_version_parse(name.release, version, signature, &kernel) < 0 ||
	    !kernel_bug_user_read(kernel))
		return 0;
	return collect_fail(failure, -ENOTSUP,
			    "kernel %s can hang when a profiler reads user memory in an interrupt "
			    "(fixed in 6.1.36, 6.3.10 and 6.4). Update it, or take the risk with "
			    "--ignore-kernel-bugs",
			    name.release);
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

/* Before the programs are loaded: of a kernel without them, the loader's words would be no help. */
static int require_heap_links(struct collect_failure *failure)
{
	int r = uprobe_trials_link(UPROBE_MULTI);
	if (r == 0)
		return 0;
	return collect_fail(failure, r,
			    "cannot set probes on allocators: %s; heap profiles need uprobe_multi links "
			    "(Linux 6.6 or newer) and CAP_BPF, CAP_PERFMON; `record -e growth` works without",
			    strerror(-r));
}

static int open_programs(struct collector *c, struct collect_failure *failure)
{
	struct programs_options options = {
		.period_ns = NS_PER_SECOND / c->options.frequency,
		.max_frames = c->options.max_frames,
		.ring_bytes = c->options.ring_bytes ? c->options.ring_bytes : default_ring_bytes(),
		.binaries = c->options.binaries,
		.select_by_pid = c->selection->pids.count > 0,
		.select_children = c->selection->children,
		.growth = c->options.growth,
		.heap = c->options.heap,
		.heap_interval = c->options.heap_interval,
		.heap_blocks = c->options.heap_blocks,
		.oom = c->options.on_oom != NULL,
	};
	int r = c->options.heap ? require_heap_links(failure) : 0;
	if (r == 0)
		r = programs_open(&options, &c->programs, failure);
	return r < 0 ? r : collector_apply_selection(c, failure);
}

/* A descriptor a binary: the default soft limit of 1024 is too few for a large host. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
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

static int open_parts(struct collector *c, struct collect_failure *failure)
{
	int r = open_programs(c, failure);
	if (r < 0)
		return r;
	c->ring = ring_buffer__new(bpf_map__fd(c->programs.skeleton->maps.ring), on_record, c, NULL);
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
	int r = refuse_bad_kernel(options, failure);
	if (r < 0)
		return r;
	struct collector *c = calloc(1, sizeof(*c));
	if (!c)
		return collect_fail(failure, -ENOMEM, "out of memory");
	c->loop = loop;
	c->statistics_fd = -1;
	c->selection = selection;
	c->options = *options;
	if (!c->options.binaries)
		c->options.binaries = MAX_BINARIES;
	raise_descriptor_limit();
	r = open_parts(c, failure);
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
	process_table_free(c->processes);
	offload_free(c->offload);
	parser_free(c->parser);
	binary_store_free(c->store);
	binaries_deinit(&c->binaries);
	held_stacks_clear(&c->held_stacks);
	hash_free(&c->cgroup_pids);
	if (c->programs.skeleton)
		programs_close(&c->programs);
	free(c);
	return NULL;
}

static int add_sideband_cpu(void *userdata, int cpu)
{
	struct collector *c = userdata;
	int r = sideband_add_cpu(c->sideband, cpu);
	return r == -EEXIST || r == -ENODEV ? 0 : r;
}

static int on_cpu_begin(void *userdata, int cpu)
{
	return programs_start_clock(&((struct collector *)userdata)->programs, cpu);
}

static void on_cpu_change(void *userdata, int cpu, bool online)
{
	struct collector *c = userdata;
	int r = 0;
	if (online)
		r = add_sideband_cpu(c, cpu);
	else
		sideband_remove_cpu(c->sideband, cpu);
	if (r < 0)
		log_warning("processes on CPU %d are not followed: %s", cpu, strerror(-r));
}

static int fail_perf_event(struct collect_failure *failure, int error)
{
	if (error == -EACCES || error == -EPERM)
		return collect_fail(
			failure, error,
			"perf_event_open is not permitted: %s. Run as root; or give CAP_PERFMON and set "
			"kernel.perf_event_paranoid to 2 or less (sysctl -w "
			"kernel.perf_event_paranoid=2)",
			strerror(-error));
	return collect_fail(failure, error,
			    "cannot open the clock events: %s. `bolometer doctor` says more",
			    strerror(-error));
}

static int start_draining(struct collector *c)
{
	int r = loop_add_fd(c->loop, ring_buffer__epoll_fd(c->ring), EPOLLIN, on_drain, c,
			    &c->ring_source);
	c->drain_interval_ns = DRAIN_INTERVAL_NS;
	if (r == 0)
		r = loop_add_timer(c->loop, c->drain_interval_ns, c->drain_interval_ns, on_drain, c,
				   &c->timer);
	return r;
}

/* Some 20 ns a sample, for knowing the larger part of our cost. */
static int enable_bpf_statistics(const struct collector *c)
{
	int fd = c->options.opener ? opener_enable_bpf_statistics(c->options.opener)
				   : bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (fd < 0)
		log_debug("the BPF programs' own time stays unknown: %s", strerror(-fd));
	return fd;
}

static void init_events(struct collector *c)
{
	struct bolometer_bpf *skeleton = c->programs.skeleton;
	struct cpu_event_kind ticks = {PERF_COUNT_SW_CPU_CLOCK, NS_PER_SECOND / c->options.frequency};

	cpu_events_init(&c->events, skeleton->progs.on_cpu_tick, ticks, c->options.opener, on_cpu_begin,
			on_cpu_change, c);
	/* Where there are no ticks, these events tell which CPUs come and go. */
	growth_events_init(&c->growth, &c->programs, c->options.opener,
			   c->options.no_ticks ? on_cpu_change : NULL, c);
}

static int start_heap(struct collector *c)
{
	struct heap_windows_options windows = {.programs = &c->programs, .budget = c->options.heap_budget};
	struct heap_probes_options options = {
		.programs = &c->programs,
		.binaries = &c->binaries,
		.table = c->processes,
		.processes = c->options.heap_processes,
		.is_selected = is_selected_for_heap,
		.userdata = c,
	};
	if (!c->options.heap)
		return 0;
	int r = heap_windows_new(&windows, &c->heap_windows);
	if (r < 0)
		return r;
	options.windows = c->heap_windows;
	heap_probes_begin(&c->heap, &options, monotonic_ns());
	heap_table_init(&c->heap_table, &c->programs);
	c->heap_table.scale = heap_windows_scale;
	c->heap_table.userdata = c->heap_windows;
	return 0;
}

static int attach_all(struct collector *c, struct collect_failure *failure)
{
	int r = cpu_events_each_online(add_sideband_cpu, c);
	if (r < 0)
		return fail_perf_event(failure, r);
	if (c->options.on_oom)
		programs_watch_oom(&c->programs);
	r = programs_attach_tracepoints(&c->programs);
	if (r < 0)
		return collect_fail(failure, r, "cannot follow forks: %s", strerror(-r));
	init_events(c);
	c->statistics_fd = enable_bpf_statistics(c);
	r = c->options.no_ticks ? 0 : cpu_events_start(&c->events, c->loop);
	if (r == 0 && c->options.growth)
		r = growth_events_start(&c->growth, c->loop);
	return r < 0 ? fail_perf_event(failure, r) : 0;
}

/* The processes that came and went while nothing was attached, too. */
static int scan(struct collector *c, struct collect_failure *failure)
{
	int r = process_table_scan(c->processes, wants_maps(c));
	return r < 0 ? collect_fail(failure, r, "cannot read /proc: %s", strerror(-r)) : 0;
}

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
		r = attach_all(c, failure);
		if (r < 0)
			return r;
	}
	r = start_heap(c);
	if (r < 0)
		return collect_fail(failure, r, "cannot probe allocators: %s", strerror(-r));
	c->running = true;
	c->last_expiry = monotonic_ns();
	r = start_draining(c);
	if (r < 0)
		return collect_fail(failure, r, "cannot read the ring: %s", strerror(-r));
	return c->attached ? scan(c, failure) : 0;
}

static void detach_all(struct collector *c)
{
	cpu_events_stop(&c->events);
	growth_events_stop(&c->growth);
	programs_detach_tracepoints(&c->programs);
	c->statistics_fd = close_fd(c->statistics_fd);
}

int collector_detach(struct collector *c)
{
	if (c->options.heap)
		return -EOPNOTSUPP;
	if (!c->attached)
		return 0;
	detach_all(c);
	c->attached = false;
	collector_drain(c);
	sideband_close(c->sideband);
	return 0;
}

int collector_attach(struct collector *c, struct collect_failure *failure)
{
	if (c->attached)
		return 0;
	c->attached = true;
	int r = attach_all(c, failure);
	if (r == 0)
		r = scan(c, failure);
	if (r < 0)
		collector_detach(c);
	return r;
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

int collector_select_pid(struct collector *c, uint32_t pid)
{
	return programs_select_pid(&c->programs, pid);
}

int collector_read_heap(const struct collector *c, struct heap_totals *ret)
{
	int r = heap_table_read(&c->heap_table, ret);
	if (r == 0)
		r = heap_windows_estimate(c->heap_windows, ret);
	if (r < 0)
		array_free(&ret->list);
	return r;
}

void collector_forget_stacks(struct collector *c)
{
	held_stacks_clear(&c->held_stacks);
	programs_bump_stacks(&c->programs);
	collector_drain(c);
}

struct binaries *collector_binaries(struct collector *c)
{
	return &c->binaries;
}

struct binary_store *collector_binary_store(struct collector *c)
{
	return c->store;
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
					     .bad_records = c->bad_records};
	programs_read_counters(&c->programs, ret->counters);
	ret->drained_ns = c->sideband_seen_ns;
	ret->bpf_ns = programs_run_ns(&c->programs);
	ret->map_bytes = programs_map_bytes(&c->programs) +
			 c->binaries.arena.segments.count * ARENA_SEGMENT_SIZE;
	binary_store_get_statistics(c->store, &ret->cache);
	parser_get_statistics(c->parser, &ret->parser);
	sideband_get_statistics(c->sideband, &ret->sideband);
	process_table_get_statistics(c->processes, &ret->processes);
	ret->binaries = c->binaries.statistics;
	ret->heap = c->heap.statistics;
	if (c->heap_windows)
		heap_windows_get_statistics(c->heap_windows, &ret->heap_windows);
	ret->binaries.pending = c->binaries.pending;
}

size_t collector_get_maps(const struct collector *c, struct map_usage *ret, size_t capacity)
{
	return map_usage_read(c->programs.skeleton->obj, ret, capacity);
}
