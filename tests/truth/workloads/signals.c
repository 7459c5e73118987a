/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signal handler on an alternate stack that interrupts a leaf without a frame at any instruction:
 * stacks in the handler must go on through the signal frame to the interrupted function, its caller
 * and the entry. The handler is driven by a timer on the thread's own CPU clock and works for about
 * a third of the time.
 *
 *	signals SECONDS
 */
#include <errno.h>

#include "workload.h"

#define UNITS 3000000 /* some milliseconds */

static uint64_t handler_ns;
static uint64_t handler_units = 20000;

NOINLINE uint64_t handler_work(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
	return value;
}

NOINLINE void handler(int signal_number)
{
	uint64_t before = thread_cpu_ns();
	int saved_errno = errno;

	consume(handler_work(handler_units, (uint64_t)signal_number));
	errno = saved_errno;
	handler_ns += thread_cpu_ns() - before;
}

NOINLINE uint64_t interrupted_leaf(uint64_t units, uint64_t seed)
{
	uint64_t value = seed;

	for (uint64_t unit = 0; unit < units; unit++)
		value = (value ^ (value >> 31)) * 0x94d049bb133111ebULL;
	return value;
}

NOINLINE uint64_t interrupted_caller(uint64_t units, uint64_t seed)
{
	uint64_t value = interrupted_leaf(units, seed);

	KEEP_FRAME();
	return value + 1;
}

static void install_handler(void)
{
	static uint8_t alternate[1 << 16];
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK | SA_RESTART};

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
}

static int start_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec interval = {{0, 4000000}, {0, 4000000}};
	timer_t timer;

	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) < 0)
		return -errno;
	return timer_settime(timer, 0, &interval, NULL) < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
	uint64_t total = argument_ns(argc > 1 ? argv[1] : "1"), start, before, used;
	uint64_t seed = (uint64_t)getpid() + 1;

	before = thread_cpu_ns();
	consume(handler_work(1000000, 1));
	used = thread_cpu_ns() - before;
	handler_units = 1000000ULL * 1500000 / used;
	install_handler();
	if (start_timer() < 0)
		return 1;
	for (start = before = thread_cpu_ns(); before - start < total; before = thread_cpu_ns())
		consume(interrupted_caller(UNITS / 2 + random_next(&seed) % UNITS, before));
	signal(SIGUSR1, SIG_IGN);
	used = thread_cpu_ns();
	printf("{\"functions\": {\"handler\": %llu, \"interrupted_leaf\": %llu}",
	       (unsigned long long)handler_ns, (unsigned long long)(used - start));
	print_end("signals");
	return 0;
}
