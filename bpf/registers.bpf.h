/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between x86-64 and arm64 in a walk: where the registers of a sample are, what a signal
 * frame looks like, where a return address is kept.
 */
#pragma once

#include "maps.bpf.h"

static __always_inline int read_stack(struct scratch *s, u64 address);
static __always_inline int read_stack_word(struct scratch *s, u64 address, u32 word);

/* Is the frame at hand the one whose general registers are known? */
static __always_inline bool knows_registers(const struct scratch *s)
{
	return s->general_depth == s->depth;
}

#if defined(__TARGET_ARCH_x86)

#define SYSCALL_EXECVE 59
#define SYSCALL_EXECVEAT 322
#define USER_CODE_32 0x23 /* __USER32_CS */

static __always_inline bool interrupted_user_mode(struct bpf_perf_event_data *ctx)
{
	return (ctx->regs.cs & 3) == 3;
}

static __always_inline bool is_compat(const volatile struct user_registers *r)
{
	return (r->cs & 0xffff) == USER_CODE_32;
}

#define GENERAL_SP 7 /* its place in `general` */

static __always_inline u64 heap_stack_pointer(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->sp;
}

static __always_inline u64 heap_return_value(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->ax;
}

static __always_inline u64 heap_instruction_pointer(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->ip;
}

/* The system call the registers entered the kernel with, or -1 (interrupt, exception). */
static __always_inline s64 entry_system_call(const struct user_registers *r)
{
	return (s64)r->orig_ax;
}

static __always_inline void take_registers(struct scratch *s,
					   const volatile struct user_registers *r)
{
	s->is_compat = is_compat(r);
	s->pc = r->ip;
	s->sp = r->sp;
	s->fp = r->bp;
	/* DWARF numbering: psABI figure 3.36 */
	s->general[0] = r->ax;
	s->general[1] = r->dx;
	s->general[2] = r->cx;
	s->general[3] = r->bx;
	s->general[4] = r->si;
	s->general[5] = r->di;
	s->general[6] = r->bp;
	s->general[7] = r->sp;
	s->general[8] = r->r8;
	s->general[9] = r->r9;
	s->general[10] = r->r10;
	s->general[11] = r->r11;
	s->general[12] = r->r12;
	s->general[13] = r->r13;
	s->general[14] = r->r14;
	s->general[15] = r->r15;
	s->general_depth = 1;
	s->link_known = 0;
}

/*
 * Code that nobody described is about to return by `add $N, %rsp; ret`, or `ret` alone: then its caller is
 * certain, whatever it does with the frame pointer. Such are the trampolines that Python puts between its
 * functions for profilers (Python/asm_trampoline.S, 3.12): they keep none. The functions of the vsyscall page never
 * begin: the kernel does their work and returns for them. Returns the CFA, or 0: other code.
 */
static __always_inline u64 cfa_of_leaving_code(const struct scratch *s)
{
	u64 code;

	if (is_vsyscall(s->pc))
		return s->sp + 8;
	if (bpf_probe_read_user(&code, sizeof(code), (void *)s->pc))
		return 0;
	if ((code & 0xff) == 0xc3)
		return s->sp + 8;
	/* 48 83 c4 N c3, N signed */
	if ((code & 0xff80ffffffULL) != 0xc300c48348ULL)
		return 0;
	return s->sp + (code >> 24 & 0xff) + 8;
}

/* Did the system call before this instruction return 0? While it runs, rax is -ENOSYS, in a new task 0. */
static __always_inline bool returned_zero(const struct scratch *s)
{
	return s->general[0] == 0;
}

static __always_inline s64 rule_cfa_offset(struct unwind_rule rule)
{
	return rule.cfa_offset;
}

static __always_inline u64 frame_record_cfa(u64 record, u64 caller_fp, u32 word)
{
	return record + 2 * word;
}

/* Does the rule read the return address from the stack, and where? */
static __always_inline bool is_return_address_on_stack(struct unwind_rule rule)
{
	return true;
}

static __always_inline u64 return_address_at(struct unwind_rule rule, u64 cfa)
{
	return cfa - 8;
}

/* Leaves the return address in scratch->word. */
static __always_inline int read_return_address(struct scratch *s, struct unwind_rule rule, u64 cfa, u32 word)
{
	if (rule.kind == RULE_RETURN_REGISTER) {
		if (!knows_registers(s))
			return -STACK_END_REGISTER_LOST - 1;
		s->word = s->general[RULE_NUMBER(rule.flags) & 15];
		return 0;
	}
	return read_stack_word(s, cfa - word, word) < 0 ? -STACK_END_STACK_UNREADABLE - 1 : 0;
}

/* struct rt_sigframe after its return address was popped: ucontext at SP, its general registers 40
 * bytes in, in the order r8..r15 di si bp bx dx ax cx sp ip (arch/x86/include/uapi/asm/sigcontext.h). */
