/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works on the CPU, and between two pieces of work allocates: at three places in fixed shares, each block freed
 * after 64 (or HELD) others, or, with `keep`, never. It does so for two seconds at a place of its own first, in which a profiler
 * gets to know it. Says the truth as `heap` does, and what was allocated before (`early_bytes`).
 *
 *	heap_pace SECONDS WORK_NS [keep|HELD]
 */
#include "workload.h"

#define HELD 64
#define MOST_HELD 65536
#define EARLY_SECONDS 2

struct truth {
	uint64_t objects, bytes;
};

static struct truth truths[4];
static void *held[MOST_HELD];
static unsigned held_at, held_count = HELD;
static int keeps;

#define PLACE(n, size)                                           \
	NOINLINE void place_##n(void)                            \
	{                                                        \
		void *volatile block = malloc(size);             \
                                                                 \
		KEEP_FRAME();                                    \
		truths[n].objects++;                             \
		truths[n].bytes += size;                         \
		held_at = (held_at + 1) % held_count;            \
		if (!keeps)                                      \
			free(held[held_at]);                     \
		held[held_at] = block;                           \
	}

PLACE(0, 64)
PLACE(1, 300)
PLACE(2, 2000)
PLACE(3, 202) /* before: as large as the others in the mean */

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1, work_ns = argc > 2 ? atof(argv[2]) : 5000;

	keeps = argc > 3 && !strcmp(argv[3], "keep");
	if (argc > 3 && !keeps)
		held_count = (unsigned)atoi(argv[3]) % MOST_HELD + 1;
	uint64_t steps = steps_in(work_ns);
	uint64_t early = clock_ns(CLOCK_MONOTONIC) + EARLY_SECONDS * 1000000000ULL;
	for (unsigned i = 0; i % 64 || clock_ns(CLOCK_MONOTONIC) < early; i++) {
		consume(spin(steps));
		place_3();
	}
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; i % 64 || clock_ns(CLOCK_MONOTONIC) < until; i++) {
		consume(spin(steps));
		/* 80, 15 and 5 of a hundred; in no simple order. */
		unsigned which = i * 37 % 100;
		if (which < 80)
			place_0();
		else if (which < 95)
			place_1();
		else
			place_2();
	}
	printf("{\"places\": {");
	for (unsigned i = 0; i < 3; i++)
		printf("%s\"place_%u\": [%llu, %llu]", i ? ", " : "", i,
		       (unsigned long long)truths[i].objects, (unsigned long long)truths[i].bytes);
	printf("}, \"early_bytes\": %llu", (unsigned long long)truths[3].bytes);
	print_end("heap_pace");
	return 0;
}
