/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The stack of what a perf event interrupted: the kernel's part, which the kernel gives, then the user's, walked from
 * the registers of the event or, in kernel mode, from those that were saved on the way in.
 */
#pragma once

#include "unwind.bpf.h"

/* Adds the kernel frames already in place to the stack's hash. */
__noinline int hash_kernel_stack(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s)
		return 0;
	u32 count = s->sample.kernel_frames;
	u64 hash = s->hash;
	for (u32 i = 0; i < MAX_KERNEL_FRAMES; i++) {
		if (i >= count)
			break;
		hash = hash_frame(hash, s->frames[i]);
	}
	s->hash = hash;
	return 0;
}

static __always_inline void take_kernel_stack(struct bpf_perf_event_data *ctx, u32 walk,
					      struct scratch *s)
{
	long size = bpf_get_stack(ctx, s->frames, MAX_KERNEL_FRAMES * sizeof(u64), 0);

	u32 frames = size > 0 ? (u32)size / sizeof(u64) : 0;
	/* The kernel takes the user's address there for one of its own. The verifier of 6.1 follows a bound
	 * of the index itself only; where there are no frames that is beyond it. */
	u32 last = frames - 1;
	if (last < MAX_KERNEL_FRAMES && is_vsyscall(s->frames[last]))
		frames = last;
	s->sample.kernel_frames = frames;
	hash_kernel_stack(walk);
}

#if defined(__TARGET_ARCH_x86)
static __always_inline s64 system_call_at(void *registers, const struct user_registers *copy)
{
	return entry_system_call(copy);
}
#else
static __always_inline s64 system_call_at(void *registers, const struct user_registers *copy)
{
	return BPF_CORE_READ((struct pt_regs___with_syscall *)registers, syscallno);
}
#endif

/* Registers of a tick in kernel mode: those saved on the way in. Returns 0, or why there is nothing to walk from:
 * -(enum stack_end) - 1. Threads that the kernel made for a program (workers of io_uring and vhost) have its memory
 * and never were in user mode: copy_thread() leaves them registers of zeros. */
__noinline int take_entry_registers(u32 walk)
{
	struct scratch *s = scratch_of(walk);
	struct user_registers *copy;

	if (!s)
		return -STACK_END_NO_USER_REGISTERS - 1;
	struct task_struct *task = (void *)bpf_get_current_task();
	void *saved = task_user_registers(task);
	/* The window is not in use yet: it holds the copy, the program's stack is too small. */
	_Static_assert(sizeof(struct user_registers) <= sizeof(s->window), "registers in window");
	copy = (struct user_registers *)s->window;
	if (bpf_probe_read_kernel(copy, sizeof(*copy), saved))
		return -STACK_END_NO_USER_REGISTERS - 1;
	take_registers(s, copy);
	if (!s->pc && !s->sp)
		return -STACK_END_NO_USER_REGISTERS - 1;
	s64 call = system_call_at(saved, copy);
	s->after_kernel_entry = call == SYSCALL_EXECVE || call == SYSCALL_EXECVEAT;
	/* A system call's address points behind its instruction, like a return address; that of a call
	 * that started a program is the program's first instruction, that of one the kernel emulates on the
	 * vsyscall page the function's. Of exceptions only a breakpoint's points behind it. */
	bool is_behind = call != -1 ? !s->after_kernel_entry && !is_vsyscall(s->pc)
				    : may_read_stack(s) && is_behind_breakpoint(s->pc);
	s->lookup_pc = is_behind ? s->pc - 1 : s->pc;
	return 0;
}

/* The same for a tick in user mode. */
static __always_inline int take_interrupted_registers(struct bpf_perf_event_data *ctx,
						      struct scratch *s)
{
	/* Each load of the context has to be one of a whole register at a known place. */
	const volatile struct user_registers *registers = (const void *)&ctx->regs;

	asm volatile("" : "+r"(registers)); /* not an address that was computed for another load */
	take_registers(s, registers);
	s->lookup_pc = s->pc;
	s->after_kernel_entry = 0;
	return 0;
}

/* Walks the user part of the stack if the task has one. */
static __always_inline void take_user_stack(struct bpf_perf_event_data *ctx, u32 walk,
					    struct scratch *s, struct task_struct *task, bool user_mode)
{
	if (!s->mm) {
		if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
			s->sample.flags |= SAMPLE_KERNEL_TASK;
		else
			s->sample.end = STACK_END_EXITING;
		return;
	}
	int r = user_mode ? take_interrupted_registers(ctx, s) : take_entry_registers(walk);
	if (r < 0)
		s->sample.end = -(r + 1);
	else
		unwind_user(walk, s);
	if (s->sample.end > STACK_END_IN_EXEC)
		push_frame(s, FRAME_WORD_END(s->sample.end));
}
