/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See interrupt_cost.h. The best slice of each kind: other work on the CPU only makes one slower. Slices are short
 * beside those that the scheduler gives out, or on a busy host none would be undisturbed; and they begin with the
 * event, so that each has the same number of interrupts.
 */
#include "collect/interrupt_cost.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/cpu_events.h"

#include <errno.h>
#include <sched.h>
#include <sys/ioctl.h>

#define PERIOD_NS (100 * 1000ULL)
#define INTERRUPTS 5 /* of a slice, which ends between two */
#define SLICE_NS (INTERRUPTS * PERIOD_NS + PERIOD_NS / 2)
#define PAIRS 36
#define WORK 200

static volatile uint64_t sink; /* keeps the work from being left out */

/* Rounds of fixed work a nanosecond during one slice. */
static double speed(void)
{
	uint64_t start = monotonic_ns(), end = start, rounds = 0, x = start;
	for (; end - start < (uint64_t)SLICE_NS; end = monotonic_ns(), rounds++)
		for (int i = 0; i < WORK; i++)
			sink = x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)rounds / (double)(end - start);
}

static double measure(int event)
{
	double off = 0, on = 0;
	for (int i = 0; i < PAIRS; i++) {
		double without = speed();
		ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
		double with = speed();
		ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
		off = MAX_OF(off, without);
		on = MAX_OF(on, with);
	}
	return MAX_OF((1 - on / off) * (double)SLICE_NS / INTERRUPTS, 0.0);
}

int64_t interrupt_cost_measure(struct opener *opener)
{
	cpu_set_t before, one;
	int cpu = sched_getcpu();
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.disabled = 1,
	};
	if (cpu < 0 || sched_getaffinity(0, sizeof(before), &before) < 0)
		return -errno;
	int event = cpu_events_open(opener, &attr, cpu);
	if (event < 0)
		return event;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	int64_t cost = sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : (int64_t)measure(event);
	sched_setaffinity(0, sizeof(before), &before);
	close_fd(event);
	return cost;
}
