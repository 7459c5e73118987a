/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates rarely, then often, then rarely again, each at a place of its own; of the rare blocks one of four is kept.
 * Says the truth as `heap` does.
 *
 *	heap_tiers RARE_SECONDS OFTEN_SECONDS RARE_SECONDS
 */
#include "workload.h"

#define HELD 64
#define RARE_NS 3e6
#define OFTEN_NS 3e3
#define BLOCK 400

struct truth {
	uint64_t objects, held;
};

static struct truth truths[3];
static void *held[HELD];
static unsigned held_at;

static void keep(struct truth *truth, void *block, int stays)
{
	truth->objects++;
	truth->held += (uint64_t)stays;
	if (stays)
		return;
	held_at = (held_at + 1) % HELD;
	free(held[held_at]);
	held[held_at] = block;
}

#define PLACE(name, n)                                             \
	NOINLINE void name(void)                                   \
	{                                                          \
		void *volatile block = malloc(BLOCK);              \
                                                                   \
		KEEP_FRAME();                                      \
		keep(&truths[n], block, n != 1 && truths[n].objects % 4 == 0); \
	}

PLACE(rare_first, 0)
PLACE(often, 1)
PLACE(rare_last, 2)

static void allocate_for(double seconds, uint64_t steps, void (*place)(void))
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) + (uint64_t)(seconds * 1e9);

	while (clock_ns(CLOCK_MONOTONIC) < until) {
		for (unsigned i = 0; i < 16; i++) {
			consume(spin(steps));
			place();
		}
	}
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"rare_first", "often", "rare_last"};
	static void (*const places[])(void) = {rare_first, often, rare_last};

	for (int i = 0; i < 3; i++)
		allocate_for(argc > i + 1 ? atof(argv[i + 1]) : 1,
			     steps_in(i == 1 ? OFTEN_NS : RARE_NS), places[i]);
	for (unsigned i = 0; i < HELD; i++)
		free(held[i]);
	printf("{\"places\": {");
	for (unsigned i = 0; i < 3; i++)
		printf("%s\"%s\": [%llu, %llu, %llu, %llu]", i ? ", " : "", names[i],
		       (unsigned long long)truths[i].objects, (unsigned long long)truths[i].objects * BLOCK,
		       (unsigned long long)truths[i].held, (unsigned long long)truths[i].held * BLOCK);
	printf("}");
	print_end("heap_tiers");
	return 0;
}
