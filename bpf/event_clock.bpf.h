/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The time of a tick, by the clock of its event.
 *
 * Before a tick reaches its program the kernel has read a clock for the event: cpu_clock_event_update()
 * leaves local_clock() in hw.prev_count, a line of cache that is warm. Asking for CLOCK_MONOTONIC costs half
 * a microsecond of cold code and memory instead. Time between ticks is told by the event's clock alone;
 * CLOCK_MONOTONIC, of which records tell, by comparing the two where a sample is taken, at most ten times a
 * second. Between two comparisons they part by what CLOCK_MONOTONIC is slewed, some microseconds.
 *
 * The way to the event is bpf_cast_to_kern_ctx(), a function of the kernel since fd264ca02094 ("bpf: Add a
 * kfunc to type cast from bpf uapi ctx to kernel ctx", 6.2) which the verifier makes a move between
 * registers. Its number in the running kernel is put in by the daemon (daemon/collect/event_clock.h), not by
 * libbpf, which would look at all types of the kernel for it.
 */
#pragma once

#include "maps.bpf.h"

#define CLOCK_COMPARED_NS 100000000ULL

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct hw_perf_event {
	struct { /* local64_t */
		s64 any;
	} prev_count;
};
struct perf_event {
	struct hw_perf_event hw;
};
struct bpf_perf_event_data_kern {
	struct perf_event *event;
};
#pragma clang attribute pop

static struct bpf_perf_event_data_kern *(*const cast_to_kernel_context)(void *ctx) =
	(void *)CAST_TO_KERNEL_CONTEXT;

/* Learns how far the two clocks are apart. The daemon started the CPU's clock in CLOCK_MONOTONIC. */
__noinline int compare_clocks(u32 cpu, u64 event_time)
{
	struct cpu_clock *clock = clock_of(cpu);

	if (!clock)
		return 0;
	u64 offset = bpf_ktime_get_ns() - event_time;
	if (!clock->compared_at)
		clock->previous_tick -= offset;
	clock->compared_at = event_time;
	clock->monotonic_offset = offset;
	return 0;
}

/* The time of this tick, ns, by the clock of `previous_tick`. */
static __always_inline u64 time_of_tick(struct bpf_perf_event_data *ctx)
{
	if (!IS_ON(SWITCH_EVENT_CLOCK))
		return bpf_ktime_get_ns();
	return *(const u64 *)&cast_to_kernel_context(ctx)->event->hw.prev_count;
}

/* Is this the first tick of the CPU by its event's clock? */
static __always_inline bool is_clock_new(const struct cpu_clock *clock)
{
	return IS_ON(SWITCH_EVENT_CLOCK) && !clock->compared_at;
}

/* The time of the tick that was just taken, ns of CLOCK_MONOTONIC. */
static __always_inline u64 monotonic_time_of_tick(u32 cpu, const struct cpu_clock *clock)
{
	if (clock->compared_at && clock->previous_tick - clock->compared_at >= CLOCK_COMPARED_NS)
		compare_clocks(cpu, clock->previous_tick);
	return clock->previous_tick + clock->monotonic_offset;
}
