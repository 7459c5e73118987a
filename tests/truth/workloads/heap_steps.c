/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates step by step, so that a test knows what there is between the steps. Waits for the probes first; then each
 * number N on a line of its input is a step:
 *
 *	leaks()    N objects of 1000 bytes that stay
 *	churns()   N objects of 300 bytes that are freed at once
 *	returns()  N objects of 2000 bytes that stay until the next step
 *
 * After each, as after the waiting, it says on a line what all steps did so far: for each place objects and bytes
 * allocated, objects and bytes still held.
 */
#include "heap_probed.h"

#define MOST 65536

static void *lent[MOST];
static void *volatile kept;

NOINLINE void *leaks(void)
{
	void *block = malloc(1000);

	KEEP_FRAME();
	return block;
}

NOINLINE void *churns(void)
{
	void *block = malloc(300);

	KEEP_FRAME();
	return block;
}

NOINLINE void *returns(void)
{
	void *block = malloc(2000);

	KEEP_FRAME();
	return block;
}

static void tell(int probed, unsigned long all, unsigned long held)
{
	printf("{\"probed\": %d, \"places\": {\"leaks\": [%lu, %lu, %lu, %lu], \"churns\": [%lu, %lu, 0, 0], "
	       "\"returns\": [%lu, %lu, %lu, %lu]}}\n",
	       probed, all, all * 1000, all, all * 1000, all, all * 300, all, all * 2000, held, held * 2000);
	fflush(stdout);
}

int main(void)
{
	static char in[4096], out[4096];
	unsigned long count, all = 0, held = 0;

	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	int probed = wait_for_probes();
	tell(probed, 0, 0);
	while (scanf("%lu", &count) == 1 && count <= MOST) {
		for (unsigned long i = 0; i < held; i++)
			free(lent[i]);
		for (held = 0; held < count; held++) {
			kept = leaks();
			free(churns());
			lent[held] = returns();
		}
		all += count;
		tell(probed, all, held);
	}
	return 0;
}
