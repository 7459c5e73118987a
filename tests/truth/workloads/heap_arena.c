/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library that brings an allocator of its own: blocks of memory that it maps when it is loaded. Built twice, with
 * functions at different places (ARENA_PADDING): at a reused address other probes are needed than before.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA_SIZE (64UL << 20)
#define HEADER 16

static char *arena;
static size_t used;

__attribute__((constructor)) static void map_arena(void)
{
	arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

__attribute__((destructor)) static void unmap_arena(void)
{
	munmap(arena, ARENA_SIZE);
}

#ifdef ARENA_PADDING
/* Never called; it stands before the others. */
void padding(void)
{
	__asm__ volatile(".fill 64, 4, 0");
}
#endif

void *malloc(size_t size)
{
	size_t whole = (size + HEADER + 15) & ~(size_t)15;

	if (size > ARENA_SIZE || used + whole > ARENA_SIZE)
		return NULL;
	void *block = arena + used + HEADER;
	memcpy(arena + used, &size, sizeof(size));
	used += whole;
	return block;
}

void *calloc(size_t count, size_t size)
{
	if (size && count > ARENA_SIZE / size)
		return NULL;
	return malloc(count * size); /* of memory that is new */
}

void *realloc(void *block, size_t size)
{
	size_t old = 0;
	void *larger = malloc(size);

	if (block)
		memcpy(&old, (char *)block - HEADER, sizeof(old));
	if (larger && block)
		memcpy(larger, block, old < size ? old : size);
	return larger;
}

/* The memory is given back with the library. */
void free(void *block)
{
	if (block)
		memset((char *)block - HEADER, 0, sizeof(size_t));
}
