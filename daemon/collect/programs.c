/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the skeleton: loads it, tells it its constants and settings, attaches its tracepoints. When loading fails, the
 * failure text says what a user can do; the verifier's own words are in the debug log (libbpf_log.h).
 */
#include "collect/programs_state.h"

#include "base/file.h"
#include "base/log.h"
#include "bolometer.skel.h"
#include "collect/cpu_events.h"
#include "collect/instructions.h"
#include "collect/large_pages.h"
#include "collect/libbpf_log.h"
#include "collect/safe_mode.h"
#include "collect/skeleton.h"
#include "collect/tick_state.h"
#include "collect/uprobe_multi.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define HEAP_PROCESSES 4096
#define INITIAL_PID_NAMESPACE_INODE 0xeffffffcU /* PROC_PID_INIT_INO */

/* ---- Loading --------------------------------------------------------------------------------- */

/* Before 5.11 map memory counts against RLIMIT_MEMLOCK; where it does not, this changes nothing. */
static void raise_memlock(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0)
		log_debug("RLIMIT_MEMLOCK stays: %s", strerror(errno));
}

/* Values that the daemon never maps: see the settings in bpf/maps.bpf.h. The constants are read at every tick
 * too, though the verifier knows them. */
static int keep_values_small(struct programs *programs)
{
	struct bolometer_bpf *s = programs->skeleton;
	programs->settings = malloc(sizeof(*s->data_settings));
	if (!programs->settings)
		return -ENOMEM;
	memcpy(programs->settings, s->data_settings, sizeof(*s->data_settings));
	bpf_map__set_map_flags(s->maps.data_settings, 0);
	bpf_map__set_map_flags(s->maps.rodata, BPF_F_RDONLY_PROG);
	return 0;
}

/* In a pid namespace of our own, the BPF side reports our numbers instead of the host's. */
static void set_pid_namespace(struct bolometer_bpf *s)
{
	struct stat st;
	if (stat("/proc/self/ns/pid", &st) < 0 || st.st_ino == INITIAL_PID_NAMESPACE_INODE)
		return;
	s->rodata->pid_namespace_device = st.st_dev;
	s->rodata->pid_namespace_inode = st.st_ino;
}

static void set_constants(const struct programs *programs, const struct programs_options *options)
{
	struct bolometer_bpf *s = programs->skeleton;
	uint32_t cpus = (uint32_t)programs->cpu_count;
	struct sysinfo memory;
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof(seed), 0) < 0)
		seed = (uintptr_t)s;
	s->rodata->stack_seed = seed | 1;
	s->rodata->cpu_count = cpus;
	if (sysinfo(&memory) == 0)
		s->rodata->heap_largest_request = ((uint64_t)memory.totalram + memory.totalswap) * memory.mem_unit;
	s->rodata->walk_count = programs->walk_count;
	s->rodata->page_shift = (uint32_t)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
	s->rodata->safe_kernel_ticks = options->safe_mode & SAFE_MODE_BIT(SAFE_MODE_KERNEL_TICKS);
	s->rodata->ring_wake_bytes = options->ring_bytes / 4;
	/* Together the CPUs send at most half of that unasked. */
	s->rodata->ring_look_bytes = options->ring_bytes / 8 / cpus;
	s->rodata->select_by_pid = options->select_by_pid;
	s->rodata->select_children = options->select_children;
#ifdef __aarch64__
	/* Bits 48 to 54 of a user code address are zero or an authentication code. */
	s->rodata->code_address_mask = (1ULL << 48) - 1;
#endif
	s->data_settings->max_user_frames = options->max_frames;
	s->rodata->heap_live_size = bpf_map__max_entries(s->maps.heap_live);
	if (options->heap_interval)
		s->data->heap_interval = MIN_OF(options->heap_interval, HEAP_MAX_INTERVAL);
	set_pid_namespace(s);
}

