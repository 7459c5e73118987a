/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recursion of known depth (1000 unless said) with the work at its bottom: in user mode, or in a
 * system call with "kernel".
 *
 *	recursion SECONDS [DEPTH [kernel]]
 */
#include <fcntl.h>

#include "workload.h"

static char buffer[1 << 18];
static int zero_fd;

NOINLINE uint64_t bottom(uint64_t total_ns)
{
	uint64_t start = thread_cpu_ns(), value = start;

	while (thread_cpu_ns() - start < total_ns) {
		if (zero_fd)
			value += (uint64_t)read(zero_fd, buffer, sizeof(buffer));
		else
			for (int round = 0; round < 100000; round++)
				value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	}
	return value;
}

NOINLINE uint64_t descend(unsigned int depth, uint64_t total_ns)
{
	uint64_t value = depth > 1 ? descend(depth - 1, total_ns) : bottom(total_ns);

	KEEP_FRAME();
	return value + 1;
}

int main(int argc, char **argv)
{
	unsigned int depth = argc > 2 ? (unsigned int)atoi(argv[2]) : 1000;

	if (argc > 3)
		zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	consume(descend(depth, argument_ns(argc > 1 ? argv[1] : "1")));
	printf("{\"depth\": %u, \"functions\": {\"bottom\": %llu}", depth,
	       (unsigned long long)thread_cpu_ns());
	print_end("recursion");
	return 0;
}
