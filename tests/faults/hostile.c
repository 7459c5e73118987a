/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes that are hard on a profiler. Each says "ready" when its trap is set, then computes for
 * SECONDS of CPU time.
 *
 *	hostile mappings COUNT FILE SECONDS	maps the file's first page executable so often
 *	hostile library FILE FUNCTION SECONDS	runs a function(units, seed) of a library
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "../truth/workloads/workload.h"

typedef uint64_t (*work_function)(uint64_t units, uint64_t seed);

uint64_t hostile_leaf(uint64_t units, uint64_t seed);

NOINLINE uint64_t hostile_leaf(uint64_t units, uint64_t seed)
{
	while (units--)
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed;
}

/* Returns how many there are. */
static long map_often(long count, const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	long mapped = 0;

	while (mapped < count &&
	       mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0) != MAP_FAILED)
		mapped++;
	close(file);
	return mapped;
}

static work_function load(const char *path, const char *function)
{
	void *library = dlopen(path, RTLD_NOW);

	return library ? (work_function)dlsym(library, function) : NULL;
}

int main(int argc, char **argv)
{
	work_function work = hostile_leaf;
	long mapped = 0;

	if (argc != 5)
		return 2;
	if (!strcmp(argv[1], "mappings"))
		mapped = map_often(atol(argv[2]), argv[3]);
	else
		work = load(argv[2], argv[3]);
	if (!work)
		return 1;
	printf("ready %ld\n", mapped);
	fflush(stdout);
	for (uint64_t until = thread_cpu_ns() + argument_ns(argv[4]); thread_cpu_ns() < until;)
		consume(work(100000, 1));
	return 0;
}
