/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half of its time it allocates as often as it can, half of it between pieces of work, by turns of some 100 ms:
 * where an allocator is probed, the first half is slowed down much and the second hardly. Says objects and bytes of both.
 *
 *	heap_dense SECONDS
 */
#include "workload.h"

#define HELD 64
#define BLOCK 64
#define DENSE_NS 200
#define SPARSE_NS 10000
#define DENSE_CALLS 400000
#define SPARSE_CALLS 10000

static uint64_t objects[2];
static void *held[HELD];

#define PLACE(name, n)                                     \
	NOINLINE void name(void)                           \
	{                                                  \
		void *volatile block = malloc(BLOCK);      \
                                                           \
		KEEP_FRAME();                              \
		unsigned at = (unsigned)(++objects[n] % HELD); \
		free(held[at]);                            \
		held[at] = block;                          \
	}

PLACE(dense, 0)
PLACE(sparse, 1)

static void allocate(void (*place)(void), unsigned calls, uint64_t steps)
{
	for (unsigned i = 0; i < calls; i++) {
		consume(spin(steps));
		place();
	}
}

int main(int argc, char **argv)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)((argc > 1 ? atof(argv[1]) : 1) * 1e9);
	uint64_t dense_steps = steps_in(DENSE_NS), sparse_steps = steps_in(SPARSE_NS);

	while (clock_ns(CLOCK_MONOTONIC) < until) {
		allocate(dense, DENSE_CALLS, dense_steps);
		allocate(sparse, SPARSE_CALLS, sparse_steps);
	}
	printf("{\"places\": {\"dense\": [%llu, %llu], \"sparse\": [%llu, %llu]}", (unsigned long long)objects[0],
	       (unsigned long long)objects[0] * BLOCK, (unsigned long long)objects[1], (unsigned long long)objects[1] * BLOCK);
	print_end("heap_dense");
	return 0;
}
