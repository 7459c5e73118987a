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
 * Sampling. With an interval of T bytes an allocation of S bytes is taken with the probability p = S / T, and
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
 *
 * How long an object lived is known when it is freed, from the time that it carries, and added up at its place. What is
 * found out late, because its free was not seen, lived no longer than that.
 *
 * What a window shows stands for more where probes slow the program down more, and by how much is known when it is over. So
 * it is added up by itself, in `heap_window_sites`, until the daemon takes it. One window is open at a time.
 *
 * What outlives a window stays in `heap_live`, so that later windows may see it freed, or its address given out
 * again.
 *
 * A block that may die is taken out of `heap_live` before the allocator gets it, since the moment after
 * another thread may be given its address; a realloc that fails puts it back. So that nothing depends on
 * the ring, totals are added up here; the ring carries each place's stack once.
 */
#pragma once

#include "unwind.bpf.h"

/* Key: see wire.h. Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_site_key);
	__type(value, struct heap_site);
} heap_sites SEC(".maps");

/* Of the window that is open, or of the last one. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_site_key);
	__type(value, struct heap_site);
} heap_window_sites SEC(".maps");

/* Key: an object alive. Size: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct heap_block_key);
	__type(value, struct heap_block);
} heap_live SEC(".maps");

/* Key: thread (the host's number). Size: threads that allocate at one moment. A thread that is killed in a call leaves it:
 * the daemon takes out what dead ones left. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_call);
} heap_pending SEC(".maps");

/* Key: see HEAP_COOKIE_PROCESS. Size: processes that can be told apart, the first entry for all others. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_process);
} heap_processes SEC(".maps");

/* Bytes that the host has, with swap. A request of more fails, and a C++ exception cannot pass the kernel's return
 * probe: the program would be terminated. */
const volatile u64 heap_largest_request = ~0ULL;
const volatile u64 heap_live_size = 1; /* of `heap_live` */

/* Changed while running: bytes between two samples; how many objects are in `heap_live`. */
volatile u64 heap_interval = HEAP_EXACT_INTERVAL;
volatile u64 heap_live_count;

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

static __always_inline bool forget_block(const struct heap_block_key *key)
{
	if (bpf_map_delete_elem(&heap_live, key))
		return false;
	__sync_fetch_and_add(&heap_live_count, -1);
	return true;
}

/*
 * What one sampled object stands for, and where it is added when it is freed. Found out before it leaves `heap_live`, whose
 * memory of it may be another's from then on; added after that, by the one who took it out.
 */
struct heap_death {
	struct heap_sum *sum; /* of its place and the time it lived; 0: its place is not known */
	u64 objects, bytes;
};

static __always_inline struct heap_death death_of(const struct heap_block *block)
{
	struct heap_death death = {.objects = heap_weight(block->size, block->interval), .bytes = block->size};
	struct heap_site *site = bpf_map_lookup_elem(&heap_sites, &block->site);
	u32 class = heap_lifetime_class(bpf_ktime_get_ns() - block->time);

	if (death.objects > HEAP_WEIGHT_ONE)
		death.bytes += death.bytes * (death.objects - HEAP_WEIGHT_ONE) >> 16;
	asm volatile("" : "+r"(class)); /* the index itself is compared: the verifier of 6.1 sees no other bound */
	if (site && class < HEAP_LIFETIMES)
		death.sum = &site->freed[class];
	return death;
}

