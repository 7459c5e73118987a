/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sampled objects that are alive, each with the place it came from.
 *
 * A block that may die is taken out before the allocator gets it, since the moment after another thread may be given its
 * address; a realloc that fails puts it back.
 *
 * What outlives a window stays, so that later windows may see it freed, or its address given out again.
 */
#pragma once

#include "heap_process.bpf.h"
#include "heap_sites.bpf.h"

/* Key: an object alive. Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_block_key);
	__type(value, struct heap_block);
} heap_live SEC(".maps");

const volatile u64 heap_live_size = 1; /* of `heap_live` */

volatile u64 heap_live_count; /* changed while running: how many are in it */

/* Tells the programs apart that a process number stands for one after the other. Judged once a program by the
 * verifier, which looks through all names of the kernel's types for each field that is read by its type. */
__noinline u32 heap_program(void)
{
	struct task_struct *task = current_task();
	struct task_struct *leader = READ_TYPED(task, group_leader);
	u64 start = READ_TYPED(leader, start_time);

	return READ_TYPED(task, self_exec_id) * 0x9e3779b1U ^ (u32)(start >> 8);
}

static __always_inline struct heap_block_key heap_block_at(u64 address)
{
	struct heap_block_key key = {.address = address,
				     .host_pid = bpf_get_current_pid_tgid() >> 32,
				     .program = heap_program()};
	return key;
}

static __always_inline bool forget_block(const struct heap_block_key *key)
{
	if (bpf_map_delete_elem(&heap_live, key))
		return false;
	__sync_fetch_and_add(&heap_live_count, -1);
	return true;
}

/* Takes a block out of those alive, into *ret. Returns whether it was known. */
static __always_inline bool take_block(u64 address, struct heap_block *ret)
{
	struct heap_block_key key = heap_block_at(address);
	struct heap_block *block = bpf_map_lookup_elem(&heap_live, &key);

	if (!block)
		return false;
	*ret = *block;
	/* Freed twice, by two threads: the one that takes it out counts. */
	return forget_block(&key);
}

/* As well, and it is freed. Only its window is asked: no copy on the stack, which the walk needs. */
static __always_inline bool drop_block(u64 address, u64 *ret_window)
{
	struct heap_block_key key = heap_block_at(address);
	struct heap_block *block = bpf_map_lookup_elem(&heap_live, &key);

	if (!block)
		return false;
	*ret_window = block->window;
	struct heap_death death = death_of(block);
	if (!forget_block(&key))
		return false;
	add_death(&death);
	return true;
}

static __always_inline bool keep_block(u64 address, const struct heap_block *block)
{
	struct heap_block_key key = heap_block_at(address);

	/* Counted first: whoever takes it out the moment it is in must not count below none, which would look like
	 * a table that is more than full. */
	__sync_fetch_and_add(&heap_live_count, 1);
	if (bpf_map_update_elem(&heap_live, &key, block, BPF_NOEXIST) == 0)
		return true;
	__sync_fetch_and_add(&heap_live_count, -1);
	return false;
}

static __always_inline void add_block(u64 address, const struct heap_block *block)
{
	u64 older;

	/* An address is given out once until it is freed: that free was not seen. Between windows that is usual. */
	if (drop_block(address, &older) && older == block->window)
		count_heap(COUNTER_HEAP_MISSED_FREES, 1);
	if (!keep_block(address, block))
		count_heap(COUNTER_HEAP_LIVE_FULL, 1); /* nobody will see it freed: in use it does not count */
}

/* What outlived an earlier window at that address has been freed since. */
static __always_inline void forget_earlier(u64 address)
{
	u64 window;

	drop_block(address, &window);
}
