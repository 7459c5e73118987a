/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates and frees, with so much work between two allocations as makes it allocate RATE times in a second of its
 * CPU time. It says how many steps of work that is, or is told; and each five milliseconds how far it is:
 * CLOCK_MONOTONIC ns, allocations, CPU time in ns.
 *
 *	allocate RATE SECONDS [STEPS]
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define HELD 256
#define TELL_NS 5000000ULL

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

static void *held[HELD];
static volatile uint64_t sink;

__attribute__((noinline)) static void work(uint64_t steps)
{
	uint64_t value = steps;

	for (uint64_t i = 0; i < steps; i++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	sink = value;
}

static void allocate(uint64_t i)
{
	unsigned at = (unsigned)(i * 37 % HELD);

	free(held[at]);
	held[at] = malloc(16 + i * 13 % 700);
}

/* Steps of work in one allocation's share of a second. */
static uint64_t steps_for(double rate)
{
	uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID), middle;
	enum { STEPS = 1 << 22, ALLOCATIONS = 1 << 18 };

	work(STEPS);
	middle = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (uint64_t i = 0; i < ALLOCATIONS; i++)
		allocate(i);
	double step = (double)(middle - begin) / STEPS;
	double allocation = (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - middle) / ALLOCATIONS;
	double left = 1e9 / rate - allocation;
	return left > 0 ? (uint64_t)(left / step) : 0;
}

int main(int argc, char **argv)
{
	double rate = argc > 1 ? atof(argv[1]) : 1000, seconds = argc > 2 ? atof(argv[2]) : 1;
	uint64_t steps = argc > 3 ? strtoull(argv[3], NULL, 10) : steps_for(rate);
	uint64_t begin = clock_ns(CLOCK_MONOTONIC), now = begin, told = 0;
	/* The clock is looked at some ten thousand times a second at the most. */
	uint64_t stride = rate > 20000 ? (uint64_t)(rate / 10000) : 1;

	printf("%llu\n", (unsigned long long)steps);
	for (uint64_t i = 0; (double)(now - begin) < seconds * 1e9; i++) {
		work(steps);
		allocate(i);
		if (i % stride)
			continue;
		now = clock_ns(CLOCK_MONOTONIC);
		if (now - told < TELL_NS)
			continue;
		told = now;
		printf("%llu %llu %llu\n", (unsigned long long)now, (unsigned long long)i,
		       (unsigned long long)clock_ns(CLOCK_THREAD_CPUTIME_ID));
		fflush(stdout);
	}
	return 0;
}
