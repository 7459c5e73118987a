/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel's uprobes emulate: on x86-64 push of a register, jcc, jmp and call with a relative target
 * and the one-byte nop (arch/x86/kernel/uprobes.c: branch_setup_xol_ops, push_setup_xol_ops), with no prefix
 * but push's REX.B; on arm64 branches, cbz, tbz, adr and adrp (arch/arm64/kernel/probes/decode-insn.c).
 * Encodings: Intel SDM, volume 2; Arm ARM, C4.1.
 */
#include "binary/allocator_walk.h"

#include "binary/x86_decode.h"

#include <elf.h>
#include <string.h>

#define X86_REGISTERS 16
#define ARM_LINK 30
#define ARM_ZERO 31

void allocator_walk_init(struct allocator_walk *walk, uint16_t machine, const unsigned char *code,
			 size_t size, uint64_t address)
{
	*walk = (struct allocator_walk){.machine = machine, .code = code, .size = code ? size : 0,
					.address = address, .tested = WALK_NOTHING};
	for (uint8_t i = 0; i < PROBE_REGISTER_LIMIT; i++)
		walk->holds[i] = i;
}

/* ---- x86-64 ------------------------------------------------------------------------------------ */

/* DWARF's numbers in the order of the hardware's, and the other way round. */
static const uint8_t x86_numbers[X86_REGISTERS] = {0, 2, 1, 3, 7, 6, 4, 5,
						   8, 9, 10, 11, 12, 13, 14, 15};

static bool x86_is_emulated(const unsigned char *code, size_t length)
{
	if (length == 2 && code[0] == 0x41)
		return code[1] >= 0x50 && code[1] <= 0x57;
	switch (code[0]) {
	case 0x50 ... 0x57: case 0x70 ... 0x7f: case 0x90: case 0xe8: case 0xe9: case 0xeb:
		return true;
	case 0x0f:
		return (code[1] & 0xf0) == 0x80;
	default:
		return false;
	}
}

/* je, or WALK_NOTHING */
static uint8_t x86_null_checked(const struct allocator_walk *walk, const unsigned char *code)
{
	bool is_je = code[0] == 0x74 || (code[0] == 0x0f && code[1] == 0x84);
	return is_je ? walk->tested : WALK_NOTHING;
}

/* test %register, %register of 64 bits */
static uint8_t x86_tested(const struct allocator_walk *walk)
{
	const unsigned char *code = walk->code + walk->at;
	if (walk->length != 3 || (code[0] & 0xf8) != 0x48 || code[1] != 0x85 || code[2] >> 6 != 3)
		return WALK_NOTHING;
	unsigned int rm = (code[2] & 7) | (code[0] & 1) << 3;
	unsigned int reg = (code[2] >> 3 & 7) | (code[0] & 4) << 1;
	return rm == reg ? walk->holds[x86_numbers[rm]] : WALK_NOTHING;
}

static struct x86_instruction x86_here(const struct allocator_walk *walk)
{
	return x86_decode(walk->code + walk->at, walk->size - walk->at, walk->address + walk->at);
}

static bool x86_look(struct allocator_walk *walk)
{
	const unsigned char *code = walk->code + walk->at;
	struct x86_instruction i = x86_here(walk);
	if (i.length == 0)
		return false;
	bool is_system_call = i.length == 2 && code[0] == 0x0f && code[1] == 0x05;
	walk->length = i.length;
	walk->emulated = x86_is_emulated(code, i.length);
	walk->branches = i.effect == X86_CALL || i.effect == X86_JUMP || i.effect == X86_BRANCH ||
			 i.effect == X86_RETURN || i.effect == X86_STOP || is_system_call;
	walk->null_checked = x86_null_checked(walk, code);
	return true;
}

static void x86_step(struct allocator_walk *walk)
{
	struct x86_instruction i = x86_here(walk);
	uint8_t copied = i.copies ? walk->holds[x86_numbers[i.copy_from]] : WALK_NOTHING;
	walk->tested = x86_tested(walk);
	for (unsigned int r = 0; r < X86_REGISTERS; r++)
		if (i.written & 1U << r)
			walk->holds[x86_numbers[r]] = WALK_NOTHING;
	if (i.copies)
		walk->holds[x86_numbers[i.copy_to]] = copied;
	bool leaves_stack = i.effect == X86_PLAIN || i.effect == X86_WRITES_FP ||
			    i.effect == X86_STORE_FP || i.effect == X86_LOAD_FP ||
			    i.effect == X86_SET_FP_TO_SP || i.effect == X86_BRANCH;
	walk->return_moved |= !leaves_stack;
}

