/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a process whose allocators are probed: what the daemon asks of its probes, and what they saw, sampled
 * or not. The attach cookie of a probe says which process that is, and in which of the context's registers the
 * function's arguments are (HEAP_COOKIE in wire_heap.h).
 */
#pragma once

#include "maps.bpf.h"
#include "registers.bpf.h"

/* Key: see HEAP_COOKIE_PROCESS. Size: processes that can be told apart, the first entry for all others. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_process);
} heap_processes SEC(".maps");

/* Where calls went on whose return was seen, of all processes. */
volatile u64 heap_returned_to[HEAP_RETURN_POINTS];

/* Several of these programs may run on one CPU by turns: one's addition must not undo another's. */
static __always_inline void count_heap(enum counter counter, u64 more)
{
	u32 walk = WALK_PROBE * cpu_count + bpf_get_smp_processor_id();
	struct cpu_counters *c = bpf_map_lookup_elem(&counters, &walk);

	if (c)
		__sync_fetch_and_add(&c->values[counter], more);
}

/* The register that a cookie names, 0 without one. */
static __always_inline u64 heap_register(void *ctx, u64 cookie, u32 shift)
{
	u64 index = cookie >> shift & 0xff, value = 0;

	if (index == HEAP_NO_REGISTER || index >= sizeof(struct user_registers) / 8)
		return 0;
	bpf_probe_read_kernel(&value, sizeof(value), (void *)((u64)ctx + index * 8));
	return value;
}

static __always_inline struct heap_process *heap_process_of(u64 cookie)
{
	u32 index = cookie >> HEAP_COOKIE_PROCESS;

	return bpf_map_lookup_elem(&heap_processes, &index);
}

/* An allocation that succeeded, sampled or not. */
static __always_inline void count_allocation(u64 cookie, u64 size)
{
	struct heap_process *process = heap_process_of(cookie);

	count_heap(COUNTER_HEAP_ALLOCATIONS, 1);
	count_heap(COUNTER_HEAP_BYTES, size);
	if (!process)
		return;
	__sync_fetch_and_add(&process->allocations, 1);
	__sync_fetch_and_add(&process->bytes, size);
}

static __always_inline void count_free(bool is_known)
{
	count_heap(COUNTER_HEAP_FREES, 1);
	if (!is_known)
		count_heap(COUNTER_HEAP_UNKNOWN_FREES, 1);
}

static __always_inline u64 heap_mode_of(const struct heap_process *process)
{
	return process ? *(volatile const u64 *)&process->mode : HEAP_MODE_ALL;
}

static __always_inline u64 heap_window_of(const struct heap_process *process)
{
	return process ? *(volatile const u64 *)&process->window : 0;
}

/* Of calls that have begun in a window. */
static __always_inline bool is_of_window(u64 mode)
{
	return mode == HEAP_MODE_ALLOCATIONS || mode == HEAP_MODE_SURVIVORS || mode == HEAP_MODE_FREES;
}

/* Keeps an address. Its slot may be another's, then the next one is tried. */
static __always_inline void note_point(volatile u64 *points, u32 slots, u64 address)
{
	u32 slot = heap_point_slot(address, slots);

	asm volatile("" : "+r"(slot)); /* the index itself is compared: the verifier of 6.1 sees no other bound */
	if (slot >= slots - 1)
		return;
	if (points[slot] && points[slot] != address)
		slot++;
	if (points[slot] != address)
		points[slot] = address;
}
