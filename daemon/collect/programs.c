/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the skeleton. libbpf's own messages go to the debug log; when loading fails, the end of the
 * verifier's log is what a report needs, and the failure text says what a user can do.
 */
#include "collect/programs.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "bolometer.skel.h"
#include "collect/contexts.h"
#include "collect/cpu_events.h"
#include "collect/event_clock.h"
#include "collect/instructions.h"
#include "collect/kernel_types.h"
#include "collect/large_pages.h"
#include "collect/safe_mode.h"
#include "collect/tick_state.h"
#include "collect/uprobe_multi.h"
#include "collect/uprobe_trials.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define SELECTED_PIDS 16384
#define VERDICTS 4096
#define KERNEL_TYPES "/sys/kernel/btf/vmlinux"
#define MAX_KERNEL_TYPES (256UL << 20)
#define HEAP_SITES 65536
#define HEAP_WINDOW_SITES 4096 /* in one window */
#define HEAP_BLOCKS (1U << 20)
#define HEAP_PROCESSES 4096
#define HEAP_CALLS 8192 /* threads within an allocator at one moment */
#define MOST_LIBBPF_LINES 200 /* of one message */
#define INITIAL_PID_NAMESPACE_INODE 0xeffffffcU /* PROC_PID_INIT_INO */

/* Where the last so many lines of a text begin. */
static const char *last_lines(const char *text, size_t count)
{
	const char *at = text + strlen(text);
	while (at > text && (at[-1] != '\n' || at[0] == '\0' || --count))
		at--;
	return at;
}

/* The verifier's words come in one message, and why it refuses a program stands at their end. */
static int print_libbpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char *text;
	if (log_get_level() < LOG_LEVEL_DEBUG || vasprintf(&text, format, arguments) < 0)
		return 0;
	for (const char *line = last_lines(text, MOST_LIBBPF_LINES); *line;) {
		size_t length = strcspn(line, "\n");
		log_debug("%.*s", (int)length, line);
		line += length + (line[length] == '\n');
	}
	free(text);
	return 0;
}

/* Before 5.11 map memory counts against RLIMIT_MEMLOCK; where it does not, this changes nothing. */
static void raise_memlock(void)
{
	struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	if (setrlimit(RLIMIT_MEMLOCK, &unlimited) < 0)
		log_debug("RLIMIT_MEMLOCK stays: %s", strerror(errno));
}

/* May a hash map without preallocation be used by perf_event programs? Since 6.1; tried, not guessed:
 * a program that looks into such a map is loaded. */
