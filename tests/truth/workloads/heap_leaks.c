/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works on the CPU, and between two pieces of work allocates: twenty times at `churn`, whose blocks are freed after 64
 * others, and twenty times at `ring`, whose blocks are freed after 200 others; then once each at `leak_small` and
 * `leak_large`, which free nothing, or, without LEAKS, each block after 64 others. All blocks are written to.
 *
 *	heap_leaks SECONDS WORK_NS LEAKS
 */
#include "workload.h"

#define MOST_HELD 512

struct place {
	void *held[MOST_HELD];
	unsigned at, count; /* none is freed: 0 */
	uint64_t objects, bytes, kept;
};

static struct place places[4];

static void keep(struct place *place, void *block, size_t size)
{
	memset(block, 1, size);
	place->objects++;
	place->bytes += size;
	if (!place->count) {
		place->kept += size;
		return;
	}
	place->at = (place->at + 1) % place->count;
	free(place->held[place->at]);
	place->held[place->at] = block;
}

#define PLACE(name, n, size)                        \
	NOINLINE void name(void)                    \
	{                                           \
		void *volatile block = malloc(size); \
                                                    \
		KEEP_FRAME();                       \
		keep(&places[n], block, size);      \
	}

PLACE(churn, 0, 128)
PLACE(ring, 1, 200)
PLACE(leak_small, 2, 200)
PLACE(leak_large, 3, 600)

int main(int argc, char **argv)
{
	static const char *const names[] = {"churn", "ring", "leak_small", "leak_large"};
	double seconds = argc > 1 ? atof(argv[1]) : 1, work_ns = argc > 2 ? atof(argv[2]) : 5000;
	unsigned leaked = argc > 3 && atoi(argv[3]) ? 0 : 64;

	places[0].count = 64;
	places[1].count = 200;
	places[2].count = places[3].count = leaked;
	uint64_t steps = steps_in(work_ns);
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; i % 42 || clock_ns(CLOCK_MONOTONIC) < until; i++) {
		consume(spin(steps));
		if (i % 42 == 20)
			leak_small();
		else if (i % 42 == 41)
			leak_large();
		else if (i % 2)
			churn();
		else
			ring();
	}
	printf("{\"places\": {");
	for (unsigned i = 0; i < 4; i++)
		printf("%s\"%s\": [%llu, %llu, %llu]", i ? ", " : "", names[i], (unsigned long long)places[i].objects,
		       (unsigned long long)places[i].bytes, (unsigned long long)places[i].kept);
	printf("}");
	print_end("heap_leaks");
	return 0;
}
