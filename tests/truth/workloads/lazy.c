/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A library whose functions the dynamic loader resolves at their first call, loaded anew again and again: most of the
 * time goes to the loader, whose frames stand between the call and what resolves it.
 *
 *	lazy SECONDS LIBRARY.so
 */
#include <dlfcn.h>

#include "workload.h"

typedef uint64_t (*lazy_function)(uint64_t value);

NOINLINE uint64_t lazy_caller(lazy_function call_all, uint64_t value)
{
	value = call_all(value);
	KEEP_FRAME();
	return value + 1;
}

int main(int argc, char **argv)
{
	uint64_t total_ns = argument_ns(argc > 1 ? argv[1] : "1"), start = thread_cpu_ns(), used = 0, value = start;

	if (argc < 3)
		return 2;
	while (thread_cpu_ns() - start < total_ns) {
		void *library = dlopen(argv[2], RTLD_LAZY);
		lazy_function call_all = (lazy_function)dlsym(library, "call_all");
		uint64_t before = thread_cpu_ns();

		if (!call_all)
			return 1;
		value = lazy_caller(call_all, value);
		used += thread_cpu_ns() - before;
		dlclose(library);
	}
	consume(value);
	printf("{\"functions\": {\"lazy_caller\": %llu}", (unsigned long long)used);
	print_end("lazy");
	return 0;
}
