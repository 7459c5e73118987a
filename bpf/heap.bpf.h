/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What allocators do: probes on their functions keep, for each place that allocates, how many objects and
 * bytes were allocated and freed there, and for each object alive the place it came from.
 *
 * One program stands on every function. The attach cookie says what the function does and in which of the
 * context's registers its arguments are (enum allocation_role, HEAP_COOKIE). An allocation is known when
 * its function returns: until then its arguments wait in `heap_pending`, one place a thread. A probed
 * function that calls another for the same request is counted once, by the outermost call.
 *
 * A block that may die is taken out of `heap_live` before the allocator gets it, since the moment after
 * another thread may be given its address; a realloc that fails puts it back. So that nothing depends on
 * the ring, totals are added up here; the ring carries each place's stack once.
 */
#pragma once

#include "unwind.bpf.h"

struct heap_block_key {
	u64 address;
	u32 host_pid;
	u32 exec_id;
};

struct heap_block {
	struct heap_site_key site;
	u64 size;
};

/* A call on its way. */
struct heap_call {
	u64 sp;	  /* at the outermost call: calls it makes have lower ones */
	u64 role; /* enum allocation_role */
	u64 size;
	u64 pointer;
	u64 has_old; /* realloc: `old` was alive */
	struct heap_block old;
	u64 depth; /* calls inside it that have not returned */
};

/* Key: see wire.h. Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_site_key);
	__type(value, struct heap_site);
} heap_sites SEC(".maps");

/* Key: an object alive. Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_block_key);
	__type(value, struct heap_block);
} heap_live SEC(".maps");

/* Key: thread (the host's number). Size: threads that allocate at one moment. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_call);
} heap_pending SEC(".maps");

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

static __always_inline struct heap_block_key heap_block_at(u64 address)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct heap_block_key key = {.address = address,
				     .host_pid = bpf_get_current_pid_tgid() >> 32,
				     .exec_id = BPF_CORE_READ(task, self_exec_id)};
	return key;
}

static __always_inline void count_freed(const struct heap_block *block)
{
	struct heap_site *site = bpf_map_lookup_elem(&heap_sites, &block->site);

	if (!site)
		return;
	__sync_fetch_and_add(&site->freed_objects, 1);
	__sync_fetch_and_add(&site->freed_bytes, block->size);
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
	return bpf_map_delete_elem(&heap_live, &key) == 0;
}

static __always_inline void on_heap_free(u64 address)
{
	struct heap_block block;

	if (!address)
		return;
	count_heap(COUNTER_HEAP_FREES, 1);
	if (take_block(address, &block))
		count_freed(&block);
	else
		count_heap(COUNTER_HEAP_UNKNOWN_FREES, 1);
}

SEC("uprobe")
int on_allocator_call(struct pt_regs *ctx)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 thread = (u32)bpf_get_current_pid_tgid(), role = cookie & 0xff;
	u64 pointer = heap_register(ctx, cookie, HEAP_COOKIE_POINTER);
	struct heap_call *pending = bpf_map_lookup_elem(&heap_pending, &thread);
	u64 sp = heap_stack_pointer(ctx);

	if (pending && sp <= pending->sp) {
		if (role != ALLOCATION_FREE)
			pending->depth++;
		return 0;
	}
	if (role == ALLOCATION_FREE) {
		on_heap_free(pointer);
		return 0;
	}
	struct heap_call call = {.sp = sp, .role = role, .pointer = pointer};
	call.size = heap_register(ctx, cookie, HEAP_COOKIE_SIZE);
	if ((cookie >> HEAP_COOKIE_COUNT & 0xff) != HEAP_NO_REGISTER)
		call.size *= heap_register(ctx, cookie, HEAP_COOKIE_COUNT);
	if (role == ALLOCATION_REALLOC && pointer)
		call.has_old = take_block(pointer, &call.old);
	if (bpf_map_update_elem(&heap_pending, &thread, &call, BPF_ANY)) {
		count_heap(COUNTER_HEAP_LOST, 1);
		if (call.has_old)
			count_freed(&call.old);
	}
	return 0;
}

/* The stack of the call that has just returned, from the registers there. */
static __always_inline void take_caller_stack(struct pt_regs *ctx, u32 walk, struct scratch *s)
{
	struct user_registers *copy = (struct user_registers *)s->window;

	if (bpf_probe_read_kernel(copy, sizeof(*copy), ctx) || is_compat(copy)) {
		s->sample.end = STACK_END_COMPAT_TASK;
	} else {
		take_registers(s, copy);
		s->lookup_pc = s->pc - 1;
		s->after_kernel_entry = 0;
		unwind_user(walk, s);
	}
	if (s->sample.end > STACK_END_IN_EXEC)
		push_frame(s, FRAME_WORD_END(s->sample.end));
}

