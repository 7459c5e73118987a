/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads libraries with an allocator of their own, one after the other, allocates by each and unloads it. For each it says
 * when it is loaded, waits for a line, allocates, and says what: place, address of the allocator, objects and
 * bytes allocated, objects and bytes still held. All but those of the last one are freed. Then it waits for the end of its
 * input.
 *
 *	heap_libraries LIBRARY...
 */
#include <dlfcn.h>

#include "workload.h"

#include "heap_probed.h"

#define BLOCKS 300

typedef void *(*malloc_function)(size_t size);
typedef void (*free_function)(void *block);

static void *blocks[BLOCKS];

/* A place for each library. */
#define PLACE(n)                                                                   \
	NOINLINE void *place_##n(malloc_function allocate, size_t size)            \
	{                                                                          \
		void *block = allocate(size);                                      \
                                                                                   \
		KEEP_FRAME();                                                      \
		return block;                                                      \
	}
PLACE(0)
PLACE(1)
PLACE(2)
PLACE(3)

static void *(*const places[])(malloc_function, size_t) = {place_0, place_1, place_2, place_3};
#define PLACES (sizeof(places) / sizeof(places[0]))

static void wait_for_line(void)
{
	int c;

	while ((c = getchar()) != '\n')
		if (c == EOF)
			exit(1);
}

static void use(unsigned which, void *library, int is_last)
{
	malloc_function allocate = (malloc_function)dlsym(library, "malloc");
	free_function release = (free_function)dlsym(library, "free");
	uint64_t bytes = 0, held = 0, held_bytes = 0;

	if (!allocate || !release || which >= PLACES)
		exit(2);
	printf("{\"loaded\": %u}\n", which);
	fflush(stdout);
	wait_for_line();
	for (unsigned i = 0; i < BLOCKS; i++) {
		size_t size = 100 * (which + 1) + i;
		blocks[i] = places[which](allocate, size);
		bytes += size;
		held += is_last && i % 2;
		held_bytes += is_last && i % 2 ? size : 0;
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (!is_last || i % 2 == 0)
			release(blocks[i]);
	printf("{\"address\": %llu, \"place\": \"place_%u\", \"values\": [%u, %llu, %llu, %llu]}\n",
	       (unsigned long long)(uintptr_t)allocate, which, BLOCKS, (unsigned long long)bytes,
	       (unsigned long long)held, (unsigned long long)held_bytes);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char buffer[1024];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	printf("{\"probed\": %d}\n", wait_for_probes());
	fflush(stdout);
	for (int i = 1; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW | RTLD_LOCAL);
		if (!library)
			return 3;
		use((unsigned)i - 1, library, i == argc - 1);
		if (i < argc - 1)
			dlclose(library);
	}
	while (getchar() != EOF)
		;
	return 0;
}