static __always_inline void add_death(const struct heap_death *death)
{
	if (!death->sum)
		return;
	__sync_fetch_and_add(&death->sum->objects, death->objects);
	__sync_fetch_and_add(&death->sum->bytes, death->bytes);
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

static __always_inline void count_free(u64 cookie, bool is_known)
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

static __always_inline void on_heap_free(u64 cookie, u64 mode, u64 address)
{
	u64 window;

	if (address && mode != HEAP_MODE_ALLOCATIONS)
		count_free(cookie, drop_block(address, &window));
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
		count_free(cookie, false);
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

/* Returns whether the call's return need not be seen. Without sessions it is seen all the same. */
static __always_inline int begin_heap_call(struct pt_regs *ctx, bool in_session)
{
	u64 cookie = bpf_get_attach_cookie(ctx);
	u32 thread = (u32)bpf_get_current_pid_tgid(), role = cookie & 0xff;
	u64 pointer = heap_register(ctx, cookie, HEAP_COOKIE_POINTER);
	struct heap_call *pending = bpf_map_lookup_elem(&heap_pending, &thread);
	u64 sp = heap_stack_pointer(ctx), ip = heap_instruction_pointer(ctx);
	struct heap_process *process = heap_process_of(cookie);
	u64 mode = heap_mode_of(process), window = heap_window_of(process);

	if (process) {
		__sync_fetch_and_add(role == ALLOCATION_FREE ? &process->frees : &process->calls, 1);
		note_point(process->called_at, HEAP_CALL_POINTS, ip);
	}
	if (mode == HEAP_MODE_RESTING)
		return 1;
	if (pending && pending->window == window && is_over(pending, sp, ip, role)) {
		count_heap(COUNTER_HEAP_LOST_RETURNS, 1);
		bpf_map_delete_elem(&heap_pending, &thread);
		pending = 0;
	}
	if (pending && pending->window == window && sp <= pending->sp) {
		if (role != ALLOCATION_FREE && !in_session)
			pending->depth++;
		return 1;
	}
	if (role == ALLOCATION_FREE) {
		on_heap_free(cookie, mode, pointer);
		return 1;
	}
	if (mode == HEAP_MODE_FREES) {
		u64 old;
		if (role == ALLOCATION_REALLOC && pointer)
			drop_block(pointer, &old);
		return 1;
	}
	if (in_session && (role == ALLOCATION_MALLOC || role == ALLOCATION_ALIGNED) &&
	    heap_register(ctx, cookie, HEAP_COOKIE_SIZE) > heap_largest_request) {
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

static __always_inline struct heap_site *heap_site_in(void *sites, const struct heap_site_key *key)
{
	static const struct heap_site none; /* not on the stack, which the walk needs */
	struct heap_site *site = bpf_map_lookup_elem(sites, key);

	if (site)
		return site;
	bpf_map_update_elem(sites, key, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(sites, key);
}

/* Of calls that have begun in a window. */
static __always_inline bool is_of_window(u64 mode)
{
	return mode == HEAP_MODE_ALLOCATIONS || mode == HEAP_MODE_SURVIVORS || mode == HEAP_MODE_FREES;
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

/* `watched`: the place, where it is looked what of it is freed; or 0. */
static __always_inline void add_to_site(struct heap_site *site, struct heap_site *watched, const struct heap_call *call)
{
	u64 weight = heap_weight(call->size, call->interval);
	u64 coarse = weight >> 8, bytes = call->size;

	__sync_fetch_and_add(&site->samples, 1);
	__sync_fetch_and_add(&site->objects, weight);
	if (weight > HEAP_WEIGHT_ONE) {
		/* Both are less than 2^54: see HEAP_MAX_INTERVAL. Horvitz and Thompson's estimate of their own
		 * variance: the square times w (w - 1). */
		u64 extra = bytes * (weight - HEAP_WEIGHT_ONE) >> 16;
		bytes += extra;
		__sync_fetch_and_add(&site->object_variance, coarse * (coarse - 256) >> 8);
		__sync_fetch_and_add(&site->byte_variance, bytes * extra >> 10);
	}
	__sync_fetch_and_add(&site->bytes, bytes);
	if (!watched)
		return;
	__sync_fetch_and_add(&watched->watched, 1);
	__sync_fetch_and_add(&watched->watched_sum.objects, weight);
	__sync_fetch_and_add(&watched->watched_sum.bytes, bytes);
}

static __always_inline void sample_allocation(struct pt_regs *ctx, u64 address, const struct heap_call *call,
					      struct heap_process *process)
{
	u64 begin = bpf_ktime_get_ns();
	u64 mode = heap_mode_of(process), window = process && mode ? process->window : 0;
	u32 walk;
	struct scratch *s = begin_probe_walk(&walk);

	if (!s) {
		count_heap(COUNTER_HEAP_LOST, 1);
		return;
	}
	struct task_numbers numbers = number_task(bpf_get_current_pid_tgid());
	describe_task(s, walk, current_task(), numbers);
	describe_sample(s, bpf_get_smp_processor_id(), EVENT_ALLOCATION, begin, 0);
	s->sample.tid = s->sample.pid; /* a place belongs to the process */
	s->sample.flags = SAMPLE_USER_MODE;
	take_caller_stack(ctx, walk, s);
	struct heap_block block = {.site = {.stack_id = finish_stack_id(s),
					    .process_start = s->sample.process_start,
					    .pid = s->sample.pid,
					    .exec_id = s->sample.exec_id},
				   .size = call->size,
				   .interval = call->interval,
				   .time = begin,
				   .window = window};
	struct heap_site *site = heap_site_in(&heap_sites, &block.site), *sums = site;
	if (is_of_window(mode))
		sums = heap_site_in(&heap_window_sites, &block.site);
	if (process)
		process->process_start = block.site.process_start;
	if (process)
		__sync_fetch_and_add(&process->taken, 1);
	if (site && sums) {
		count_heap(COUNTER_HEAP_SAMPLES, 1);
		add_to_site(sums, mode == HEAP_MODE_SURVIVORS ? site : 0, call);
		if (mode == HEAP_MODE_ALL || mode == HEAP_MODE_SURVIVORS)
			add_block(address, &block);
		else
			forget_earlier(address);
		if (!site->is_sent)
			site->is_sent = send_sample(walk);
	} else {
		count_heap(COUNTER_HEAP_SITES_FULL, 1);
	}
	end_walk(s);
	if (process)
		__sync_fetch_and_add(&process->walk_ns, bpf_ktime_get_ns() - begin);
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
static __always_inline void count_realloc(u64 cookie, const struct heap_call *call)
{
	count_free(cookie, call->has_old);
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
			count_realloc(cookie, &call);
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

struct heap_thinning_state {
	u64 interval;
};

/* Was taken with the chance S / T of its own interval; stays with what makes that the chance of the new one. */
static long thin_block(void *map, const struct heap_block_key *key, struct heap_block *block,
		       struct heap_thinning_state *state)
{
	u64 weighed = block->size < block->interval ? block->interval : block->size;

	if (block->interval >= state->interval || block->window)
		return 0; /* those of windows are few */
	if (takes_sample(weighed, state->interval)) {
		block->interval = state->interval;
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
	struct heap_thinning_state state = {.interval = ctx->interval};

	bpf_for_each_map_elem(&heap_live, thin_block, &state, 0);
	return 0;
}