static __always_inline struct scratch *begin_probe_walk(u32 *walk)
{
	for (u32 i = 0; i < PROBE_WALKS; i++) {
		*walk = (WALK_PROBE + i) * cpu_count + bpf_get_smp_processor_id();
		struct scratch *s = begin_walk(*walk);
		if (s)
			return s;
	}
	return 0;
}

static __always_inline struct heap_site *heap_site_of(const struct heap_site_key *key)
{
	struct heap_site *site = bpf_map_lookup_elem(&heap_sites, key);

	if (site)
		return site;
	struct heap_site none = {};
	bpf_map_update_elem(&heap_sites, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&heap_sites, key);
}

static __always_inline void add_block(u64 address, const struct heap_site_key *site, u64 size)
{
	struct heap_block_key key = heap_block_at(address);
	struct heap_block block = {.site = *site, .size = size}, older;

	/* An address is given out once until it is freed: that free was not seen. */
	if (take_block(address, &older)) {
		count_heap(COUNTER_HEAP_MISSED_FREES, 1);
		count_freed(&older);
	}
	if (bpf_map_update_elem(&heap_live, &key, &block, BPF_ANY)) {
		/* Nobody will see it freed: in use it does not count. */
		count_heap(COUNTER_HEAP_LIVE_FULL, 1);
		count_freed(&block);
	}
}

static __always_inline void add_allocation(struct pt_regs *ctx, u64 address, u64 size)
{
	u32 walk;
	struct scratch *s = begin_probe_walk(&walk);

	count_heap(COUNTER_HEAP_ALLOCATIONS, 1);
	count_heap(COUNTER_HEAP_BYTES, size);
	if (!s) {
		count_heap(COUNTER_HEAP_LOST, 1);
		return;
	}
	struct task_numbers numbers = number_task(bpf_get_current_pid_tgid());
	describe_task(s, current_task(), numbers);
	describe_sample(s, bpf_get_smp_processor_id(), EVENT_ALLOCATION, bpf_ktime_get_ns(), 0);
	s->sample.tid = s->sample.pid; /* a place belongs to the process */
	s->sample.flags = SAMPLE_USER_MODE;
	take_caller_stack(ctx, walk, s);
	struct heap_site_key key = {.stack_id = finish_stack_id(s),
				    .process_start = s->sample.process_start,
				    .pid = s->sample.pid,
				    .exec_id = s->sample.exec_id};
	struct heap_site *site = heap_site_of(&key);
	if (site) {
		__sync_fetch_and_add(&site->allocated_objects, 1);
		__sync_fetch_and_add(&site->allocated_bytes, size);
		add_block(address, &key, size);
		if (!site->is_sent)
			site->is_sent = send_sample(walk);
	} else {
		count_heap(COUNTER_HEAP_SITES_FULL, 1);
	}
	end_walk(s);
}

SEC("uretprobe")
int on_allocator_return(struct pt_regs *ctx)
{
	u32 thread = (u32)bpf_get_current_pid_tgid();
	struct heap_call *pending = bpf_map_lookup_elem(&heap_pending, &thread);

	if (!pending)
		return 0; /* called before the probes were set */
	if (pending->depth > 0) {
		pending->depth--;
		return 0;
	}
	struct heap_call call = *pending;
	bpf_map_delete_elem(&heap_pending, &thread);
	u64 address = heap_return_value(ctx);
	if (call.role == ALLOCATION_POSIX_MEMALIGN) {
		u64 failed = (u32)address;
		address = 0;
		if (!failed)
			bpf_probe_read_user(&address, sizeof(address), (void *)call.pointer);
	}
	if (call.role == ALLOCATION_REALLOC && call.pointer) {
		if (address || !call.size) { /* to no bytes and NULL: it is freed */
			count_heap(COUNTER_HEAP_FREES, 1);
			if (call.has_old)
				count_freed(&call.old);
			else
				count_heap(COUNTER_HEAP_UNKNOWN_FREES, 1);
		} else if (call.has_old) {
			struct heap_block_key key = heap_block_at(call.pointer);
			bpf_map_update_elem(&heap_live, &key, &call.old, BPF_ANY);
		}
	}
	if (address)
		add_allocation(ctx, address, call.size);
	return 0;
}
