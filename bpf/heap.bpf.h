/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What allocators do: probes on their functions keep, for each place that allocates, how many objects and
 * bytes were allocated there, and for each sampled object alive the place it came from.
 *
 * One program stands on every function. The attach cookie says what the function does and in which of the
 * context's registers its arguments are (enum allocation_role, HEAP_COOKIE). A sampled allocation is known
 * when its function returns: until then its arguments wait in `heap_pending`, one place a thread. A probed
 * function that calls another for the same request is counted once, by the outermost call. A call that is
 * not sampled costs the probe at its begin and no more: where links of sessions exist (Linux 6.13) the
 * program refuses its return.
 *
 * Which allocations are sampled: heap_interval.bpf.h. What becomes of one: heap_sample.bpf.h.
 */
#pragma once

#include "heap_blocks.bpf.h"
#include "heap_interval.bpf.h"
#include "heap_process.bpf.h"
#include "heap_sample.bpf.h"
#include "registers.bpf.h"

/* Key: thread (the host's number). Size: threads that allocate at one moment. A thread that is killed in a call leaves it:
 * the daemon takes out what dead ones left. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_call);
} heap_pending SEC(".maps");

/* Bytes that the host has, with swap. A request of more fails, and a C++ exception cannot pass the kernel's return
 * probe: the program would be terminated. */
const volatile u64 heap_largest_request = ~0ULL;

static __always_inline void on_heap_free(u64 mode, u64 address)
{
	u64 window;

	if (address && mode != HEAP_MODE_ALLOCATIONS)
		count_free(drop_block(address, &window));
}

/* The request that begins, into *call. */
static __always_inline void take_request(struct pt_regs *ctx, u64 cookie,
					 const struct heap_process *process, struct heap_call *call)
{
	u64 interval = interval_now(process);

	call->size = heap_register(ctx, cookie, HEAP_COOKIE_SIZE);
	if ((cookie >> HEAP_COOKIE_COUNT & 0xff) != HEAP_NO_REGISTER)
		call->size *= heap_register(ctx, cookie, HEAP_COOKIE_COUNT);
	if (takes_sample(call->size, interval))
		call->interval = interval;
	if (call->role == ALLOCATION_REALLOC && call->pointer)
		call->has_old = take_block(call->pointer, &call->old);
}

/* A call that is not sampled and changes nothing that is known: it counts as if it had succeeded. (Those that
 * fail ask for more than any interval, and are sampled.) */
static __always_inline void count_unsampled(u64 cookie, const struct heap_call *call)
{
	if (call->role == ALLOCATION_REALLOC && call->pointer)
		count_free(false);
	if (call->role != ALLOCATION_REALLOC || !call->pointer || call->size)
		count_allocation(cookie, call->size);
}

/* A function that hands its request on by a jump may have moved the stack pointer a little by then. */
#define HEAP_JUMP_SLACK 128

/*
 * Has the call that waits for its return come back unseen? A kernel that is short of time or nests too deeply can
 * lose a return, and a program may jump out of a function. What such a call left must not pass for one that goes on:
 * all later calls of the thread would be taken for a part of it. A call on its way makes others further down the
 * stack; only by a jump, to another function, can they stand where it stands.
 */
static __always_inline bool is_over(const struct heap_call *pending, u64 sp, u64 ip, u32 role)
{
	if (sp == pending->sp)
		return ip == pending->ip ||
		       (role == ALLOCATION_FREE && pending->role != ALLOCATION_REALLOC);
	return sp > pending->sp + HEAP_JUMP_SLACK;
}

/* The call of this thread that waits for its return in this window, null: none. One that is over is forgotten. */
static __always_inline struct heap_call *call_under_way(u32 thread, u64 window, u64 sp, u64 ip, u32 role)
{
	struct heap_call *pending = bpf_map_lookup_elem(&heap_pending, &thread);

	if (!pending || pending->window != window)
		return 0;
	if (is_over(pending, sp, ip, role)) {
		count_heap(COUNTER_HEAP_LOST_RETURNS, 1);
		bpf_map_delete_elem(&heap_pending, &thread);
		return 0;
	}
	return sp <= pending->sp ? pending : 0;
}

/* Would the call throw for want of memory? `operator new` has these roles; see `heap_largest_request`. */
static __always_inline bool is_too_large(void *ctx, u64 cookie, u32 role)
{
	return (role == ALLOCATION_MALLOC || role == ALLOCATION_ALIGNED) &&
	       heap_register(ctx, cookie, HEAP_COOKIE_SIZE) > heap_largest_request;
}

