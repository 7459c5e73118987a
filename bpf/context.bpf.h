/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The trace context of the interrupted thread. Instrumented programs keep a pointer to it in a variable of each
 * thread; where that lies the daemon finds out for each process (daemon/process/thread_context.h), and only
 * those processes pay for being looked into. Everything read here is the program's own: it may point anywhere,
 * and what cannot be read without a fault is counted and left out.
 *
 * Source: OpenTelemetry's OTEP 4947 (thread context): the thread is interrupted while this reads, so what a signal
 * handler in it may rely on holds: a record whose `valid` is 1 is whole.
 */
#pragma once

#include "maps.bpf.h"

#define CONTEXT_VALID 1

/* The head of a thread's context; attributes follow. */
struct thread_context {
	u64 ids[TRACE_WORDS]; /* struct record_trace */
	u8 valid;
	u8 flags;
	u16 attributes_size;
};
#define THREAD_CONTEXT_SIZE 28 /* without the padding */

/* May the process be one that has contexts? False for nearly all others, without a search. */
static __always_inline bool may_have_context(u32 pid)
{
	return context_pids >> (pid & 63) & 1;
}

static __always_inline u64 thread_pointer(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

#if defined(__TARGET_ARCH_x86)
	return BPF_CORE_READ(task, thread.fsbase);
#else
	return BPF_CORE_READ(task, thread.uw.tp_value);
#endif
}

static __always_inline int read_word(u64 *to, u64 address)
{
	return bpf_probe_read_user(to, sizeof(*to), (void *)address);
}

/* Where the variables of a module are in this thread; 0: nowhere yet. Negative: cannot be read. */
static __always_inline int find_block(const struct context_place *place, u64 thread, u64 *block)
{
	u64 vector, count;

	*block = 0;
	if (read_word(&vector, thread + place->vector_at) || read_word(&count, vector + place->count_at))
		return -1;
	if (place->module > count)
		return 0; /* the module came later than the thread, which has not used it */
	if (read_word(block, vector + (u64)place->module * place->entry_size))
		return -1;
	if (*block == ~0ULL) /* glibc's TLS_DTV_UNALLOCATED */
		*block = 0;
	return 0;
}

/* The context that the thread has now, into scratch->trace. Returns 1, 0: it has none, or -1: cannot be read. */
static __always_inline int read_context(struct scratch *s, const struct context_place *place)
{
	struct thread_context context = {};
	u64 address = thread_pointer(), record;

	if (place->module) {
		if (find_block(place, address, &address))
			return -1;
		if (!address)
			return 0;
	}
	if (read_word(&record, address + place->offset))
		return -1;
	if (!record)
		return 0;
	if (bpf_probe_read_user(&context, THREAD_CONTEXT_SIZE, (void *)record))
		return -1;
	if (context.valid != CONTEXT_VALID || !(context.ids[0] | context.ids[1]))
		return 0;
	s->trace[0] = context.ids[0];
	s->trace[1] = context.ids[1];
	s->trace[2] = context.ids[2];
	return 1;
}

/* Adds the context of the current thread to its sample, if its process has such. */
__noinline int take_context(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s || !s->mm || (safe_kernel_ticks && !(s->sample.flags & SAMPLE_USER_MODE)))
		return 0;
	struct context_key key = {.process_start = s->sample.process_start,
				  .pid = s->sample.pid,
				  .exec_id = s->sample.exec_id};
	const struct context_place *place = bpf_map_lookup_elem(&context_places, &key);
	if (!place)
		return 0;
	int found = read_context(s, place);
	if (found > 0)
		s->sample.flags |= SAMPLE_HAS_TRACE;
	if (found)
		count(walk, found > 0 ? COUNTER_CONTEXTS : COUNTER_CONTEXTS_UNREADABLE, 1);
	return 0;
}

/* Puts it behind the `words` that are sent of the stack. Returns how many bytes it is. */
static __always_inline u64 append_context(struct scratch *s, u32 words)
{
	_Static_assert(sizeof(struct record_trace) == 3 * sizeof(u64), "three words");
	if (words > MAX_SAMPLE_WORDS)
		return 0;
	s->frames[words] = s->trace[0];
	s->frames[words + 1] = s->trace[1];
	s->frames[words + 2] = s->trace[2];
	return sizeof(struct record_trace);
}
