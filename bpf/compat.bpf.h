/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is different in a walk through a 32-bit program on x86-64. Its rules are of the same kinds as others, with
 * registers by their numbers on x86-64; words have four bytes, and signal frames another layout.
 */
#pragma once

#include "mapping.bpf.h"
#include "registers.bpf.h"

#define NARROW_WORD 4

#if defined(__TARGET_ARCH_x86)

#define WALKS_32_BIT true

/* Reads a word at a user address into scratch->word. Returns 0 or -1. */
static __always_inline int read_narrow_word(struct scratch *s, u64 address)
{
	u32 word;

	if (bpf_probe_read_user(&word, sizeof(word), (void *)(u64)(u32)address))
		return -1;
	s->word = word;
	return 0;
}

/* Code that nobody described is about to return: then its caller is certain. The CFA, or 0: other code. */
static __always_inline u64 cfa_of_leaving_code_32(const struct scratch *s)
{
	u8 code;

	return !bpf_probe_read_user(&code, sizeof(code), (void *)s->pc) && code == 0xc3 ? s->sp + NARROW_WORD : 0;
}

/* mov $173, %eax; int $0x80, and pop %eax; mov $119, %eax; int $0x80: rt_sigreturn and sigreturn. */
#define CODE_RT_SIGRETURN 0x80cd000000adb8ULL
#define CODE_SIGRETURN 0x80cd00000077b858ULL
#define SEVEN_BYTES 0xffffffffffffffULL

/*
 * Bytes from SP to the saved registers when the handler has returned, or during the system call: behind the return
 * address and the handler's arguments in struct sigframe_ia32 and struct rt_sigframe_ia32, there also behind siginfo
 * and the begin of ucontext (arch/x86/include/asm/sigframe.h), come 4 segments. 0: this code returns from no handler.
 */
static __always_inline u32 signal_frame_registers(u64 pc)
{
	u64 code[2]; /* before and after */

	if (bpf_probe_read_user(code, sizeof(code), (void *)(pc - sizeof(code[0]))))
		return 0;
	if ((code[1] & SEVEN_BYTES) == CODE_RT_SIGRETURN || code[0] >> 8 == CODE_RT_SIGRETURN)
		return 12 + 128 + 20 + 16;
	if (code[1] == CODE_SIGRETURN)
		return 4 + 16;
	return (code[1] & SEVEN_BYTES) == CODE_SIGRETURN >> 8 || code[0] == CODE_SIGRETURN ? 16 : 0;
}

/* Registers in the order of struct sigcontext_32: di si bp sp bx dx cx ax, two words on the trap, ip. */
static __always_inline int enter_interrupted_frame_32(struct scratch *s)
{
	u32 *saved = (u32 *)s->block;
	u32 at = signal_frame_registers(s->pc);

	if (!at)
		return -STACK_END_NO_UNWIND_INFO - 1;
	if (bpf_probe_read_user(saved, 11 * sizeof(u32), (void *)(s->sp + at)))
		return -STACK_END_STACK_UNREADABLE - 1;
	s->general[5] = saved[0];
	s->general[4] = saved[1];
	s->general[6] = saved[2];
	s->general[7] = saved[3];
	s->general[3] = saved[4];
	s->general[1] = saved[5];
	s->general[2] = saved[6];
	s->general[0] = saved[7];
	s->general_depth = s->depth + 1;
	s->fp = saved[2];
	s->sp = saved[3];
	s->pc = s->lookup_pc = saved[10];
	return 0;
}

#else

#define WALKS_32_BIT false

static __always_inline int read_narrow_word(struct scratch *s, u64 address)
{
	return -1;
}

static __always_inline u64 cfa_of_leaving_code_32(const struct scratch *s)
{
	return 0;
}

static __always_inline int enter_interrupted_frame_32(struct scratch *s)
{
	return -STACK_END_COMPAT_TASK - 1;
}

#endif