static bool probe_hash_on_demand(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, map_options, .map_flags = BPF_F_NO_PREALLOC);
	int map = bpf_map_create(BPF_MAP_TYPE_HASH, "probe", 4, 4, 1, &map_options);
	if (map < 0)
		return false;
	struct bpf_insn instructions[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{.code = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, "probe", "GPL", instructions,
				    ARRAY_LENGTH(instructions), NULL);
	if (program >= 0)
		close(program);
	close(map);
	return program >= 0;
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

/* Tells the programs the settings. */
static int publish(const struct programs *programs)
{
	uint32_t zero = 0;
	int map = bpf_map__fd(programs->skeleton->maps.data_settings);
	if (bpf_map_update_elem(map, &zero, programs->settings, BPF_ANY) == 0)
		return 0;
	int r = -errno;
	log_warning("the BPF programs cannot be told their settings: %s", strerror(-r));
	return r;
}

static int publish_to_ticks(const struct programs *programs)
{
	int r = tick_state_publish(programs->skeleton->maps.ticks, &programs->tick_settings);
	if (r < 0)
		log_warning("the BPF programs cannot be told what ticks to take: %s", strerror(-r));
	return r;
}

static void size_maps(const struct programs *programs, const struct programs_options *options)
{
	struct bolometer_bpf *s = programs->skeleton;
	uint32_t cpus = (uint32_t)programs->cpu_count;
	bpf_map__set_max_entries(s->maps.scratches, programs->walk_count);
	bpf_map__set_max_entries(s->maps.ticks, TICK_CPUS + cpus);
	bpf_map__set_max_entries(s->maps.counters, programs->walk_count);
	bpf_map__set_max_entries(s->maps.growth_rates, options->growth ? cpus : 1);
	bpf_map__set_max_entries(s->maps.growth_periods, options->growth ? cpus : 1);
	bpf_map__set_max_entries(s->maps.heap_sites, options->heap ? HEAP_SITES : 1);
	bpf_map__set_max_entries(s->maps.heap_window_sites, options->heap ? HEAP_WINDOW_SITES : 1);
	uint32_t blocks = options->heap_blocks ? options->heap_blocks : HEAP_BLOCKS;
	bpf_map__set_max_entries(s->maps.heap_live, options->heap ? blocks : 1);
	bpf_map__set_max_entries(s->maps.heap_processes, programs->heap_processes);
	bpf_map__set_max_entries(s->maps.heap_pending, options->heap ? HEAP_CALLS : 1);
	bpf_map__set_max_entries(s->maps.binaries, options->binaries);
	bpf_map__set_max_entries(s->maps.ring, options->ring_bytes);
	bpf_map__set_max_entries(s->maps.selected_pids,
				 options->select_by_pid ? SELECTED_PIDS : 1);
	bpf_map__set_max_entries(s->maps.context_places, options->contexts ? CONTEXTS_MAX_PROCESSES : 1);
	uint32_t verdicts = options->select_by_name ? VERDICTS : 1;
	bpf_map__set_max_entries(s->maps.left_out_processes, options->leave_out ? LEFT_OUT_SETS : 1);
	bpf_map__set_max_entries(s->maps.left_out_counts, options->leave_out ? cpus : 1);
	bpf_map__set_max_entries(s->maps.executable_verdicts, verdicts);
	bpf_map__set_max_entries(s->maps.comm_verdicts, verdicts);
	if (probe_hash_on_demand()) {
		bpf_map__set_map_flags(s->maps.binaries, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.selected_pids, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.context_places, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_sites, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_window_sites, BPF_F_NO_PREALLOC);
		bpf_map__set_map_flags(s->maps.heap_live, BPF_F_NO_PREALLOC);
	}
}

/* Index of a v1 controller in css_set.subsys, from the running kernel's own enum. -1: unknown. */
static int subsystem_index(const struct btf *btf, const char *controllers)
{
	char name[64];
	size_t length = strcspn(controllers, ",");
	snprintf(name, sizeof(name), "%.*s_cgrp_id", (int)length, controllers);
	int id = btf__find_by_name_kind(btf, "cgroup_subsys_id", BTF_KIND_ENUM);
	if (id < 0)
		return -1;
	const struct btf_type *type = btf__type_by_id(btf, (uint32_t)id);
	const struct btf_enum *values = (const struct btf_enum *)(type + 1);
	for (int i = 0; i < BTF_INFO_VLEN(type->info); i++)
		if (strcmp(btf__name_by_offset(btf, values[i].name_off), name) == 0)
			return values[i].val;
	return -1;
}

static int find_cgroups(const struct programs_selection *selection, struct selected_cgroup *ret,
			struct collect_failure *failure)
{
	struct btf *btf = NULL; /* large: not for nothing */
	int r = 0;
	for (size_t i = 0; i < selection->cgroup_count && r == 0; i++) {
		const struct cgroup_target *target = &selection->cgroups[i];
		if (!target->unified && !btf)
			btf = btf__load_vmlinux_btf();
		int subsystem = target->unified ? CGROUP_DEFAULT_HIERARCHY
						: subsystem_index(btf, target->controllers);
		if (subsystem < 0)
			r = collect_fail(failure, -EOPNOTSUPP,
					 "--cgroup %s: the hierarchy '%s' has no controller that the "
					 "kernel can be asked for; name the group's directory in the "
					 "unified or in a controller's hierarchy",
					 target->directory, target->controllers);
		ret[i].id = target->id;
		ret[i].subsystem = (uint32_t)subsystem;
	}
	btf__free(btf);
	return r;
}

static void forget_verdicts(const struct bpf_map *map)
{
	char key[64];
	int fd = bpf_map__fd(map);
	/* A key may be evicted between the two calls: that is as good. */
	for (int i = 0; i < 2 * VERDICTS && bpf_map_get_next_key(fd, NULL, key) == 0; i++)
		bpf_map_delete_elem(fd, key);
}

int programs_select_cgroups(struct programs *programs, const struct programs_selection *selection,
			    struct collect_failure *failure)
{
	struct bolometer_bpf__data_settings *settings = programs->settings;
	struct selected_cgroup cgroups[MAX_SELECTED_CGROUPS];
	int r = find_cgroups(selection, cgroups, failure);
	if (r < 0)
		return r;
	for (size_t i = 0; i < selection->cgroup_count; i++) {
		settings->selected_cgroups[i].id = cgroups[i].id;
		settings->selected_cgroups[i].subsystem = cgroups[i].subsystem;
	}
	settings->selected_cgroup_count = (uint32_t)selection->cgroup_count;
	return publish(programs);
}

int programs_select(struct programs *programs, const struct programs_selection *selection,
		    struct collect_failure *failure)
{
	struct bolometer_bpf *s = programs->skeleton;
	struct bolometer_bpf__data_settings *settings = programs->settings;
	int r = programs_select_cgroups(programs, selection, failure);
	if (r < 0)
		return r;
	settings->select_by_executable = selection->by_executable;
	settings->select_by_comm = selection->by_comm;
	programs->tick_settings.kernel_only = selection->kernel_only;
	programs->tick_settings.user_only = selection->user_only;
	int told = publish(programs);
	r = publish_to_ticks(programs);
	r = told < 0 ? told : r;
	forget_verdicts(s->maps.executable_verdicts);
	forget_verdicts(s->maps.comm_verdicts);
	left_out_clear(&programs->left_out);
	return r;
}

int programs_select_pid(struct programs *programs, uint32_t pid)
{
	uint32_t one = 1, key = programs_pid_key(programs, pid);
	int map = bpf_map__fd(programs->skeleton->maps.selected_pids);
	if (bpf_map_update_elem(map, &key, &one, BPF_ANY) < 0)
		return -errno;
	programs->tick_settings.generation++;
	return publish_to_ticks(programs);
}

int programs_start_clock(struct programs *programs, int cpu)
{
	return tick_state_start_clock(programs->skeleton->maps.ticks, (uint32_t)cpu);
}

void programs_set_period(struct programs *programs, uint64_t period_ns)
{
	programs->tick_settings.period_ns = period_ns;
	publish_to_ticks(programs);
}

void programs_set_leaving_out(struct programs *programs, bool leaves_out)
{
	left_out_clear(&programs->left_out);
	programs->tick_settings.leaves_out = leaves_out && programs->left_out.sets;
	publish_to_ticks(programs);
}

void programs_set_depth(struct programs *programs, uint32_t frames)
{
	struct bolometer_bpf__data_settings *settings = programs->settings;
	settings->max_user_frames = frames;
	publish(programs);
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

uint32_t programs_pid_key(const struct programs *programs, uint32_t pid)
{
	return programs->in_pid_namespace ? pid | SELECTED_INNER_PID : pid;
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
	bpf_program__set_autoload(s->progs.on_fork, options->select_children);
	bpf_program__set_autoload(s->progs.on_free, options->select_children);
	bpf_program__set_autoload(s->progs.on_page_fault, options->growth);
	bpf_program__set_autoload(s->progs.on_oom_victim, options->oom);
	bpf_program__set_autoload(s->progs.on_allocator_call, options->heap);
	bpf_program__set_autoload(s->progs.on_allocator_return, options->heap);
	bpf_program__set_autoload(s->progs.on_allocator_session, options->heap && programs->has_sessions);
	bpf_program__set_autoload(s->progs.thin_heap, options->heap);
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
	return collect_fail(failure, error,
			    "the BPF programs do not load: %s. `bolometer doctor` says what this kernel "
			    "lacks, `-v` prints the verifier's words",
			    strerror(-error));
}

static int write_reduced(int fd, const void *kernel, size_t size, struct bolometer_bpf *s)
{
	_cleanup_free_ void *types = NULL;
	size_t types_size;
	uint32_t function = kernel_types_find_function(kernel, size, EVENT_CLOCK_FUNCTION);
	if (event_clock_probe(function) && event_clock_set_function(s->progs.on_cpu_tick, function) < 0)
		log_debug("ticks ask for their time");
	int r = kernel_types_reduce(kernel, size, bpf_object__btf(s->obj), &types, &types_size);
	return r < 0 ? r : write_all(fd, types, types_size);
}

/* The kernel's types that the skeleton's programs name, into the file. Since 6.16 the kernel's can be mapped;
 * reading them takes a system call for each page. */
static int write_kernel_types(int fd, struct bolometer_bpf *s)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_fd_ int kernel = open(KERNEL_TYPES, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t size;
	if (kernel < 0 || fstat(kernel, &st) < 0)
		return -errno;
	void *mapped = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, kernel, 0);
	if (mapped == MAP_FAILED) {
		int r = read_whole_fd(kernel, MAX_KERNEL_TYPES, &bytes, &size);
		return r < 0 ? r : write_reduced(fd, bytes, size, s);
	}
	int r = write_reduced(fd, mapped, st.st_size, s);
	munmap(mapped, st.st_size);
	return r;
}

/* libbpf wants the name of a file before the programs are known, and reads it when they are loaded. Where
 * the kernel's types cannot be cut down it finds them itself. */
static struct bolometer_bpf *open_skeleton(int *ret_types)
{
	char path[64];
	_cleanup_fd_ int types = memfd_create("kernel types", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", types);
	LIBBPF_OPTS(bpf_object_open_opts, options, .btf_custom_path = path);
	struct bolometer_bpf *s = types < 0 ? NULL : bolometer_bpf__open_opts(&options);
	int r = s ? write_kernel_types(types, s) : -errno;
	if (r == 0) {
		*ret_types = take_fd(types);
		return s;
	}
	log_debug("all of the kernel's types are looked at: %s", strerror(-r));
	bolometer_bpf__destroy(s);
	return bolometer_bpf__open();
}

int programs_open(const struct programs_options *options, struct programs *ret,
		  struct collect_failure *failure)
{
	_cleanup_fd_ int types = -1;
	libbpf_set_print(print_libbpf);
	raise_memlock();
	struct programs programs = {.cpu_count = cpu_events_possible_cpus()};
	programs.walk_count = (uint32_t)programs.cpu_count * (options->heap ? WALK_CLASSES : 1);
	programs.has_sessions = options->heap && uprobe_trials_link(UPROBE_MULTI_SESSION) == 0;
	programs.heap_processes = options->heap ? HEAP_PROCESSES : 1;
	programs.skeleton = open_skeleton(&types);
	if (!programs.skeleton)
		return fail_load(failure, -errno);
	size_maps(&programs, options);
	set_constants(&programs, options);
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
		r = publish_to_ticks(&programs);
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

int programs_set_growth_period(struct programs *programs, uint32_t cpu, uint32_t period)
{
	int map = bpf_map__fd(programs->skeleton->maps.growth_periods);
	return bpf_map_update_elem(map, &cpu, &period, BPF_ANY) < 0 ? -errno : 0;
}

void programs_set_large_pages(struct programs *programs)
{
	struct large_pages pages;
	large_pages_read(LARGE_PAGES_DIRECTORY, (uint32_t)sysconf(_SC_PAGESIZE), &pages);
	struct bolometer_bpf__data_settings *settings = programs->settings;
	settings->large_orders_always = pages.always;
	settings->large_orders_advised = pages.advised;
	publish(programs);
}

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

/* What is counted for a walk, that of a CPU's events with its ticks. */
static int read_walk(const struct programs *programs, uint32_t walk, uint64_t ret[COUNTER_MAX])
{
	const struct bolometer_bpf *s = programs->skeleton;
	if (bpf_map_lookup_elem(bpf_map__fd(s->maps.counters), &walk, ret) < 0)
		return -errno;
	if (walk >= (uint32_t)programs->cpu_count)
		return 0;
	left_out_add_counters(&programs->left_out, walk, ret);
	return tick_state_add_counters(s->maps.ticks, walk, ret);
}

void programs_read_counters(const struct programs *programs, uint64_t counters[COUNTER_MAX])
{
	memset(counters, 0, COUNTER_MAX * sizeof(*counters));
	for (uint32_t walk = 0; walk < programs->walk_count; walk++) {
		uint64_t values[COUNTER_MAX];
		if (read_walk(programs, walk, values) < 0)
			continue;
		for (size_t i = 0; i < COUNTER_MAX; i++)
			counters[i] += values[i];
	}
}

uint64_t programs_read_counter(const struct programs *programs, uint32_t cpu, enum counter counter)
{
	uint64_t values[COUNTER_MAX];
	return read_walk(programs, cpu, values) < 0 ? 0 : values[counter];
}

void programs_log_counters(const struct programs *programs)
{
	static const char *const names[] = {
#define COUNTER_NAME(id, name, what) name,
		BOLOMETER_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
	};
	for (uint32_t walk = 0; walk < programs->walk_count; walk++) {
		uint64_t values[COUNTER_MAX];
		struct text line = {0};
		if (read_walk(programs, walk, values) == 0)
			for (size_t i = 0; i < COUNTER_MAX; i++)
				if (values[i])
					text_add(&line, " %s=%llu", names[i],
						 (unsigned long long)values[i]);
		if (line.bytes)
			log_debug("CPU %u%s:%s", walk % (uint32_t)programs->cpu_count,
				  walk < (uint32_t)programs->cpu_count ? "" : " (memory)", line.bytes);
		text_free(&line);
	}
}

void programs_bump_binaries(struct programs *programs)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->binaries_epoch++;
	publish(programs);
}

void programs_bump_stacks(struct programs *programs)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->stack_epoch += 0x9e3779b97f4a7c15ULL;
	publish(programs);
}

void programs_set_context_pids(struct programs *programs, uint64_t pids)
{
	((struct bolometer_bpf__data_settings *)programs->settings)->context_pids = pids;
	publish(programs);
}

/* The value of "name:\tN" in an fdinfo file, or 0. */
static uint64_t fdinfo_number(int fd, const char *name)
{
	char path[64], line[256];
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	FILE *file = fopen(path, "re");
	if (!file)
		return 0;
	uint64_t number = 0;
	size_t length = strlen(name);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			number = strtoull(line + length + 1, NULL, 10);
	fclose(file);
	return number;
}

/* None of the maps grows: all have the memory for their entries from the start. */
uint64_t programs_map_bytes(struct programs *programs)
{
	uint64_t bytes = 0;
	struct bpf_map *map;
	if (programs->map_bytes)
		return programs->map_bytes;
	bpf_object__for_each_map(map, programs->skeleton->obj)
		bytes += fdinfo_number(bpf_map__fd(map), "memlock");
	programs->map_bytes = bytes;
	return bytes;
}

static bool is_on_allocators(const struct programs *programs, const struct bpf_program *program)
{
	const struct bolometer_bpf *s = programs->skeleton;
	return program == s->progs.on_allocator_call || program == s->progs.on_allocator_return ||
	       program == s->progs.on_allocator_session;
}

uint64_t programs_run_ns(const struct programs *programs, bool with_allocators)
{
	struct bpf_program *program;
	uint64_t run_ns = 0;
	bpf_object__for_each_program(program, programs->skeleton->obj) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		if (!with_allocators && is_on_allocators(programs, program))
			continue;
		int fd = bpf_program__fd(program); /* negative: it is not loaded */
		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0)
			run_ns += info.run_time_ns;
	}
	return run_ns;
}
