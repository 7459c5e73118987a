/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates known numbers of objects and bytes at known places: malloc, calloc, realloc (moving, shrinking to
 * nothing, failing), the aligned ones, blocks that another thread frees, and what the allocator has besides:
 * C++'s operators, its own functions. Waits until its allocator is
 * probed, which it sees by the area the kernel then maps into it, and says what it did on one line: for each
 * place objects and bytes allocated, objects and bytes still held.
 *
 *	heap ROUNDS
 *	heap churn
 *
 * It then waits for the end of its input. `churn` allocates, checks and frees on two threads until then, and
 * says how many blocks did not hold what was written to them.
 */
#include "workload.h"

#include "heap_functions.h"
#include "heap_probed.h"

#include <malloc.h>
#include <pthread.h>

#define THREADS 4

struct truth {
	uint64_t objects, bytes, held_objects, held_bytes;
};

static void *volatile kept;

static void note(struct truth *t, uint64_t bytes, int is_held)
{
	__atomic_add_fetch(&t->objects, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&t->bytes, bytes, __ATOMIC_RELAXED);
	if (is_held) {
		__atomic_add_fetch(&t->held_objects, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&t->held_bytes, bytes, __ATOMIC_RELAXED);
	}
}

NOINLINE void by_malloc(struct truth *t, unsigned i)
{
	size_t size = 1 + i * 37 % 5000;

	kept = malloc(size);
	KEEP_FRAME();
	note(t, size, i % 2);
	if (i % 2 == 0)
		free(kept);
	free(NULL);
}

NOINLINE void by_calloc(struct truth *t, unsigned i)
{
	size_t count = 1 + i % 7, size = 8 + i % 100;

	kept = calloc(count, size);
	KEEP_FRAME();
	note(t, count * size, i % 3 == 0);
	if (i % 3)
		free(kept);
}

/* Grows in three steps; each third is given back by a realloc to nothing. */
NOINLINE void by_realloc(struct truth *t, unsigned i)
{
	void *block = NULL;

	for (size_t size = 100; size <= 100000; size *= 10) {
		block = realloc(block, size + i % 10);
		KEEP_FRAME();
		note(t, size + i % 10, size == 100000 && i % 3);
	}
	kept = block;
	if (i % 3 == 0) {
		kept = realloc(block, 0);
		KEEP_FRAME();
		if (kept) /* some allocators give a block of no bytes */
			note(t, 0, 1);
	}
}

/* The second one fails: the block stays what it was, and half of them are freed later. */
NOINLINE void by_failing_realloc(struct truth *t, unsigned i)
{
	volatile size_t too_much = SIZE_MAX / 4;
	void *volatile block = malloc(64 + i % 8), *volatile none;

	none = realloc(block, too_much);
	KEEP_FRAME();
	note(t, 64 + i % 8, i % 2);
	kept = none ? none : block;
	if (i % 2 == 0)
		free(kept);
}

NOINLINE void by_aligned(struct truth *t, unsigned i)
{
	void *block = NULL;
	size_t size = 64 * (1 + i % 20);

	if (i % 2)
		block = aligned_alloc(64, size);
	else if (posix_memalign(&block, 256, size))
		abort();
	KEEP_FRAME();
	note(t, size, i % 4 == 0);
	kept = block;
	if (i % 4)
		free(block);
}

NOINLINE void by_old_functions(struct truth *t, unsigned i)
{
	size_t count = 2 + i % 5, size = 24 + i % 900;

	if (call_reallocarray) {
		kept = call_reallocarray(NULL, count, size);
		KEEP_FRAME();
		note(t, count * size, 0);
		kept = call_reallocarray(kept, count, 2 * size);
		KEEP_FRAME();
		note(t, count * 2 * size, i % 2);
		if (i % 2 == 0)
			free(kept);
	}
	if (call_memalign) {
		free(kept = call_memalign(128, size));
		note(t, size, 0);
	}
	if (call_valloc && i % 16 == 0) {
		free(kept = call_valloc(size));
		note(t, size, 0);
	}
}

/* Each form of delete for one of new. */
NOINLINE void by_operator(struct truth *t, unsigned i)
{
	size_t size = 1 + i * 11 % 3000;
	char nothrow;

	kept = call__Znwm(size);
	KEEP_FRAME();
	note(t, size, i % 5 == 0);
	if (i % 5 == 1)
		call__ZdlPvm(kept, size);
	else if (i % 5)
		call__ZdlPv(kept);
	call__ZdaPv(kept = call__Znam(size + 1));
	note(t, size + 1, 0);
	call__ZdlPv(kept = call__ZnwmRKSt9nothrow_t(size + 2, &nothrow));
	note(t, size + 2, 0);
	kept = call__ZnamRKSt9nothrow_t(size + 3, &nothrow);
	note(t, size + 3, 0);
	if (call__ZdaPvRKSt9nothrow_t)
		call__ZdaPvRKSt9nothrow_t(kept, &nothrow);
	else
		call__ZdaPv(kept);
	/* libstdc++ asks the C library for a multiple of the alignment. */
	size = 128 * (1 + i % 20);
	call__ZdlPvSt11align_val_t(kept = call__ZnwmSt11align_val_t(size, 64), 64);
	note(t, size, 0);
	kept = call__ZnwmSt11align_val_t(size, 128);
	call__ZdlPvmSt11align_val_t(kept, size, 128);
	note(t, size, 0);
	kept = call__ZnamSt11align_val_tRKSt9nothrow_t(size, 64, &nothrow);
	call__ZdlPvSt11align_val_t(kept, 64);
	note(t, size, 0);
}

