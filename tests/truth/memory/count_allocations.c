/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into a program: counts what the C library's allocator is asked for and gives, and writes objects and bytes
 * to the file COUNT_ALLOCATIONS at the end. It first waits until the allocator is probed; what it allocates
 * for that is not counted, and has wait_for_probes() on its stack.
 *
 * Built without anything of Bolometer.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "../workloads/heap_probed.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static uint64_t objects, bytes;
static int is_waiting = 1;

static void *note(void *block, size_t size)
{
	if (block && !is_waiting) {
		__atomic_add_fetch(&objects, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&bytes, size, __ATOMIC_RELAXED);
	}
	return block;
}

void *malloc(size_t size)
{
	return note(__libc_malloc(size), size);
}

void *calloc(size_t count, size_t size)
{
	return note(__libc_calloc(count, size), count * size);
}

void *realloc(void *block, size_t size)
{
	return note(__libc_realloc(block, size), size);
}

void *reallocarray(void *block, size_t count, size_t size)
{
	return note(__libc_realloc(block, count * size), count * size);
}

void *memalign(size_t alignment, size_t size)
{
	return note(__libc_memalign(alignment, size), size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return note(__libc_memalign(alignment, size), size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	void *block = note(__libc_memalign(alignment, size), size);

	if (!block)
		return ENOMEM;
	*ret = block;
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	if (!wait_for_probes())
		_exit(77);
	is_waiting = 0;
}

__attribute__((destructor)) static void end(void)
{
	char text[64];
	int file = open(getenv("COUNT_ALLOCATIONS"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int length = snprintf(text, sizeof(text), "%llu %llu\n", (unsigned long long)objects,
			      (unsigned long long)bytes);

	if (file < 0 || write(file, text, (size_t)length) != length)
		_exit(1);
}
