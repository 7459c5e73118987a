/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tick takes at the least: a clock on every CPU at 99 Hz for some seconds, with an empty program and with
 * one that adds one to a number of its CPU. At that rate the number has left the CPU's caches in between, and
 * no program that keeps anything does with less. Prints what the kernel's statistics count for a run of either,
 * ns; they must be on. Exits with 77 without the rights.
 *
 *	least_tick SECONDS
 */
#include "clock_program.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define FREQUENCY 99
#define MAX_CPUS 4096
#define SKIPPED 77

/* Each has a map to itself, for one CPU. */
static int load_counting(void)
{
	int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "number", sizeof(uint32_t), sizeof(uint64_t), 1, NULL);
	struct bpf_insn instructions[] = {
		{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map},
		{0},
		{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 2, .src_reg = 1},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = 1},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 1, .src_reg = 2},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	return map < 0 ? -1
		       : load_clock_program("counting", instructions,
					    sizeof(instructions) / sizeof(*instructions));
}

/* They run from here to the end of this process. Negative errno. */
static int run_on_cpu(int program, int cpu)
{
	int event = open_clock(cpu, FREQUENCY);
	if (event < 0 || ioctl(event, PERF_EVENT_IOC_SET_BPF, program) < 0 ||
	    ioctl(event, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return -errno;
	/* The two of a CPU tick at different times: neither finds warm what the other has just used. */
	usleep(4000);
	return 0;
}

/* A run of all these programs on average, ns. */
static double mean_run(const int *programs, int count)
{
	double time = 0, runs = 0;
	for (int i = 0; i < count; i++) {
		struct bpf_prog_info info = {0};
		uint32_t size = sizeof(info);
		if (bpf_obj_get_info_by_fd(programs[i], &info, &size) < 0)
			continue;
		time += (double)info.run_time_ns;
		runs += (double)info.run_cnt;
	}
	return runs > 0 ? time / runs : 0;
}

int main(int argc, char **argv)
{
	static int empty[MAX_CPUS], counting[MAX_CPUS];
	int count = libbpf_num_possible_cpus(), r = 0;
	if (argc != 2 || count < 1 || count > MAX_CPUS)
		return 1;
	for (int cpu = 0; cpu < count && r == 0; cpu++) {
		empty[cpu] = load_empty_program();
		counting[cpu] = load_counting();
		r = run_on_cpu(empty[cpu], cpu);
		if (r == 0)
			r = run_on_cpu(counting[cpu], cpu);
		if (r == -ENODEV) /* this CPU is off */
			r = 0;
	}
	if (r < 0) {
		fprintf(stderr, "SKIPPED: programs on the CPUs' clocks: %s\n", strerror(-r));
		return SKIPPED;
	}
	sleep((unsigned)atoi(argv[1]));
	printf("%.0f %.0f\n", mean_run(empty, count), mean_run(counting, count));
	return 0;
}
