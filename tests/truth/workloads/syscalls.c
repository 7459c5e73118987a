/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time in the kernel with known user callers: reads that fill a buffer, writes into a memory file.
 *
 *	syscalls SECONDS
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "workload.h"

static char buffer[1 << 18];
static int zero_fd, memory_fd;

NOINLINE uint64_t reading_caller(uint64_t units, uint64_t seed)
{
	uint64_t sum = seed;

	for (uint64_t unit = 0; unit < units; unit += 256)
		sum += (uint64_t)read(zero_fd, buffer, sizeof(buffer));
	return sum;
}

NOINLINE uint64_t writing_caller(uint64_t units, uint64_t seed)
{
	uint64_t sum = seed;

	for (uint64_t unit = 0; unit < units; unit += 256)
		sum += (uint64_t)pwrite(memory_fd, buffer, sizeof(buffer), 0);
	return sum;
}

int main(int argc, char **argv)
{
	struct part parts[] = {
		{"reading_caller", reading_caller, 11, 0, 0},
		{"writing_caller", writing_caller, 5, 0, 0},
	};

	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	memory_fd = memfd_create("writes", MFD_CLOEXEC);
	if (zero_fd < 0 || memory_fd < 0)
		return 1;
	/* Page faults are not what is calibrated. */
	consume(reading_caller(1, 0) + writing_caller(1, 0));
	work_in_parts(parts, 2, argument_ns(argc > 1 ? argv[1] : "1"), (uint64_t)getpid() + 1);
	printf("{");
	print_parts(parts, 2);
	print_end("syscalls");
	return 0;
}
