/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machine code that says by itself what frame it runs in.
 */
#include "binary/cfi.h"

static bool begins_with(const struct elf_file *elf, uint64_t address, const void *code, size_t size)
{
	size_t available;
	const unsigned char *at = elf_file_at_address(elf, address, &available);
	return at && available >= size && !memcmp(at, code, size);
}

bool code_is_signal_return(const struct elf_file *elf, uint64_t address)
{
	/* mov $15, %rax; syscall, and the same with the shorter mov to %eax */
	static const unsigned char rax[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
	static const unsigned char eax[] = {0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05};
	/* mov x8, #139; svc #0 */
	static const unsigned char x8[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};
	if (elf->machine == EM_AARCH64)
		return begins_with(elf, address, x8, sizeof(x8));
	return begins_with(elf, address, rax, sizeof(rax)) ||
	       begins_with(elf, address, eax, sizeof(eax));
}
