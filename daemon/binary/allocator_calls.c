/* SPDX-License-Identifier: Apache-2.0 */
/* Direct calls and jumps, found by decoding from the function's first byte on. Arm ARM: B and BL are
 * x001 01 and a signed number of words. */
#include "binary/allocator_calls.h"

#include "binary/x86_decode.h"

#include <string.h>

static bool x86_calls_any(const unsigned char *code, size_t size, uint64_t address,
			  const struct hash *targets)
{
	for (size_t at = 0; at < size;) {
		struct x86_instruction i = x86_decode(code + at, size - at, address + at);
		if (i.length == 0)
			return false;
		bool goes = i.effect == X86_CALL || i.effect == X86_JUMP || i.effect == X86_BRANCH;
		if (goes && i.has_target && i.target != address && hash_get(targets, i.target))
			return true;
		at += i.length;
	}
	return false;
}

static bool arm_calls_any(const unsigned char *code, size_t size, uint64_t address,
			  const struct hash *targets)
{
	for (size_t at = 0; at + 4 <= size; at += 4) {
		uint32_t word;
		memcpy(&word, code + at, sizeof(word));
		if ((word & 0x7c000000) != 0x14000000)
			continue;
		int64_t words = (int32_t)(word << 6) >> 6;
		uint64_t target = address + at + (uint64_t)(words * 4);
		if (target != address && hash_get(targets, target))
			return true;
	}
	return false;
}

bool allocator_calls_any(const struct elf_file *elf, uint64_t address, uint64_t size,
			 const struct hash *targets)
{
	size_t readable;
	const unsigned char *code = elf_file_at_address(elf, address, &readable);
	if (!code)
		return false;
	size = MIN_OF(MIN_OF(size, (uint64_t)readable), (uint64_t)ALLOCATOR_CODE_LIMIT);
	return elf->machine == EM_X86_64 ? x86_calls_any(code, size, address, targets)
					 : arm_calls_any(code, size, address, targets);
}
