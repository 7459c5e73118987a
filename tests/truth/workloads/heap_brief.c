/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that are hard to follow:
 *
 *	heap_brief ends		allocates, keeps what it has, and ends
 *	heap_brief nothing	ends before it allocates
 *	heap_brief waits	waits for probes first, and says whether they came
 *	heap_brief leaderless	waits for probes, allocates, says so, and ends its main thread; another thread goes on
 *				allocating until the end of the program's input
 *	heap_brief headless	the same, but waits for nothing
 */
#include "workload.h"

#include "heap_probed.h"

#include <pthread.h>

#define BLOCKS 100
#define SIZE 5000

static void *volatile blocks[BLOCKS];

NOINLINE void briefly(unsigned i)
{
	blocks[i] = malloc(SIZE);
	KEEP_FRAME();
}

NOINLINE void later(void)
{
	void *volatile block = malloc(SIZE);

	KEEP_FRAME();
	free(block);
}

static void allocate(void)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		briefly(i);
}

static int is_over;

static void *go_on(void *argument)
{
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
		later();
		usleep(1000);
	}
	exit(0);
	return argument;
}

static void *wait_for_end(void *argument)
{
	char c;

	while (read(0, &c, 1) > 0)
		;
	__atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
	return argument;
}

static void say(int probed)
{
	printf("{\"probed\": %d, \"values\": [%d, %d]}\n", probed, BLOCKS, BLOCKS * SIZE);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char buffer[256];
	const char *how = argc > 1 ? argv[1] : "";
	pthread_t thread;

	if (!strcmp(how, "nothing"))
		_exit(0);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	int probed = !strcmp(how, "waits") || !strcmp(how, "leaderless") ? wait_for_probes() : 0;
	allocate();
	say(probed);
	if (!strcmp(how, "waits") || !strcmp(how, "ends"))
		return 0;
	if (pthread_create(&thread, NULL, wait_for_end, NULL) || pthread_create(&thread, NULL, go_on, NULL))
		abort();
	pthread_exit(NULL);
}