/* Which programs are loaded at all. */
static void choose_programs(const struct programs *programs, const struct programs_options *options)
{
	struct bolometer_bpf *s = programs->skeleton;
	bpf_program__set_autoload(s->progs.on_fork, options->select_children);
	bpf_program__set_autoload(s->progs.on_free, options->select_children);
	bpf_program__set_autoload(s->progs.on_page_fault, options->growth);
	bpf_program__set_autoload(s->progs.on_oom_victim, options->oom);
	bpf_program__set_autoload(s->progs.on_allocator_call, options->heap && !programs->has_sessions);
	bpf_program__set_autoload(s->progs.on_allocator_return, options->heap && !programs->has_sessions);
	bpf_program__set_autoload(s->progs.on_allocator_session, options->heap && programs->has_sessions);
	bpf_program__set_autoload(s->progs.thin_heap, options->heap);
}

/* As the kernel wants them to be loaded for probes on many places at once. */
static void set_attach_types(struct bolometer_bpf *s)
{
	bpf_program__set_expected_attach_type(s->progs.on_allocator_session,
					      (enum bpf_attach_type)UPROBE_MULTI_SESSION);
	bpf_program__set_expected_attach_type(s->progs.on_allocator_call,
					      (enum bpf_attach_type)UPROBE_MULTI);
	bpf_program__set_expected_attach_type(s->progs.on_allocator_return,
					      (enum bpf_attach_type)UPROBE_MULTI);
}

/* The constants that the tick's program has as switches. */
static int set_switches(struct bolometer_bpf *s)
{
	struct bpf_program *tick = s->progs.on_cpu_tick;
	int r = s->rodata->select_by_pid ? instructions_switch_on(tick, SWITCH_SELECT_BY_PID) : 0;
	if (r == 0 && s->rodata->select_children)
		r = instructions_switch_on(tick, SWITCH_SELECT_CHILDREN);
	return r;
}

/* -EACCES is the verifier's, also for root. */
static int fail_load(struct collect_failure *failure, int error)
{
	if (error == -EPERM)
		return collect_fail(failure, error,
				    "the kernel refused to load the BPF programs: %s. Run as root, or "
				    "with the capabilities BPF and PERFMON; `bolometer doctor` says more",
				    strerror(-error));
	struct rlimit files;
	if (error == -EMFILE && getrlimit(RLIMIT_NOFILE, &files) == 0)
		return collect_fail(failure, error,
				    "the BPF programs do not load: only %llu files may be open at once. Allow more: ulimit "
				    "-n 4096",
				    (unsigned long long)files.rlim_cur);
	return collect_fail(failure, error,
			    "the BPF programs do not load: %s. `bolometer doctor` says what this kernel "
			    "lacks, `-v` prints the verifier's words",
			    strerror(-error));
}

int programs_open(const struct programs_options *options, struct programs *ret,
		  struct collect_failure *failure)
{
	_cleanup_fd_ int types = -1;
	libbpf_log_begin();
	raise_memlock();
	struct programs programs = {.cpu_count = cpu_events_possible_cpus()};
	programs.walk_count = (uint32_t)programs.cpu_count * (options->heap ? WALK_CLASSES : 1);
	programs.has_sessions = options->heap && uprobe_trials_link(UPROBE_MULTI_SESSION) == 0;
	programs.heap_processes = options->heap ? HEAP_PROCESSES : 1;
	programs.skeleton = skeleton_open(&types);
	if (!programs.skeleton)
		return fail_load(failure, -errno);
	programs_size_maps(&programs, options);
	set_constants(&programs, options);
	choose_programs(&programs, options);
	set_attach_types(programs.skeleton);
	programs.select_by_pid = options->select_by_pid;
	programs.select_children = programs.skeleton->rodata->select_children;
	programs.in_pid_namespace = programs.skeleton->rodata->pid_namespace_inode != 0;
	programs.tick_settings.period_ns = options->period_ns;
	int r = keep_values_small(&programs);
	if (r == 0)
		r = set_switches(programs.skeleton);
	if (r == 0)
		r = bolometer_bpf__load(programs.skeleton);
	if (r == 0)
		r = left_out_open(programs.skeleton->maps.left_out_processes,
				  programs.skeleton->maps.left_out_counts, (uint32_t)programs.cpu_count,
				  &programs.left_out);
	if (r == 0)
		r = programs_publish_to_ticks(&programs);
	if (r < 0) {
		fail_load(failure, r);
		programs_close(&programs);
		return r;
	}
	*ret = programs;
	return 0;
}