/* ---- arm64 ------------------------------------------------------------------------------------- */

static uint32_t arm_here(const struct allocator_walk *walk)
{
	uint32_t word;
	memcpy(&word, walk->code + walk->at, sizeof(word));
	return word;
}

static bool arm_look(struct allocator_walk *walk)
{
	if (walk->size - walk->at < 4)
		return false;
	uint32_t word = arm_here(walk);
	bool is_compare = (word & 0x7e000000) == 0x34000000; /* cbz, cbnz */
	bool is_address = (word & 0x1f000000) == 0x10000000; /* adr, adrp */
	walk->length = 4;
	walk->branches = (word & 0x1c000000) == 0x14000000; /* and exceptions, system instructions */
	/* nop, bti, paciasp and the other hints, mrs: they only look like branches */
	if ((word & 0xfffff01f) == 0xd503201f || (word & 0xfff00000) == 0xd5300000)
		walk->branches = false;
	bool is_branch = (word & 0x7c000000) == 0x14000000 || is_compare ||
			 (word & 0x7e000000) == 0x36000000 || (word & 0xff000010) == 0x54000000 ||
			 (word & 0xff9ffc1f) == 0xd61f0000;
	walk->emulated = is_branch || is_address;
	walk->null_checked = WALK_NOTHING;
	if ((word & 0xff000000) == 0xb4000000 && (word & 31) != ARM_ZERO) /* cbz of 64 bits */
		walk->null_checked = walk->holds[word & 31];
	return true;
}

static void arm_forget(struct allocator_walk *walk, uint32_t number)
{
	if (number == ARM_LINK)
		walk->return_moved = true;
	if (number != ARM_ZERO)
		walk->holds[number] = WALK_NOTHING;
}

/* Loads and stores: with a pair, or with the base register changed. A stored register is forgotten like a
 * loaded one, and the link register with it: its copy in memory is the one that counts from then on. */
static void arm_step_memory(struct allocator_walk *walk, uint32_t word)
{
	bool pair = (word & 0x38000000) == 0x28000000;
	bool changes_base = pair ? word & 0x00800000
				 : (word & 0x3b200400) == 0x38000400;
	arm_forget(walk, word & 31);
	if (pair || (word & 0x3f000000) == 0x08000000)
		arm_forget(walk, word >> 10 & 31);
	if (changes_base)
		arm_forget(walk, word >> 5 & 31);
}

static void arm_step(struct allocator_walk *walk)
{
	uint32_t word = arm_here(walk);
	bool is_hint = (word & 0xfffff01f) == 0xd503201f;
	if (is_hint) {
		bool signs = (word & 0xfffffd1f) == 0xd503211f; /* paciasp, pacibsp, … */
		walk->return_moved |= signs;
	} else if ((word & 0xffe0ffe0) == 0xaa0003e0) { /* mov xd, xm */
		uint32_t from = word >> 16 & 31;
		uint8_t copied = from == ARM_ZERO ? WALK_NOTHING : walk->holds[from];
		arm_forget(walk, word & 31);
		if ((word & 31) != ARM_ZERO)
			walk->holds[word & 31] = copied;
	} else if ((word & 0x0a000000) == 0x08000000) {
		arm_step_memory(walk, word);
	} else if (!walk->branches) {
		arm_forget(walk, word & 31);
	}
}

/* ---- Either ------------------------------------------------------------------------------------ */

bool allocator_walk_look(struct allocator_walk *walk)
{
	if (walk->at >= walk->size)
		return false;
	return walk->machine == EM_X86_64 ? x86_look(walk) : arm_look(walk);
}

void allocator_walk_step(struct allocator_walk *walk)
{
	if (walk->machine == EM_X86_64)
		x86_step(walk);
	else
		arm_step(walk);
	walk->at += walk->length;
}
