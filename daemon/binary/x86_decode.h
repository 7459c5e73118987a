/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one x86-64 instruction does to the stack pointer, the frame pointer and the flow of control, how
 * long it is, and which general registers it writes. Nothing else of it is understood. Encodings: Intel SDM, volume 2, chapter 2 and
 * appendix A; XOP: AMD APM, volume 6.
 */
#pragma once

#include "base/attributes.h"

enum x86_effect {
	X86_INVALID,	   /* no instruction, or one that is not known: length 0 */
	X86_PLAIN,	   /* neither register changes, the next instruction follows */
	X86_ADD_SP,	   /* SP += value: add, sub, lea, push, pop */
	X86_PUSH_FP,
	X86_POP_FP,
	X86_STORE_FP,	   /* *(SP + value) = FP */
	X86_LOAD_FP,	   /* FP = *(SP + value) */
	X86_SET_FP_TO_SP,  /* FP = SP + value */
	X86_SET_SP_TO_FP,  /* SP = FP + value */
	X86_ENTER,	   /* push FP; FP = SP; SP -= value */
	X86_LEAVE,	   /* SP = FP; pop FP */
	X86_WRITES_SP,	   /* in another way */
	X86_WRITES_FP,
	X86_WRITES_BOTH,
	X86_CALL,	   /* to `target`, if has_target */
	X86_JUMP,	   /* to `target`, if has_target */
	X86_BRANCH,	   /* to `target`, or not */
	X86_RETURN,
	X86_STOP,	   /* ud2, hlt, int3 and other ways not to go on */
};

struct x86_instruction {
	uint8_t length;
	uint8_t effect; /* enum x86_effect */
	bool has_target;
	bool takes_address : 1; /* `target` is computed or loaded, not gone to: lea target(%rip), mov $target */
	bool is_constant : 1;	/* the latter */
	bool copies; /* all of register copy_from to copy_to */
	uint8_t copy_from, copy_to; /* hardware numbers */
	uint16_t written; /* general registers, bits by hardware number; not those of a callee */
	int32_t value;
	uint64_t target;
};

/* The instruction at `code`, of which `size` bytes may be read, and which is at `address`. */
struct x86_instruction x86_decode(const unsigned char *code, size_t size, uint64_t address);
