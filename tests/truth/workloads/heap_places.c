/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates at many places, each with a size and a number of its own, from less than one to many samples at
 * the interval that it is told; of each place's objects a part is kept. Waits for the probes first and says the truth as
 * `heap` does: for each place objects and bytes allocated, objects and bytes still held.
 *
 *	heap_places INTERVAL SEED
 */
#include "workload.h"

#include "heap_probed.h"

#define PLACES 36
#define SIZES 9

struct truth {
	uint64_t objects, bytes, held_objects, held_bytes;
};

static struct truth truths[PLACES];
static uint64_t random_state;
static void *volatile kept;

static uint64_t draw(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * 0x2545f4914f6cdd1dULL >> 33;
}

/* One object in `keep_one_in` stays. */
#define PLACE(n)                                                         \
	NOINLINE void place_##n(size_t size, unsigned keep_one_in)       \
	{                                                                \
		struct truth *t = &truths[n];                            \
                                                                         \
		kept = malloc(size);                                     \
		KEEP_FRAME();                                            \
		t->objects++;                                            \
		t->bytes += size;                                        \
		if (draw() % keep_one_in) {                              \
			free(kept);                                      \
		} else {                                                 \
			t->held_objects++;                               \
			t->held_bytes += size;                           \
		}                                                        \
	}
#define FOUR(m) PLACE(m##0) PLACE(m##1) PLACE(m##2) PLACE(m##3)
#define NAME(n) place_##n
#define NAMES(m) NAME(m##0), NAME(m##1), NAME(m##2), NAME(m##3)

PLACE(0) PLACE(1) PLACE(2) PLACE(3)
FOUR(1) FOUR(2) FOUR(3)
PLACE(4) PLACE(5) PLACE(6) PLACE(7)
PLACE(14) PLACE(15) PLACE(16) PLACE(17) PLACE(24) PLACE(25) PLACE(26) PLACE(27)
PLACE(34) PLACE(35) PLACE(8) PLACE(9) PLACE(18) PLACE(19) PLACE(28) PLACE(29)

static void (*const places[PLACES])(size_t, unsigned) = {
	NAME(0), NAME(1), NAME(2), NAME(3), NAME(4), NAME(5), NAME(6), NAME(7), NAME(8), NAME(9),
	NAMES(1), NAME(14), NAME(15), NAME(16), NAME(17), NAME(18), NAME(19),
	NAMES(2), NAME(24), NAME(25), NAME(26), NAME(27), NAME(28), NAME(29),
	NAMES(3), NAME(34), NAME(35),
};

static const unsigned sizes[SIZES] = {1, 24, 100, 300, 1000, 4000, 16000, 50000, 100000};
static const double samples[PLACES / SIZES] = {0.5, 3, 10, 40}; /* expected, in the mean */

int main(int argc, char **argv)
{
	double interval = argc > 1 ? atof(argv[1]) : 524288;
	static char buffer[16384];

	random_state = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) * 2 + 1;
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	int probed = wait_for_probes();
	for (unsigned i = 0; i < PLACES; i++) {
		unsigned size = sizes[i % SIZES], least = size < 16 ? 16 : size;
		double count = samples[i / SIZES] * (least > interval ? 1 : interval / least);
		for (double at = 0; at < count; at++)
			places[i](size + draw() % (size / 4 + 1), 2 + i % 3);
	}
	printf("{\"probed\": %d, \"places\": {", probed);
	for (unsigned i = 0; i < PLACES; i++)
		printf("%s\"place_%u\": [%llu, %llu, %llu, %llu]", i ? ", " : "", i,
		       (unsigned long long)truths[i].objects, (unsigned long long)truths[i].bytes,
		       (unsigned long long)truths[i].held_objects, (unsigned long long)truths[i].held_bytes);
	printf("}}\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
