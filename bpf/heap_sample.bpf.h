/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sample of an allocation: its stack says which place it is of, where it is added up; where frees are looked at, the
 * object is kept among those alive.
 */
#pragma once

#include "heap_blocks.bpf.h"
#include "heap_sites.bpf.h"
#include "sample.bpf.h"
#include "unwind.bpf.h"

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
