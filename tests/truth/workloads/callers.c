/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same leaf from different callers, so that a stack that skips the caller is seen to be wrong:
 * a leaf without a frame in this program, one in a library (called through the PLT), the vDSO's
 * clock_gettime.
 *
 *	callers SECONDS
 */
#include "library.h"
#include "workload.h"

NOINLINE uint64_t leaf_without_frame(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

NOINLINE uint64_t leaf_caller_one(uint64_t units, uint64_t seed)
{
	uint64_t value = leaf_without_frame(units, seed);

	KEEP_FRAME();
	return value + 1;
}

NOINLINE uint64_t leaf_caller_two(uint64_t units, uint64_t seed)
{
	uint64_t value = leaf_without_frame(units, seed);

	KEEP_FRAME();
	return value + 2;
}

/* Many short calls: a good part of the samples falls into the PLT's own instructions. */
NOINLINE uint64_t plt_caller_one(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value += library_leaf(value);
	return value;
}

NOINLINE uint64_t plt_caller_two(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value ^= library_leaf(value + unit);
	return value;
}

NOINLINE uint64_t vdso_caller_one(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value += clock_ns(CLOCK_MONOTONIC);
	return value;
}

NOINLINE uint64_t vdso_caller_two(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value ^= clock_ns(CLOCK_REALTIME);
	return value;
}

int main(int argc, char **argv)
{
	struct part parts[] = {
		{"leaf_caller_one", leaf_caller_one, 2, 0, 0},
		{"leaf_caller_two", leaf_caller_two, 3, 0, 0},
		{"plt_caller_one", plt_caller_one, 2, 0, 0},
		{"plt_caller_two", plt_caller_two, 3, 0, 0},
		{"vdso_caller_one", vdso_caller_one, 2, 0, 0},
		{"vdso_caller_two", vdso_caller_two, 4, 0, 0},
	};

	work_in_parts(parts, 6, argument_ns(argc > 1 ? argv[1] : "1"), (uint64_t)getpid() + 1);
	printf("{\"leaves\": {\"leaf_without_frame\": \"leaf_caller_\", "
	       "\"library_leaf\": \"plt_caller_\", \"clock_gettime\": \"vdso_caller_\"}, ");
	print_parts(parts, 6);
	print_end("callers");
	return 0;
}
