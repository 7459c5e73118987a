/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames that the kernel has changed for uprobes, ours or others': kernel/events/uprobes.c, and uprobes.c of the
 * architecture.
 *
 * A function whose return is probed returns to a trampoline, which the kernel keeps in a page of each such process:
 * [uprobes] in its mappings. The true return address is in a list of the thread, innermost call first, with the stack
 * pointer that the function was entered with. That names the frame: nothing is taken that does not match it.
 *
 * An instruction that is not emulated is copied to the same page and run there, and while the kernel looks for the
 * probe of a breakpoint on x86-64 the registers point behind that.
 *
 * Few frames are asked: those that are in no file. What nobody can tell are the moments in which the kernel has put
 * the trampoline on the stack and not yet the call into its list, and those in which it is about to go on behind a
 * single byte that it emulated (push %rbp), which look as if it had just come from the breakpoint.
 */
#pragma once

#include "registers.bpf.h"

static __always_inline int read_stack(struct scratch *s, u64 address);
static __always_inline int enter_caller(struct scratch *s, u64 cfa, u64 return_address);
static __always_inline bool may_read_stack(const struct scratch *s);

#define RETURN_PROBES_MAX 64 /* of a thread: MAX_URETPROBE_DEPTH */

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct return_instance {
	unsigned long stack;
	unsigned long orig_ret_vaddr; /* also of calls that share a frame: never the trampoline */
	struct return_instance *next;
};
struct uprobe_task {
	struct return_instance *return_instances;
	unsigned long vaddr;	 /* of the instruction that was copied */
	unsigned long xol_vaddr; /* its copy */
};
struct task_struct___with_uprobes {
	struct uprobe_task *utask;
};
struct xol_area {
	unsigned long vaddr;
};
struct mm_struct___with_uprobes {
	struct {
		struct xol_area *xol_area;
	} uprobes_state;
};
#pragma clang attribute pop

/* What the kernel knows of the uprobes of the current thread, which it does from the first one on. */
static __always_inline struct uprobe_task *uprobes_of_thread(void)
{
	struct task_struct___with_uprobes *task = (void *)bpf_get_current_task();

	return bpf_core_field_exists(task->utask) ? BPF_CORE_READ(task, utask) : 0;
}

/* Where the page is, and the trampoline at its begin; 0: the process has none. */
static __always_inline u64 uprobe_page(const struct scratch *s)
{
	struct mm_struct___with_uprobes *mm = (void *)s->mm;

	return bpf_core_field_exists(mm->uprobes_state) ? BPF_CORE_READ(mm, uprobes_state.xol_area, vaddr) : 0;
}

#if defined(__TARGET_ARCH_x86)

#define TRAMPOLINE_SIZE 32	/* bytes, at most, as what follows; copies lie in slots of 128 behind it */
#define COPIED_INSTRUCTION 15

/* By how much a call pushed its return address below the stack pointer that its caller goes on with. */
#define RETURN_ADDRESS_SIZE 8

/* On the way into the trampoline's system call: as much as it has pushed by then at most. Since ff474a78cef5 ("uprobe:
 * Add uretprobe syscall to speed up return probe", 6.11); before that it is a breakpoint. */
#define TRAMPOLINE_PUSHES 24

/* On the way out the list has forgotten the call: where SP is below the return address, by the code that is left
 * (pop %r11; pop %rcx; ret). -1: on the way in. */
static __always_inline int left_in_trampoline(const struct scratch *s)
{
	u64 code;

	if (bpf_probe_read_user(&code, sizeof(code), (void *)s->pc))
		return -1;
	if ((code & 0xffffffff) == 0xc3595b41)
		return 16;
	if ((code & 0xffff) == 0xc359)
		return 8;
	return (code & 0xff) == 0xc3 ? 0 : -1;
}

/* Do the registers of this exception point behind a breakpoint? Until the kernel has found its probe they do. A run
 * of such bytes is what fills the space between functions. */
static __always_inline bool is_behind_breakpoint(u64 pc)
{
	u16 code;

	return uprobes_of_thread() && !bpf_probe_read_user(&code, sizeof(code), (void *)(pc - 2)) &&
	       code >> 8 == 0xcc && (code & 0xff) != 0xcc;
}

