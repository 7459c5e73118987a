/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of vfork(), which keeps its return address in a register while parent and child use the same stack.
 *
 *	vforks SECONDS
 */
#include <sys/wait.h>

#include "workload.h"

NOINLINE pid_t vfork_caller(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(0);
	KEEP_FRAME();
	return child;
}

int main(int argc, char **argv)
{
	uint64_t total_ns = argument_ns(argc > 1 ? argv[1] : "1"), children = 0;

	while (process_cpu_ns() + rusage_ns(RUSAGE_CHILDREN) < total_ns)
		children += waitpid(vfork_caller(), NULL, 0) > 0;
	printf("{\"vforks\": %llu", (unsigned long long)children);
	print_end("vforks");
	return 0;
}
