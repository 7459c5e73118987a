/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works on the CPU, and between two pieces of work allocates at one of 40 places, drawn at random: the first comes forty
 * times as often as the last, and each has a size of its own. Says the truth at the end: of each place objects and bytes.
 *
 *	heap_sites SECONDS WORK_NS SEED
 */
#include "../truth/workloads/workload.h"

#define PLACES 40
#define SIZES 5
#define HELD 64
#define TICKETS (PLACES * (PLACES + 1) / 2)

struct truth {
	uint64_t objects, bytes;
};

static struct truth truths[PLACES];
static void *held[HELD];
static unsigned held_at;
static const size_t sizes[SIZES] = {24, 64, 300, 1000, 4000};

#define PLACE(n)                                         \
	static NOINLINE void place_##n(size_t size)      \
	{                                                \
		void *volatile block = malloc(size);     \
                                                         \
		KEEP_FRAME();                            \
		truths[n].objects++;                     \
		truths[n].bytes += size;                 \
		held_at = (held_at + 1) % HELD;          \
		free(held[held_at]);                     \
		held[held_at] = block;                   \
	}
#define TEN(m) PLACE(m##0) PLACE(m##1) PLACE(m##2) PLACE(m##3) PLACE(m##4) \
	PLACE(m##5) PLACE(m##6) PLACE(m##7) PLACE(m##8) PLACE(m##9)
#define NAME(n) place_##n
#define NAMES(m) NAME(m##0), NAME(m##1), NAME(m##2), NAME(m##3), NAME(m##4), \
	NAME(m##5), NAME(m##6), NAME(m##7), NAME(m##8), NAME(m##9)

TEN() TEN(1) TEN(2) TEN(3)

static void (*const places[PLACES])(size_t) = {NAMES(), NAMES(1), NAMES(2), NAMES(3)};

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1, work_ns = argc > 2 ? atof(argv[2]) : 5000;
	uint64_t random = (argc > 3 ? strtoull(argv[3], NULL, 10) : 1) * 2 + 1;
	static unsigned char ticket[TICKETS];
	unsigned tickets = 0;

	for (unsigned i = 0; i < PLACES; i++)
		for (unsigned k = i; k < PLACES; k++)
			ticket[tickets++] = (unsigned char)i;
	uint64_t steps = steps_in(work_ns);
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; i % 64 || clock_ns(CLOCK_MONOTONIC) < until; i++) {
		consume(spin(steps));
		unsigned which = ticket[(random_next(&random) >> 32) % tickets];
		places[which](sizes[which % SIZES]);
	}
	printf("{\"places\": {");
	for (unsigned i = 0; i < PLACES; i++)
		printf("%s\"place_%u\": [%llu, %llu]", i ? ", " : "", i,
		       (unsigned long long)truths[i].objects, (unsigned long long)truths[i].bytes);
	printf("}");
	print_end("heap_sites");
	return 0;
}
