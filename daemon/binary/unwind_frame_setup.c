/* SPDX-License-Identifier: Apache-2.0 */
/* See unwind_frame_setup.h. */
#include "binary/unwind_frame_setup.h"

#include <string.h>

#define LEAST_SIZE (64U << 10)
/* V8's functions are 740 bytes on average. Code without frame pointers has this sequence only where it
 * aligns its stack, which is rarer by far. */
#define BYTES_FOR_A_SETUP 4096

static uint64_t count_of(const unsigned char *bytes, uint64_t size, const unsigned char *what, size_t length)
{
	uint64_t count = 0;
	const unsigned char *end = bytes + size, *at = bytes;
	while ((at = memmem(at, (size_t)(end - at), what, length))) {
		count++;
		at += length;
	}
	return count;
}

bool unwind_keeps_frame_pointers(const unsigned char *bytes, uint64_t size)
{
	/* push %rbp, then the two encodings of mov %rsp, %rbp: assemblers differ. */
	static const unsigned char setups[][4] = {{0x55, 0x48, 0x89, 0xe5}, {0x55, 0x48, 0x8b, 0xec}};
	if (!bytes || size < LEAST_SIZE)
		return false;
	uint64_t count = count_of(bytes, size, setups[0], sizeof(setups[0])) +
			 count_of(bytes, size, setups[1], sizeof(setups[1]));
	return count >= size / BYTES_FOR_A_SETUP;
}
