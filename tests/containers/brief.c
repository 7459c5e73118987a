/* SPDX-License-Identifier: Apache-2.0 */
/* What runs in the containers: uses the CPU for argv[1] milliseconds in functions with known names, and
 * ends. Linked statically, so that a root file system is this one file. */
#include <stdlib.h>
#include <time.h>

static long used_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static volatile unsigned long sink;

__attribute__((noinline, noclone)) static void brief_inner(void)
{
	for (unsigned long i = 0; i < 20000; i++)
		sink += i * i;
}

__attribute__((noinline, noclone)) static void brief_outer(long until_us)
{
	while (used_us() < until_us)
		brief_inner();
	sink++; /* no tail call */
}

int main(int argc, char **argv)
{
	/* The engine's own work before the exec is this process's too. */
	brief_outer(used_us() + (argc > 1 ? atol(argv[1]) * 1000 : 5000));
	return 0;
}
