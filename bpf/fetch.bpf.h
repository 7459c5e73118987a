/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory that a tick will need, asked for at once.
 *
 * Between two ticks other programs, and on a virtual machine its neighbours, have the caches: nearly
 * everything a tick touches comes from memory. One line after the other, as a walk comes to them, that is
 * most of what a tick costs; a processor that has many loads under way waits for all of them little longer
 * than for one. So the loads come first, and their values are thrown away. What is missing here costs
 * time, never a wrong sample.
 *
 * In two steps: an unselected tick does not pay for the scratch. Where every tick becomes a sample, the second one is
 * taken before anything else is looked at, so that the code of what follows comes from memory meanwhile.
 */
#pragma once

#include "maps.bpf.h"

#define FETCH(address) ((void)*(const volatile char *)(address))

/* What every tick needs. The kernel's function that tells the task is code that is not in the cache: these come
 * before it, and are on their way while it is waited for. */
static __always_inline void fetch_for_tick(const struct cpu_clock *clock, const struct tick_settings *settings)
{
	FETCH(&clock->previous_tick);
	FETCH(&clock->refused_pids[0]);
	FETCH(&settings->generation);
}

/* The ring's size and its lock, and its positions; the map's own type is known since 41c48f3a9823 ("bpf: Support access
 * to bpf map fields", 5.9). */
static __always_inline void fetch_ring(void)
{
	const struct bpf_ringbuf_map *map = (void *)&ring;

	if (!bpf_core_field_exists(map->rb))
		return;
	const struct bpf_ringbuf *positions = map->rb;
	(void)*(const volatile u64 *)&positions->mask;
	if (bpf_core_field_exists(positions->busy))
		(void)*(const volatile int *)&positions->busy.counter;
	(void)*(const volatile unsigned long *)&positions->consumer_pos;
	(void)*(const volatile unsigned long *)&positions->producer_pos;
}

/* What a walk reads: the front of the scratch, the record, and the rules of the walk before it on this
 * CPU, which share their outer frames more often than not. */
__noinline int fetch_for_walk(u32 walk)
{
	const struct scratch *s = scratch_of(walk);
	const struct cpu_counters *c = bpf_map_lookup_elem(&counters, &walk);

	if (!s)
		return 0;
	u32 count = s->recent_count;
	if (c) {
		FETCH(&c->values[0]);
		FETCH(&c->values[CACHE_LINE / 8]);
	}
	FETCH(&stack_epoch);

#pragma unroll
	for (u32 at = 0; at < HOT_SCRATCH_SIZE; at += CACHE_LINE)
		FETCH((const char *)s + at);
	FETCH(&s->sample);
	FETCH(&s->sample.event);
	fetch_ring();
	for (u32 i = 0; i < RECENT_RULES; i++) {
		if (i >= count)
			break;
		FETCH(&s->rules[s->recent_rules[i] & (RULE_SETS - 1)]);
	}
	return 0;
}

/* Will the tick of a task become a sample, whatever that is found to be? */
static __always_inline bool is_surely_taken(const struct tick_settings *settings)
{
	return settings->takes_all && !settings->leaves_out;
}