void programs_close(struct programs *programs)
{
	programs_detach_tracepoints(programs);
	left_out_close(&programs->left_out);
	bolometer_bpf__destroy(programs->skeleton);
	free(programs->settings);
	*programs = (struct programs){0};
}

/* ---- Settings -------------------------------------------------------------------------------- */

int programs_publish(const struct programs *programs)
{
	uint32_t zero = 0;
	int map = bpf_map__fd(programs->skeleton->maps.data_settings);
	if (bpf_map_update_elem(map, &zero, programs->settings, BPF_ANY) == 0)
		return 0;
	int r = -errno;
	log_warning("the BPF programs cannot be told their settings: %s", strerror(-r));
	return r;
}

int programs_publish_to_ticks(const struct programs *programs)
{
	int r = tick_state_publish(programs->skeleton->maps.ticks, &programs->tick_settings);
	if (r < 0)
		log_warning("the BPF programs cannot be told what ticks to take: %s", strerror(-r));
	return r;
}

int programs_start_clock(struct programs *programs, int cpu)
{
	return tick_state_start_clock(programs->skeleton->maps.ticks, (uint32_t)cpu);
}

void programs_set_period(struct programs *programs, uint64_t period_ns)
{
	programs->tick_settings.period_ns = period_ns;
	programs_publish_to_ticks(programs);
}

void programs_set_leaving_out(struct programs *programs, bool leaves_out)
{
	left_out_clear(&programs->left_out);
	programs->tick_settings.leaves_out = leaves_out && programs->left_out.sets;
	programs_publish_to_ticks(programs);
}

void programs_set_depth(struct programs *programs, uint32_t frames)
{
	struct bolometer_bpf__data_settings *settings = programs->settings;
	settings->max_user_frames = frames;
	programs_publish(programs);
}

int programs_set_growth_pace(struct programs *programs, uint32_t cpu, uint32_t period, uint32_t small_limit)
{
	struct growth_pace_setting pace = {period, small_limit};
	int map = bpf_map__fd(programs->skeleton->maps.growth_paces);
	return bpf_map_update_elem(map, &cpu, &pace, BPF_ANY) < 0 ? -errno : 0;
}

void programs_set_large_pages(struct programs *programs)
{
	struct large_pages pages;
	large_pages_read(LARGE_PAGES_DIRECTORY, (uint32_t)sysconf(_SC_PAGESIZE), &pages);
	struct bolometer_bpf__data_settings *settings = programs->settings;
	settings->large_orders_always = pages.always;
	settings->large_orders_advised = pages.advised;
	programs_publish(programs);
}

void programs_bump_binaries(struct programs *programs)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->binaries_epoch++;
	programs_publish(programs);
}

void programs_bump_stacks(struct programs *programs)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->stack_epoch += 0x9e3779b97f4a7c15ULL;
	programs_publish(programs);
}

void programs_set_context_pids(struct programs *programs, uint64_t pids)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->context_pids = pids;
	programs_publish(programs);
}

/* ---- Tracepoints ----------------------------------------------------------------------------- */

void programs_watch_oom(struct programs *programs)
{
	programs->oom_link = bpf_program__attach(programs->skeleton->progs.on_oom_victim);
	if (!programs->oom_link)
		log_warning("what is known of a process that is killed for lack of memory is not kept, the "
			    "kernel does not tell which: %s",
			    strerror(errno));
}

int programs_attach_tracepoints(struct programs *programs)
{
	programs->cgroup_link = bpf_program__attach(programs->skeleton->progs.on_new_cgroup);
	if (!programs->cgroup_link)
		log_warning("cannot watch for new cgroups, samples of containers that live a moment will "
			    "lack their container: %s",
			    strerror(errno));
	if (!programs->select_children)
		return 0;
	programs->fork_link = bpf_program__attach(programs->skeleton->progs.on_fork);
	programs->free_link = bpf_program__attach(programs->skeleton->progs.on_free);
	return programs->fork_link && programs->free_link ? 0 : -errno;
}

void programs_detach_tracepoints(struct programs *programs)
{
	bpf_link__destroy(programs->fork_link);
	bpf_link__destroy(programs->free_link);
	bpf_link__destroy(programs->cgroup_link);
	bpf_link__destroy(programs->oom_link);
	programs->fork_link = programs->free_link = programs->cgroup_link = programs->oom_link = NULL;
}
