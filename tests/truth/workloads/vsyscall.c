/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks for the time as programs linked before 2011 do: by a call into the vsyscall page, which no file backs and
 * which the kernel emulates in the page fault. x86-64 alone has it.
 *
 *	vsyscall SECONDS
 */
#include "workload.h"

#include <sys/time.h>

#define VSYSCALL_GETTIMEOFDAY 0xffffffffff600000UL /* arch/x86/include/uapi/asm/vsyscall.h */

typedef long (*gettimeofday_function)(struct timeval *, void *);

__attribute__((noinline)) double vsyscall_caller(void)
{
	struct timeval now;
	for (int i = 0; i < 1000; i++)
		((gettimeofday_function)VSYSCALL_GETTIMEOFDAY)(&now, NULL);
	return (double)now.tv_sec + (double)now.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	double end = vsyscall_caller() + (argc > 1 ? atof(argv[1]) : 1);
	while (vsyscall_caller() < end)
		;
	return 0;
}