#else

#define TRAMPOLINE_SIZE 4 /* one instruction, as each copy behind it */
#define COPIED_INSTRUCTION 4
#define RETURN_ADDRESS_SIZE 0
#define TRAMPOLINE_PUSHES 0

static __always_inline int left_in_trampoline(const struct scratch *s)
{
	return -1;
}

static __always_inline bool is_behind_breakpoint(u64 pc)
{
	return false;
}

#endif

/* Looks in the list for the call that was entered with the return address at most so many bytes above SP. Leaves that
 * address in scratch->word, and SP as after the return. Returns 0 or -1. */
__noinline int find_probed_call(u32 walk, u32 pushed)
{
	struct scratch *s = scratch_of(walk);
	struct uprobe_task *thread = uprobes_of_thread();

	if (!s || !thread || !bpf_core_type_exists(struct return_instance))
		return -1;
	struct return_instance *call = BPF_CORE_READ(thread, return_instances);
#pragma clang loop unroll(disable)
	for (u32 i = 0; i < RETURN_PROBES_MAX && call; i++) {
		u64 sp = BPF_CORE_READ(call, stack) + RETURN_ADDRESS_SIZE;
		if (sp - s->sp <= pushed) {
			s->sp = sp;
			s->word = BPF_CORE_READ(call, orig_ret_vaddr);
			return 0;
		}
		call = BPF_CORE_READ(call, next);
	}
	return -1;
}

/* From the trampoline to the function that is returned to. Returns 0, or -1: its call is not known. */
static __always_inline int leave_trampoline(u32 walk, struct scratch *s, bool is_interrupted)
{
	int left = is_interrupted ? left_in_trampoline(s) : -1;

	/* In the system call itself its probes may have run or not. */
	if ((left < 0 || left == TRAMPOLINE_PUSHES - RETURN_ADDRESS_SIZE) &&
	    find_probed_call(walk, is_interrupted ? TRAMPOLINE_PUSHES : 0) == 0) {
		s->general_depth = NO_FRAME; /* no step of the walk is made for the trampoline */
		enter_caller(s, s->sp, s->word);
		return 0;
	}
	if (left < 0 || read_stack(s, s->sp + left) < 0)
		return -1;
	s->general_depth = NO_FRAME;
	enter_caller(s, s->sp + left + RETURN_ADDRESS_SIZE, s->word);
	return 0;
}

/* The registers of code that was interrupted, or a return to the first byte of a page: nearly no JIT code's. */
static __always_inline bool may_be_uprobe_page(const struct scratch *s)
{
	return s->lookup_pc == s->pc || s->depth == 0 || !(s->pc & ((1 << PAGE_SHIFT_MIN) - 1));
}

/*
 * Puts the registers of a frame in the page of uprobes where the program is without them: in the function that is
 * returned to, or on the instruction that was copied. Returns whether it was such a frame.
 */
__noinline int leave_uprobe_page(u32 walk)
{
	struct scratch *s = scratch_of(walk);

	if (!s || s->is_compat || !may_read_stack(s))
		return false;
	u64 page = uprobe_page(s);
	u64 offset = s->pc - page;
	if (!page || offset >> PAGE_SHIFT_MIN)
		return false;
	/* A return address is that of the trampoline alone. */
	bool is_interrupted = s->depth == 0 || s->lookup_pc == s->pc;
	if (offset == 0 || (is_interrupted && offset < TRAMPOLINE_SIZE))
		return leave_trampoline(walk, s, is_interrupted) == 0;
	struct uprobe_task *thread = uprobes_of_thread();
	if (!thread || !is_interrupted || !bpf_core_type_exists(struct uprobe_task))
		return false;
	u64 copy = BPF_CORE_READ(thread, xol_vaddr);
	if (s->pc - copy > COPIED_INSTRUCTION)
		return false;
	s->pc += BPF_CORE_READ(thread, vaddr) - copy;
	s->lookup_pc = s->pc;
	return true;
}