/* Returns whether the call's return need not be seen. Without sessions it is seen all the same. */
static __always_inline int begin_heap_call(struct pt_regs *ctx, bool in_session)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 thread = (u32)bpf_get_current_pid_tgid(), role = cookie & 0xff;
	u64 pointer = heap_register(ctx, cookie, HEAP_COOKIE_POINTER);
	u64 sp = heap_stack_pointer(ctx), ip = heap_instruction_pointer(ctx);
	struct heap_process *process = heap_process_of(cookie);
	u64 mode = heap_mode_of(process), window = heap_window_of(process);

	if (process) {
		__sync_fetch_and_add(role == ALLOCATION_FREE ? &process->frees : &process->calls, 1);
		note_point(process->called_at, HEAP_CALL_POINTS, ip);
	}
	if (mode == HEAP_MODE_RESTING)
		return 1;
	struct heap_call *outer = call_under_way(thread, window, sp, ip, role);
	if (outer) {
		if (role != ALLOCATION_FREE && !in_session)
			outer->depth++;
		return 1;
	}
	if (role == ALLOCATION_FREE) {
		on_heap_free(mode, pointer);
		return 1;
	}
	if (mode == HEAP_MODE_FREES) {
		if (role == ALLOCATION_REALLOC && pointer)
			forget_earlier(pointer);
		return 1;
	}
	if (in_session && is_too_large(ctx, cookie, role)) {
		count_heap(COUNTER_HEAP_TOO_LARGE, 1);
		return 1;
	}
	struct heap_call call = {.sp = sp,
				 .ip = ip,
				 .role = role,
				 .pointer = pointer,
				 .window = window};
	take_request(ctx, cookie, process, &call);
	if (mode == HEAP_MODE_TRIAL)
		call.interval = 0;
	if (!call.interval && !call.has_old &&
	    !(cookie >> HEAP_COOKIE_FLAGS & HEAP_PROBE_NESTS)) {
		count_unsampled(cookie, &call);
		return 1;
	}
	call.tid = number_task(bpf_get_current_pid_tgid()).tid;
	if (bpf_map_update_elem(&heap_pending, &thread, &call, BPF_ANY))
		count_heap(COUNTER_HEAP_LOST, 1);
	return 0;
}

/* The block that the call which returns has given, 0: none. */
static __always_inline u64 allocated_address(struct pt_regs *ctx, const struct heap_call *call)
{
	u64 address = heap_return_value(ctx);

	if (call->role == ALLOCATION_POSIX_MEMALIGN) {
		u64 failed = (u32)address;
		address = 0;
		if (!failed)
			bpf_probe_read_user(&address, sizeof(address), (void *)call->pointer);
	}
	return address;
}

/* The old block of a realloc that succeeded is freed. */
static __always_inline void count_realloc(const struct heap_call *call)
{
	count_free(call->has_old);
	if (!call->has_old)
		return;
	struct heap_death death = death_of(&call->old);
	add_death(&death);
}

static __always_inline int end_heap_call(struct pt_regs *ctx, u64 cookie)
{
	u32 thread = (u32)bpf_get_current_pid_tgid();
	struct heap_call *pending = bpf_map_lookup_elem(&heap_pending, &thread);
	struct heap_process *process = heap_process_of(cookie);

	note_point(heap_returned_to, HEAP_RETURN_POINTS, heap_instruction_pointer(ctx));
	if (process)
		__sync_fetch_and_add(&process->returns, 1);
	if (!pending || pending->window != heap_window_of(process))
		return 0; /* called before the probes were set, or not sampled */
	if (pending->depth > 0) {
		pending->depth--;
		return 0;
	}
	struct heap_call call = *pending;
	bpf_map_delete_elem(&heap_pending, &thread);
	u64 address = allocated_address(ctx, &call);
	if (call.role == ALLOCATION_REALLOC && call.pointer) {
		if (address || !call.size) /* to no bytes and NULL: it is freed */
			count_realloc(&call);
		else if (call.has_old)
			keep_block(call.pointer, &call.old);
	}
	if (address) {
		count_allocation(cookie, call.size);
		if (call.interval)
			sample_allocation(ctx, address, &call, process);
	}
	return 0;
}

SEC("uprobe")
int on_allocator_call(struct pt_regs *ctx)
{
	begin_heap_call(ctx, false);
	return 0;
}

SEC("uretprobe")
int on_allocator_return(struct pt_regs *ctx)
{
	return end_heap_call(ctx, bpf_get_attach_cookie(ctx));
}

/* Both in one, where links of sessions exist. A call is met on the instruction that is probed; its return,
 * behind the caller's instruction. (The kernel's own way to tell has changed its arguments.) Returning 1 from a
 * call refuses its return. */
SEC("uprobe")
int on_allocator_session(struct pt_regs *ctx)
{
	if (heap_instruction_pointer(ctx) == bpf_get_func_ip(ctx))
		return begin_heap_call(ctx, true);
	return end_heap_call(ctx, bpf_get_attach_cookie(ctx));
}
