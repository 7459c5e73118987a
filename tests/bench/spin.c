/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed work on every CPU, counted where others can read it: the file named becomes an array of u64, one
 * for each CPU, of rounds done so far. Some of the work is arithmetic, some runs through memory; with EVERY,
 * each so many rounds touch a page for the first time.
 *
 *	spin FILE SECONDS [EVERY]
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
#define PAGE 4096UL
#define FRESH_BYTES (4UL << 20) /* given back when all of it was touched */

static void touch_page(void)
{
	static char *fresh;
	static size_t at;
	if (!fresh)
		fresh = mmap(NULL, FRESH_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fresh == MAP_FAILED)
		exit(1);
	fresh[at] = 1;
	at = (at + PAGE) % FRESH_BYTES;
	if (at == 0)
		madvise(fresh, FRESH_BYTES, MADV_DONTNEED);
}

static void spin(int cpu, volatile uint64_t *count, uint64_t every)
{
	static uint64_t table[TABLE_WORDS];
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t x = 1;; ++*count) {
		for (int i = 0; i < 200; i++) {
			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			table[(x >> 32) % TABLE_WORDS] += x;
		}
		if (every && *count % every == 0)
			touch_page();
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
			spin(cpu, &counts[cpu], argc > 3 ? strtoull(argv[3], NULL, 10) : 0);
	sleep((unsigned int)atoi(argv[2]));
	return 0;
}
