/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates at four places whose blocks live for a known time: `churn` 0.3 ms, `ring` 100 ms, `cache` 2 s, `leak` for ever;
 * and at `grown`, whose blocks a realloc replaces after 20 ms. Waits until its allocator is probed, works for SECONDS and
 * says what it did on one line: for each place objects and bytes allocated, the number of blocks freed by how long they
 * lived, by its own clock (less than 1 ms, 4 ms, 16 ms ...), and the blocks that are left. Then it waits for
 * the end of its input.
 *
 *	heap_lifetimes SECONDS STEP_NS
 */
#include "workload.h"

#include "heap_probed.h"

#define CLASSES 13
#define MOST_HELD (1 << 20)

struct block {
	void *memory;
	uint64_t time;
};

struct place {
	const char *name;
	uint64_t lives_ns; /* 0: for ever */
	size_t size;
	uint64_t objects, bytes, freed[CLASSES];
	struct block *held; /* a ring */
	uint64_t first, end;
};

static struct place churn = {.name = "churn", .lives_ns = 300000, .size = 400};
static struct place ring = {.name = "ring", .lives_ns = 100000000, .size = 300};
static struct place cache = {.name = "cache", .lives_ns = 2000000000, .size = 200};
static struct place leak = {.name = "leak", .size = 100};
static struct place grown = {.name = "grown", .lives_ns = 20000000, .size = 150};

static void note(struct place *place, void *memory)
{
	memset(memory, 1, place->size);
	place->objects++;
	place->bytes += place->size;
	place->held[place->end++ % MOST_HELD] = (struct block){memory, clock_ns(CLOCK_MONOTONIC)};
}

static void note_death(struct place *place, const struct block *block)
{
	uint64_t lived = clock_ns(CLOCK_MONOTONIC) - block->time;
	unsigned class = 0;

	while (class < CLASSES - 1 && lived >= 1000000ULL << 2 * class)
		class++;
	place->freed[class]++;
}

/* Its oldest block, when that has lived its time. */
static struct block *due(struct place *place)
{
	struct block *oldest = &place->held[place->first % MOST_HELD];

	if (!place->lives_ns || place->first == place->end ||
	    clock_ns(CLOCK_MONOTONIC) - oldest->time < place->lives_ns)
		return NULL;
	place->first++;
	return oldest;
}

static void free_due(struct place *place)
{
	struct block *block;

	while ((block = due(place))) {
		note_death(place, block);
		free(block->memory);
	}
}

#define PLACE(name)                                       \
	NOINLINE void in_##name(void)                     \
	{                                                 \
		void *volatile memory = malloc(name.size); \
                                                          \
		KEEP_FRAME();                             \
		note(&name, memory);                      \
	}

PLACE(churn)
PLACE(ring)
PLACE(cache)
PLACE(leak)

/* The block that has lived its time becomes a new one. */
NOINLINE void in_grown(void)
{
	struct block *block = due(&grown);
	void *volatile memory = block ? block->memory : NULL;

	if (block)
		note_death(&grown, block);
	memory = realloc(memory, grown.size);
	KEEP_FRAME();
	note(&grown, memory);
}

static void step(unsigned i)
{
	in_churn();
	if (i % 4 == 0)
		in_ring();
	if (i % 16 == 1)
		in_cache();
	if (i % 16 == 3)
		in_leak();
	if (i % 16 == 5)
		in_grown();
	free_due(&churn);
	free_due(&ring);
	free_due(&cache);
}

static void print(const struct place *place, const char *end)
{
	printf("\"in_%s\": {\"objects\": %llu, \"bytes\": %llu, \"held\": %llu, \"freed\": [", place->name,
	       (unsigned long long)place->objects, (unsigned long long)place->bytes,
	       (unsigned long long)(place->end - place->first));
	for (unsigned i = 0; i < CLASSES; i++)
		printf("%s%llu", i ? ", " : "", (unsigned long long)place->freed[i]);
	printf("]}%s", end);
}

int main(int argc, char **argv)
{
	struct place *const places[] = {&churn, &ring, &cache, &leak, &grown};
	double seconds = argc > 1 ? atof(argv[1]) : 5;
	uint64_t step_ns = argc > 2 ? (uint64_t)atoll(argv[2]) : 20000;
	static char buffer[4096];

	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (unsigned i = 0; i < 5; i++)
		if (!(places[i]->held = calloc(MOST_HELD, sizeof(struct block))))
			abort();
	int probed = wait_for_probes();
	uint64_t next = clock_ns(CLOCK_MONOTONIC), until = next + (uint64_t)(seconds * 1e9);
	for (unsigned i = 0; next < until; i++) {
		step(i);
		next += step_ns;
		while (clock_ns(CLOCK_MONOTONIC) < next)
			;
		if (clock_ns(CLOCK_MONOTONIC) > next + 1000000)
			next = clock_ns(CLOCK_MONOTONIC); /* what was missed is not made up for */
	}
	printf("{\"probed\": %d, \"places\": {", probed);
	for (unsigned i = 0; i < 5; i++)
		print(places[i], i < 4 ? ", " : "}}\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
