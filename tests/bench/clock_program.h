/* SPDX-License-Identifier: Apache-2.0 */
/* A program of a few instructions on a CPU's clock, for benchmarks of what a tick takes. */
#pragma once

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns its descriptor, or below 0 with errno. */
static inline int load_clock_program(const char *name, const struct bpf_insn *instructions, size_t count)
{
	return bpf_prog_load(BPF_PROG_TYPE_PERF_EVENT, name, "GPL", instructions, count, NULL);
}

/* One that does nothing. Returns as load_clock_program(). */
static inline int load_empty_program(void)
{
	const struct bpf_insn instructions[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	return load_clock_program("empty", instructions, sizeof(instructions) / sizeof(*instructions));
}

/* A clock of the CPU, disabled, so many times a second. Returns its descriptor, or below 0 with errno. */
static inline int open_clock(int cpu, uint64_t frequency)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = 1000000000 / frequency,
		.disabled = 1,
	};
	return (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}
