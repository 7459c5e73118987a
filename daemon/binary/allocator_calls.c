/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct calls and jumps, found by decoding from the function's first byte on. Without a size a function
 * ends behind a return or jump that no branch before it led over. Arm ARM, C4.1: B and BL have 26 bits of
 * words, B.cond, CBZ and CBNZ 19, TBZ and TBNZ 14.
 */
#include "binary/allocator_calls.h"

#include "binary/x86_decode.h"

#include <string.h>

#define MAX_STEPS 4096

struct step {
	size_t length; /* 0: not understood */
	bool has_target;
	bool is_call;
	bool ends; /* what follows is not reached from here */
	uint64_t target;
};

static struct step x86_step(const unsigned char *code, size_t size, uint64_t address)
{
	struct x86_instruction i = x86_decode(code, size, address);
	bool goes = i.effect == X86_CALL || i.effect == X86_JUMP || i.effect == X86_BRANCH;
	return (struct step){.length = i.length,
			     .has_target = goes && i.has_target,
			     .is_call = i.effect == X86_CALL,
			     .ends = i.effect == X86_JUMP || i.effect == X86_RETURN ||
				     i.effect == X86_STOP,
			     .target = i.target};
}

/* The signed number of words in `bits` bits from `low` on. */
static uint64_t arm_target(uint32_t word, uint64_t address, unsigned int low, unsigned int bits)
{
	int64_t words = (int64_t)((uint64_t)word << (64 - bits - low)) >> (64 - bits);
	return address + (uint64_t)(words * 4);
}

static struct step arm_step(const unsigned char *code, size_t size, uint64_t address)
{
	uint32_t word;
	struct step step = {.length = size < 4 ? 0 : 4};
	if (size < 4)
		return step;
	memcpy(&word, code, sizeof(word));
	if ((word & 0x7c000000) == 0x14000000) {
		step.has_target = true;
		step.is_call = word >> 31;
		step.ends = !step.is_call;
		step.target = arm_target(word, address, 0, 26);
	} else if ((word & 0x7e000000) == 0x34000000 || (word & 0xff000010) == 0x54000000) {
		step.has_target = true;
		step.target = arm_target(word, address, 5, 19);
	} else if ((word & 0x7e000000) == 0x36000000) {
		step.has_target = true;
		step.target = arm_target(word, address, 5, 14);
	} else if ((word & 0xff9ffc1f) == 0xd61f0000) { /* br, blr, ret */
		step.ends = (word & 0x00600000) != 0x00200000;
	}
	return step;
}

/* A way through a function's direct calls and jumps. */
struct scan {
	const struct elf_file *elf;
	const unsigned char *code;
	size_t size, at;
	uint64_t address;
	uint64_t furthest; /* the highest address inside that a branch led to */
	bool has_size, ended;
};

static struct scan scan_begin(const struct elf_file *elf, uint64_t address, uint64_t size)
{
	struct scan scan = {.elf = elf, .address = address, .has_size = size > 0};
	scan.code = elf_file_at_address(elf, address, &scan.size);
	scan.size = scan.code ? MIN_OF(scan.size, (size_t)ALLOCATOR_CODE_LIMIT) : 0;
	if (size > 0)
		scan.size = MIN_OF(scan.size, (size_t)MIN_OF(size, (uint64_t)ALLOCATOR_CODE_LIMIT));
	return scan;
}

/* The next instruction with a target; false at the end. */
static bool scan_next(struct scan *scan, struct step *ret)
{
	while (!scan->ended && scan->at < scan->size) {
		const unsigned char *code = scan->code + scan->at;
		uint64_t here = scan->address + scan->at;
		struct step step = scan->elf->machine == EM_X86_64
					   ? x86_step(code, scan->size - scan->at, here)
					   : arm_step(code, scan->size - scan->at, here);
		scan->ended = step.length == 0;
		scan->at += step.length;
		if (step.has_target && !step.is_call && !step.ends &&
		    step.target - scan->address < ALLOCATOR_CODE_LIMIT)
			scan->furthest = MAX_OF(scan->furthest, step.target);
		if (step.ends && !scan->has_size && here >= scan->furthest)
			scan->ended = true;
		*ret = step;
		if (step.has_target)
			return true;
	}
	return false;
}

struct search {
	const struct elf_file *elf;
	const struct hash *targets;
	uint64_t mask;
	size_t steps; /* left: a file may be made so that everything leads everywhere */
};

static bool leads_to(struct search *search, uint64_t address, uint64_t size, unsigned int depth)
{
	struct scan scan = scan_begin(search->elf, address, size);
	struct step step;
	while (search->steps && scan_next(&scan, &step)) {
		search->steps--;
		bool inside = size && step.target - address < size;
		uint64_t *value = hash_get(search->targets, step.target);
		if (step.target == address)
			continue;
		if (value && (*value & search->mask))
			return true;
		if (depth && !inside && (step.is_call || step.ends) &&
		    leads_to(search, step.target, 0, depth - 1))
			return true;
	}
	return false;
}

bool allocator_calls_any(const struct elf_file *elf, uint64_t address, uint64_t size,
			 const struct hash *targets, uint64_t mask, unsigned int depth)
{
	struct search search = {.elf = elf, .targets = targets, .mask = mask, .steps = MAX_STEPS};
	return leads_to(&search, address, size, depth);
}

bool allocator_jumps_into(const struct elf_file *elf, uint64_t address, uint64_t size, uint64_t low,
			  uint64_t high)
{
	struct scan scan = scan_begin(elf, address, size);
	struct step step;
	while (scan_next(&scan, &step))
		if (!step.is_call && step.target >= low && step.target <= high)
			return true;
	return false;
}

/* e8 and e9 with 32 bits; whether an instruction begins there is left open. */
static bool x86_any_to(const unsigned char *code, size_t size, uint64_t address,
		       const struct hash *targets)
{
	for (size_t at = 0; at + 5 <= size; at++) {
		int32_t distance;
		if (code[at] != 0xe8 && code[at] != 0xe9)
			continue;
		memcpy(&distance, code + at + 1, sizeof(distance));
		if (hash_get(targets, address + at + 5 + (uint64_t)(int64_t)distance))
			return true;
	}
	return false;
}

static bool arm_any_to(const unsigned char *code, size_t size, uint64_t address,
		       const struct hash *targets)
{
	for (size_t at = 0; at + 4 <= size; at += 4) {
		struct step step = arm_step(code + at, size - at, address + at);
		if (step.has_target && hash_get(targets, step.target))
			return true;
	}
	return false;
}

bool allocator_anything_calls(const struct elf_file *elf, const struct hash *targets)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		const unsigned char *code = elf_file_range(elf, segment.p_offset, segment.p_filesz);
		if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X) || !code)
			continue;
		if (elf->machine == EM_X86_64
			    ? x86_any_to(code, segment.p_filesz, segment.p_vaddr, targets)
			    : arm_any_to(code, segment.p_filesz, segment.p_vaddr, targets))
			return true;
	}
	return false;
}