NOINLINE void by_jemalloc(struct truth *t, unsigned i)
{
	size_t size = 1 + i * 7 % 20000;

	call_sdallocx(kept = call_mallocx(size, 0), size, 0);
	note(t, size, 0);
	kept = call_mallocx(size + 1, 0);
	note(t, size + 1, 0);
	kept = call_rallocx(kept, 2 * size + 1, 0);
	KEEP_FRAME();
	note(t, 2 * size + 1, i % 2);
	if (i % 2 == 0)
		call_dallocx(kept, 0);
}

NOINLINE void by_mimalloc(struct truth *t, unsigned i)
{
	size_t size = 1 + i * 7 % 20000;

	call_mi_free(kept = call_mi_zalloc(size));
	note(t, size, 0);
	call_mi_free(kept = call_mi_malloc_aligned(size + 1, 64));
	note(t, size + 1, 0);
	kept = call_mi_recalloc(NULL, 3, size);
	note(t, 3 * size, i % 2);
	if (i % 2 == 0)
		call_mi_free(kept);
	call_mi_free(kept = call_mi_new_n(2, size));
	note(t, 2 * size, 0);
}

/* ---- Blocks that another thread frees --------------------------------------------------------- */

static struct truth handed;
static unsigned rounds;

NOINLINE void *by_producer(unsigned i)
{
	size_t size = 16 + i % 3000;
	void *block = malloc(size);

	KEEP_FRAME();
	note(&handed, size, 0);
	return block;
}

static void *run_thread(void *pipes)
{
	int *ends = pipes;
	void *block;

	for (unsigned i = 0; i < rounds; i++) {
		block = by_producer(i);
		if (write(ends[1], &block, sizeof(block)) != sizeof(block) ||
		    read(ends[0], &block, sizeof(block)) != sizeof(block))
			abort();
		free(block);
	}
	return NULL;
}

/* In a ring: each thread frees what the one before it allocated. */
static void run_threads(void)
{
	pthread_t threads[THREADS];
	int pipes[THREADS][2], ends[THREADS][2];

	for (unsigned i = 0; i < THREADS; i++)
		if (pipe(pipes[i]))
			abort();
	for (unsigned i = 0; i < THREADS; i++) {
		ends[i][0] = pipes[(i + THREADS - 1) % THREADS][0];
		ends[i][1] = pipes[i][1];
		if (pthread_create(&threads[i], NULL, run_thread, ends[i]))
			abort();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* ---- Truth ------------------------------------------------------------------------------------ */

static void print(const char *name, const struct truth *t, const char *end)
{
	printf("\"%s\": [%llu, %llu, %llu, %llu]%s", name, (unsigned long long)t->objects,
	       (unsigned long long)t->bytes, (unsigned long long)t->held_objects,
	       (unsigned long long)t->held_bytes, end);
}

/* ---- Churn ------------------------------------------------------------------------------------ */

static int is_over;
static uint64_t blocks, wrong;

static void check_block(const unsigned char *block, size_t size, unsigned char value)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != value) {
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
			return;
		}
}

static void *run_churn(void *argument)
{
	unsigned char *held[64] = {0};
	size_t sizes[64] = {0};

	for (unsigned i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
		unsigned at = i * 7 % 64;
		unsigned char value = (unsigned char)(i * 31);
		if (held[at])
			check_block(held[at], sizes[at], held[at][0]);
		sizes[at] = 16 + i * 13 % 900;
		held[at] = i % 3 ? realloc(held[at], sizes[at]) : (free(held[at]), malloc(sizes[at]));
		if (!held[at])
			abort();
		memset(held[at], value, sizes[at]);
		__atomic_add_fetch(&blocks, 1, __ATOMIC_RELAXED);
	}
	for (unsigned at = 0; at < 64; at++)
		free(held[at]);
	return argument;
}

static int churn(void)
{
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, run_churn, NULL))
			abort();
	while (getchar() != EOF)
		;
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("{\"blocks\": %llu, \"wrong\": %llu}\n", (unsigned long long)blocks,
	       (unsigned long long)wrong);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "churn"))
		return churn();
	struct truth plain = {0}, zeroed = {0}, moved = {0}, failing = {0}, aligned = {0}, old = {0};
	struct truth operators = {0}, own = {0};
	static char buffer[4096];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	find_functions();
	int has_operators = call__Znwm && call__Znam && call__ZdlPvm && call__ZnwmSt11align_val_t;
	int probed = wait_for_probes();
	for (unsigned i = 0; i < rounds; i++) {
		by_malloc(&plain, i);
		by_calloc(&zeroed, i);
		by_realloc(&moved, i);
		by_failing_realloc(&failing, i);
		by_aligned(&aligned, i);
		by_old_functions(&old, i);
		if (has_operators)
			by_operator(&operators, i);
		if (call_mallocx && call_sdallocx)
			by_jemalloc(&own, i);
		else if (call_mi_free)
			by_mimalloc(&own, i);
	}
	run_threads();
	printf("{\"probed\": %d, \"places\": {", probed);
	print("by_malloc", &plain, ", ");
	print("by_calloc", &zeroed, ", ");
	print("by_realloc", &moved, ", ");
	print("by_failing_realloc", &failing, ", ");
	print("by_aligned", &aligned, ", ");
	print("by_old_functions", &old, ", ");
	if (has_operators)
		print("by_operator", &operators, ", ");
	if (own.objects)
		print(call_mallocx ? "by_jemalloc" : "by_mimalloc", &own, ", ");
	print("by_producer", &handed, "}}\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
