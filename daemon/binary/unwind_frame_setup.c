/* SPDX-License-Identifier: Apache-2.0 */
/* See unwind_frame_setup.h. */
#include "binary/unwind_frame_setup.h"

#include "base/attributes.h"

/* V8's functions are 740 bytes on average. Code without frame pointers has this sequence only where it
 * aligns its stack, which is rarer by far. */
#define BYTES_FOR_A_SETUP 4096

#define BLOCK 64
#define LOOK_AHEAD 3
/* Browsers have 150 MB of code without CFI: of more than this every second page, every third and so on speaks
 * for the others. */
#define MOST_READ (1U << 20)
#define PAGE_SIZE 4096

/* push %rbp, then one of the two encodings of mov %rsp, %rbp: assemblers differ. */
static inline bool is_setup(const unsigned char *at)
{
	return (at[0] == 0x55) & (at[1] == 0x48) &
	       (((at[2] == 0x89) & (at[3] == 0xe5)) | ((at[2] == 0x8b) & (at[3] == 0xec)));
}

/* How many begin in a block. Without a branch, so that compilers use vectors. */
static unsigned count_in_block(const unsigned char *at)
{
	uint8_t count = 0;
	for (unsigned i = 0; i < BLOCK; i++)
		count += is_setup(at + i);
	return count;
}

/* How many begin in [at, end); what they consist of may lie behind it. */
static uint64_t count_in_page(const unsigned char *bytes, uint64_t at, uint64_t end, uint64_t size)
{
	uint64_t count = 0;
	for (; at + BLOCK <= end && at + BLOCK + LOOK_AHEAD <= size; at += BLOCK)
		count += count_in_block(bytes + at);
	for (; at < end && at + LOOK_AHEAD < size; at++)
		count += is_setup(bytes + at);
	return count;
}

bool unwind_keeps_frame_pointers(const unsigned char *bytes, uint64_t size)
{
	uint64_t count = 0, looked_at = 0, stride = (1 + size / MOST_READ) * PAGE_SIZE;
	if (!bytes || size < UNWIND_LEAST_FRAME_SETUPS)
		return false;
	for (uint64_t at = 0; at < size; at += stride) {
		uint64_t end = MIN_OF(at + PAGE_SIZE, size);
		count += count_in_page(bytes, at, end, size);
		looked_at += end - at;
	}
	return count >= looked_at / BYTES_FOR_A_SETUP;
}