static __always_inline int enter_interrupted_frame(struct scratch *s)
{
	u64 *saved = s->block; /* 17 words are too many for the program's stack */

	if (bpf_probe_read_user(saved, 17 * sizeof(u64), (void *)(s->sp + 40)))
		return -STACK_END_STACK_UNREADABLE - 1;
	s->general[8] = saved[0];
	s->general[9] = saved[1];
	s->general[10] = saved[2];
	s->general[11] = saved[3];
	s->general[12] = saved[4];
	s->general[13] = saved[5];
	s->general[14] = saved[6];
	s->general[15] = saved[7];
	s->general[5] = saved[8];
	s->general[4] = saved[9];
	s->general[6] = saved[10];
	s->general[3] = saved[11];
	s->general[1] = saved[12];
	s->general[0] = saved[13];
	s->general[2] = saved[14];
	s->general[7] = saved[15];
	s->general_depth = s->depth + 1;
	s->fp = saved[10];
	s->sp = saved[15];
	s->pc = s->lookup_pc = saved[16];
	return 0;
}

#elif defined(__TARGET_ARCH_arm64)

#define SYSCALL_EXECVE 221
#define SYSCALL_EXECVEAT 281
#define PSTATE_MODE_MASK 0xf /* 0: EL0 */
#define PSTATE_32_BIT 0x10
#define GENERAL_SP 7 /* never asked for: `general` are of no frame */

static __always_inline bool interrupted_user_mode(struct bpf_perf_event_data *ctx)
{
	return (ctx->regs.pstate & PSTATE_MODE_MASK) == 0;
}

static __always_inline bool is_compat(const volatile struct user_registers *r)
{
	return r->pstate & PSTATE_32_BIT;
}

static __always_inline u64 heap_stack_pointer(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->sp;
}

static __always_inline u64 heap_return_value(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->regs[0];
}

static __always_inline u64 heap_instruction_pointer(struct pt_regs *ctx)
{
	return ((struct user_registers *)ctx)->pc;
}

/* x8 holds the number, but nothing in the user's part of the registers tells a system call from an
 * interrupt; the kernel's part has orig_x0 and syscallno behind it. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct pt_regs___with_syscall {
	s32 syscallno;
};
#pragma clang attribute pop

static __always_inline void take_registers(struct scratch *s,
					   const volatile struct user_registers *r)
{
	s->is_compat = is_compat(r);
	s->pc = r->pc;
	s->sp = r->sp;
	s->fp = r->regs[29];
	s->lr = r->regs[30];
	s->general[0] = r->regs[0];
	s->link_known = 1;
	s->general_depth = NO_FRAME;
}

/* All compilers for arm64 keep frame records. */
static __always_inline u64 cfa_of_leaving_code(const struct scratch *s)
{
	return 0;
}

/* Did the system call before this instruction return 0? While it runs, x0 is its first argument, which
 * is flags or a pointer for clone, in a new task 0. */
static __always_inline bool returned_zero(const struct scratch *s)
{
	return s->general[0] == 0;
}

static __always_inline s64 rule_cfa_offset(struct unwind_rule rule)
{
	return (s64)(s16)rule.cfa_offset * 8;
}

/* A function's frame record lies at the bottom of its frame, so the caller's SP is its own FP. */
static __always_inline u64 frame_record_cfa(u64 record, u64 caller_fp, u32 word)
{
	return caller_fp > record ? caller_fp : record + 16;
}

/* Does the rule read the return address from the stack, and where? */
static __always_inline bool is_return_address_on_stack(struct unwind_rule rule)
{
	return rule.flags & RULE_RA_AT_CFA;
}

static __always_inline u64 return_address_at(struct unwind_rule rule, u64 cfa)
{
	return cfa + (s64)(rule.cfa_offset >> 16) * 8;
}

static __always_inline int read_return_address(struct scratch *s, struct unwind_rule rule, u64 cfa, u32 word)
{
	if (rule.flags & RULE_RA_AT_CFA) {
		s64 offset = (s64)(rule.cfa_offset >> 16) * 8;
		return read_stack(s, cfa + offset) < 0 ? -STACK_END_STACK_UNREADABLE - 1 : 0;
	}
	if (!s->link_known)
		return -STACK_END_REGISTER_LOST - 1;
	s->word = s->lr;
	return 0;
}

/* struct rt_sigframe at SP: siginfo (128), ucontext; its mcontext's regs[31], sp, pc start at 312
 * (arch/arm64/include/uapi/asm/sigcontext.h). */
static __always_inline int enter_interrupted_frame(struct scratch *s)
{
	u64 saved[4]; /* x29, x30, sp, pc */

	if (bpf_probe_read_user(saved, sizeof(saved), (void *)(s->sp + 312 + 29 * 8)))
		return -STACK_END_STACK_UNREADABLE - 1;
	s->fp = saved[0];
	s->lr = saved[1];
	s->sp = saved[2];
	s->pc = s->lookup_pc = saved[3];
	s->general[0] = 1; /* not read; a signal cannot come before a new thread's first branch */
	s->link_known = 1;
	return 0;
}

#endif
