/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads each BPF program and prints what the verifier says of it: instructions walked and stack used,
 * against limits that leave room for a kernel that counts otherwise. Status 77 without the rights.
 */
#include "bpf/wire.h"

#include "bolometer.skel.h"
#include "collect/instructions.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_INSTRUCTIONS 70000 /* of the verifier's million */
/* The longest chain of calls below takes 208 bytes more, and kernels before 6.13 refuse one of more than 512. */
#define MAX_STACK 304
#define LOG_STATISTICS 4 /* BPF_LOG_STATS */
#define LOG_SIZE 65536
#define SKIPPED 77

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, arguments) : 0;
}

/* "stack depth 64+24+0": one number a function; no chain of calls uses more than their sum. */
static unsigned int sum_of_depths(const char *log, unsigned int *largest)
{
	const char *at = strstr(log, "stack depth ");
	unsigned int sum = 0;

	*largest = 0;
	for (at = at ? at + strlen("stack depth") : NULL; at && (*at == ' ' || *at == '+');) {
		char *end;
		unsigned int depth = (unsigned int)strtoul(at + 1, &end, 10);
		sum += depth;
		*largest = depth > *largest ? depth : *largest;
		at = end;
	}
	return sum;
}

/* 0, or 1 when the program is over a limit. */
static int judge(const struct bpf_program *program, const char *log)
{
	const char *processed = strstr(log, "processed ");
	unsigned long instructions =
		processed ? strtoul(processed + strlen("processed "), NULL, 10) : 0;
	unsigned int largest, sum = sum_of_depths(log, &largest);
	bool over = instructions == 0 || instructions > MAX_INSTRUCTIONS || largest > MAX_STACK;

	printf("%-12s %7lu instructions of %d, stack: largest %u of %d, sum of all functions %u%s\n",
	       bpf_program__name(program), instructions, MAX_INSTRUCTIONS, largest, MAX_STACK, sum,
	       over ? ": OVER A LIMIT" : "");
	return over;
}

/* Every kind of selection at once: nothing is dead code for the verifier. */
static void set_worst_case(struct bolometer_bpf *s)
{
	bpf_map__set_max_entries(s->maps.scratches, 1);
	bpf_map__set_max_entries(s->maps.counters, 1);
	bpf_map__set_max_entries(s->maps.growth_rates, 1);
	bpf_map__set_max_entries(s->maps.growth_paces, 1);
	bpf_map__set_max_entries(s->maps.heap_sites, 64);
	bpf_map__set_max_entries(s->maps.heap_window_sites, 64);
	bpf_map__set_max_entries(s->maps.heap_live, 64);
	bpf_map__set_max_entries(s->maps.heap_pending, 64);
	bpf_map__set_max_entries(s->maps.heap_processes, 64);
	bpf_map__set_max_entries(s->maps.binaries, 64);
	bpf_map__set_max_entries(s->maps.ring, 1 << 19);
	bpf_map__set_max_entries(s->maps.selected_pids, 64);
	bpf_map__set_max_entries(s->maps.executable_verdicts, 64);
	bpf_map__set_max_entries(s->maps.comm_verdicts, 64);
	s->rodata->select_by_pid = true;
	s->rodata->select_children = true;
	instructions_switch_on(s->progs.on_cpu_tick, SWITCH_SELECT_BY_PID);
	instructions_switch_on(s->progs.on_cpu_tick, SWITCH_SELECT_CHILDREN);
	s->rodata->pid_namespace_inode = 1;
	s->data_settings->select_by_executable = true;
	s->data_settings->select_by_comm = true;
	s->data_settings->selected_cgroup_count = MAX_SELECTED_CGROUPS;
	s->data_settings->max_user_frames = MAX_USER_FRAMES;
}

/* Links for many uprobes (Linux 6.6): without them heap profiles are refused before anything is loaded. */
static bool has_uprobe_multi(void)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	bool found = kernel && btf__find_by_name_kind(kernel, "bpf_uprobe_multi_link",
						      BTF_KIND_STRUCT) > 0;

	btf__free(kernel);
	return found;
}

int main(void)
{
	static char logs[12][LOG_SIZE];
	struct bpf_program *program;
	size_t index = 0;
	int failed = 0;

	if (geteuid() != 0) {
		printf("SKIPPED: loading BPF programs needs root\n");
		return SKIPPED;
	}
	libbpf_set_print(quiet);
	struct bolometer_bpf *skeleton = bolometer_bpf__open();
	if (!skeleton)
		return 1;
	set_worst_case(skeleton);
	if (!has_uprobe_multi()) {
		printf("on_allocator_*, thin_heap: this kernel has no uprobe_multi links\n");
		bpf_program__set_autoload(skeleton->progs.on_allocator_call, false);
		bpf_program__set_autoload(skeleton->progs.on_allocator_return, false);
		bpf_program__set_autoload(skeleton->progs.on_allocator_session, false);
		bpf_program__set_autoload(skeleton->progs.thin_heap, false);
	}
	bpf_object__for_each_program(program, skeleton->obj) {
		if (index == sizeof(logs) / sizeof(logs[0]))
			return 1;
		bpf_program__set_log_level(program, LOG_STATISTICS);
		bpf_program__set_log_buf(program, logs[index++], LOG_SIZE);
	}
	if (bolometer_bpf__load(skeleton) < 0) {
		fprintf(stderr, "the programs do not load: %s\n", strerror(errno));
		return 1;
	}
	index = 0;
	bpf_object__for_each_program(program, skeleton->obj) {
		const char *log = logs[index++];
		if (bpf_program__autoload(program))
			failed |= judge(program, log);
	}
	bolometer_bpf__destroy(skeleton);
	return failed;
}
