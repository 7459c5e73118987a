/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPU time split between three functions of different kinds: a leaf without a frame, one that calls a
 * helper from a frame with saved registers, one that waits for memory.
 *
 *	split SECONDS
 */
#include "workload.h"

NOINLINE uint64_t split_leaf(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

NOINLINE uint64_t split_helper(uint64_t value)
{
	for (int round = 0; round < 24; round++)
		value = (value ^ (value >> 29)) * 0xbf58476d1ce4e5b9ULL;
	return value;
}

NOINLINE uint64_t split_caller(uint64_t units, uint64_t seed)
{
	uint64_t first = seed, second = seed + 1, third = seed + 2;

	for (uint64_t unit = 0; unit < units; unit++) {
		first += split_helper(second);
		second ^= third + first;
		third += unit;
	}
	return first + second + third;
}

static uint8_t memory[1 << 20];

NOINLINE uint64_t split_memory(uint64_t units, uint64_t seed)
{
	uint64_t sum = 0, at = seed;

	for (uint64_t unit = 0; unit < units; unit++) {
		at = at * 2862933555777941757ULL + 3037000493ULL;
		sum += ++memory[at >> 44];
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct part parts[] = {
		{"split_leaf", split_leaf, 6, 0, 0},
		{"split_caller", split_caller, 5, 0, 0},
		{"split_memory", split_memory, 5, 0, 0},
	};

	memset(memory, 1, sizeof(memory)); /* page faults are not what is measured */
	work_in_parts(parts, 3, argument_ns(argc > 1 ? argv[1] : "1"), (uint64_t)getpid() + 1);
	printf("{");
	print_parts(parts, 3);
	print_end("split");
	return 0;
}
