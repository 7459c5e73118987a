/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sampling interval: which allocations are sampled, and which of them stay so when it is raised.
 *
 * With an interval of T bytes an allocation of S bytes is taken with the probability p = S / T, and
 * always from T bytes on; it then stands for 1 / p objects and S / p bytes, so that sums are right in the mean
 * for every place, whatever the sizes and whenever T changes. Each allocation is judged by itself: there is
 * no state that could run in step with the program. Of all ways to spend a number of samples this one makes the
 * error of the bytes least (probability proportional to size): the variance of an object is S (T - S), none from T
 * on. Marking bytes at random (p = 1 - exp(-S / T), what tcmalloc and Go do) takes fewer samples of objects near T
 * and leaves S^2 e^(-S/T) / (1 - e^(-S/T)) there; drawing marks times T leaves S T, also for large objects, and
 * cannot decide before the call. T = 1 takes everything.
 *
 * The objects alive are at any moment a sample with the interval that each of them carries. When their table
 * fills up, what comes is taken with a larger one; the daemon then raises it for good, and thin_heap() drops those
 * that the new one would not have taken.
 */
#pragma once

#include "heap_blocks.bpf.h"

volatile u64 heap_interval = HEAP_EXACT_INTERVAL; /* changed while running: bytes between two samples */

/* One of T / S, by chance. */
static __always_inline bool takes_sample(u64 size, u64 interval)
{
	u64 weighed = size < HEAP_LEAST_SIZE ? HEAP_LEAST_SIZE : size;

	return weighed >= interval || bpf_get_prandom_u32() * interval < weighed << 32;
}

/*
 * The interval for an allocation that comes now. Between two looks of the daemon the table of objects alive could
 * fill up, and what it then refuses would be missing. So in its last quarter the interval doubles with each 1/32 of
 * the table. And where a window sees more than the last one, walks of samples would take most of it: each time that
 * so many were taken, one of four is.
 */
static __always_inline u64 interval_now(const struct heap_process *process)
{
	u64 interval = process && process->interval ? process->interval : heap_interval;
	u64 step = heap_live_size / 32, live = heap_live_count, shift = 0;

	if (process && process->most)
		shift = 2 * (process->taken / process->most);
	if (step && live >= 24 * step)
		shift += (live - 24 * step) / step + 1;
	if (!shift)
		return interval;
	interval <<= shift < 16 ? shift : 16;
	return interval < HEAP_MAX_INTERVAL ? interval : HEAP_MAX_INTERVAL;
}

/* Was taken with the chance S / T of its own interval; stays with what makes that the chance of the new one. */
static long thin_block(void *map, const struct heap_block_key *key, struct heap_block *block,
		       struct heap_thinning *to)
{
	u64 weighed = block->size < block->interval ? block->interval : block->size;

	if (block->interval >= to->interval || block->window)
		return 0; /* those of windows are few */
	if (takes_sample(weighed, to->interval)) {
		block->interval = to->interval;
		return 0;
	}
	struct heap_block_key copy = *key;
	if (forget_block(&copy))
		count_heap(COUNTER_HEAP_THINNED, 1);
	return 0;
}

/* Run by the daemon, after it has raised `heap_interval`. */
SEC("syscall")
int thin_heap(struct heap_thinning *ctx)
{
	struct heap_thinning to = {.interval = ctx->interval}; /* what a callback gets has to be on the stack */

	bpf_for_each_map_elem(&heap_live, thin_block, &to, 0);
	return 0;
}
