/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed work on every CPU, counted where others can read it: the file named becomes an array of u64, one
 * for each CPU, of rounds done so far. Some of the work is arithmetic, some runs through memory.
 *
 *	spin FILE SECONDS
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TABLE_WORDS (128 * 1024 / 8)

static void spin(int cpu, volatile uint64_t *count)
{
	static uint64_t table[TABLE_WORDS];
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t x = 1;; ++*count)
		for (int i = 0; i < 200; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			table[(x >> 32) % TABLE_WORDS] += x;
		}
}

int main(int argc, char **argv)
{
	int cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	if (argc < 3)
		return 2;
	int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, cpus * 8) < 0)
		return 1;
	uint64_t *counts =
		mmap(NULL, (size_t)cpus * 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (counts == MAP_FAILED)
		return 1;
	for (int cpu = 0; cpu < cpus; cpu++)
		if (fork() == 0)
			spin(cpu, &counts[cpu]);
	sleep((unsigned int)atoi(argv[2]));
	return 0;
}
