/* SPDX-License-Identifier: Apache-2.0 */
/* Ticks of our own CPU time: those that there is no room for are counted. */
#include "collect/task_clock.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define TICK_NS 20000
#define ROOM 1024 /* at least as many as there is room for, on pages of 4 KiB */

static void count(void *userdata, uint64_t address)
{
	(*(uint64_t *)userdata)++;
}

static void use_cpu(uint64_t ns)
{
	uint64_t begin = thread_cpu_ns();
	while (thread_cpu_ns() - begin < ns)
		;
}

/* Returns the CPU time that the clock has seen. */
static uint64_t tick_for(uint64_t ns, struct task_clock *clock)
{
	task_clock_open((uint32_t)getpid(), TICK_NS, clock);
	if (!clock->events.count)
		skip(); /* no rights */
	task_clock_start(clock);
	use_cpu(ns);
	task_clock_stop(clock);
	return task_clock_read(clock);
}

static void test_few(void **state)
{
	struct task_clock clock;
	uint64_t known = 0, ns = tick_for(50 * TICK_NS, &clock);
	uint64_t lost = task_clock_each_tick(&clock, count, &known);
	assert_true(known <= ns / TICK_NS + 1);
	assert_true(known > TASK_CLOCK_MOST_TICKS || lost == 0);
	task_clock_close(&clock);
}

static void test_many(void **state)
{
	struct task_clock clock;
	uint64_t known = 0, ns = tick_for(3 * ROOM * (uint64_t)TICK_NS, &clock);
	uint64_t lost = task_clock_each_tick(&clock, count, &known);
	task_clock_close(&clock);
	if (known < TASK_CLOCK_MOST_TICKS)
		skip(); /* the kernel has fewer ticks than it was asked for */
	assert_true(known < ROOM || sysconf(_SC_PAGESIZE) > 4096);
	assert_true(lost > 0 || sysconf(_SC_PAGESIZE) > 4096);
	assert_true(known + lost <= ns / TICK_NS + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
