/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two libraries, loaded and unloaded in turn, that land at the same address with functions of
 * different names and different frames: old tables or names at a reused address give wrong stacks.
 *
 *	reload SECONDS FIRST.so SECOND.so
 */
#include <dlfcn.h>

#include "workload.h"

typedef uint64_t (*work_function)(uint64_t units, uint64_t seed);

static const char *const names[] = {"first_library_work", "second_library_work"};

NOINLINE uint64_t reload_caller(work_function work, uint64_t units)
{
	uint64_t value = work(units, 1);

	KEEP_FRAME();
	return value;
}

int main(int argc, char **argv)
{
	uint64_t total_ns = argument_ns(argc > 1 ? argv[1] : "1"), used[2] = {0}, before;
	unsigned int rounds, same_address = 0;
	void *address[2] = {0};

	if (argc < 4)
		return 2;
	for (rounds = 0; used[0] + used[1] < total_ns; rounds++) {
		unsigned int which = rounds & 1;
		void *library = dlopen(argv[2 + which], RTLD_NOW);
		work_function work = (work_function)dlsym(library, names[which]);

		if (!work)
			return 1;
		address[which] = (void *)work;
		same_address += address[0] == address[1];
		for (int slice = 0; slice < (which ? 10 : 20); slice++) {
			before = thread_cpu_ns();
			consume(reload_caller(work, 2000000));
			used[which] += thread_cpu_ns() - before;
		}
		dlclose(library);
	}
	printf("{\"rounds\": %u, \"same_address\": %u, "
	       "\"functions\": {\"first_library_work\": %llu, \"second_library_work\": %llu}",
	       rounds, same_address, (unsigned long long)used[0], (unsigned long long)used[1]);
	print_end("reload");
	return 0;
}
