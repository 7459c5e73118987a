/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See interrupt_cost.h. Slices are short beside those that the scheduler gives out, or on a busy host none would be
 * undisturbed. Of an interrupt that comes late, as on a virtual machine, the next ones are left out: those that came
 * are counted, by the records that each leaves in the event's buffer. Other work on the CPU only makes a slice
 * slower, so the best one without interrupts is the reference; of those with, a quarter is taken to be undisturbed.
 */
#include "collect/interrupt_cost.h"

#include "base/clock.h"
#include "base/file.h"
#include "collect/cpu_events.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PERIOD_NS (100 * 1000ULL)
#define SLICE_NS (500 * 1000ULL)
#define LEAST_PAIRS 8 /* of slices with and without */
#define MOST_PAIRS 40
#define LEAST_INTERRUPTS 3 /* of a slice that says something */
#define WORK 200

static volatile uint64_t sink; /* keeps the work from being left out */

struct slice {
	double speed; /* rounds of fixed work a nanosecond */
	uint64_t ns, interrupts;
};

/* `head` is where the kernel notes how much it wrote, one record an interrupt. */
static struct slice run_slice(const volatile uint64_t *head)
{
	uint64_t first = *head, rounds = 0, start = monotonic_ns(), end = start, x = start;
	for (; end - start < SLICE_NS; end = monotonic_ns(), rounds++)
		for (int i = 0; i < WORK; i++)
			sink = x = x * 6364136223846793005ULL + 1442695040888963407ULL;
	return (struct slice){.speed = (double)rounds / (double)(end - start),
			      .ns = end - start,
			      .interrupts = (*head - first) / sizeof(struct perf_event_header)};
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static double measure(int event, size_t pairs, const volatile uint64_t *head)
{
	struct slice with[MOST_PAIRS];
	double off = 0, costs[MOST_PAIRS];
	size_t count = 0;
	for (size_t i = 0; i < pairs; i++) {
		double without = run_slice(head).speed;
		ioctl(event, PERF_EVENT_IOC_ENABLE, 0);
		with[i] = run_slice(head);
		ioctl(event, PERF_EVENT_IOC_DISABLE, 0);
		off = MAX_OF(off, without);
	}
	for (size_t i = 0; i < pairs; i++)
		if (with[i].interrupts >= LEAST_INTERRUPTS)
			costs[count++] = MAX_OF(1 - with[i].speed / off, 0.0) * (double)with[i].ns /
					 (double)with[i].interrupts;
	if (!count)
		return INTERRUPT_COST_DEFAULT_NS;
	qsort(costs, count, sizeof(*costs), compare);
	return costs[count / 4];
}

/* On a CPU that this thread stays on. Returns nanoseconds or -errno. */
static int64_t measure_event(int event, size_t pairs)
{
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);
	/* Read-only: the kernel writes over what is old, and is never held up. */
	struct perf_event_mmap_page *buffer = mmap(NULL, size, PROT_READ, MAP_SHARED, event, 0);
	if (buffer == MAP_FAILED)
		return -errno;
	int64_t cost = (int64_t)measure(event, pairs, (const volatile uint64_t *)&buffer->data_head);
	munmap(buffer, size);
	return cost;
}

int64_t interrupt_cost_measure(struct opener *opener, uint64_t most_ns)
{
	size_t pairs = MAX_OF(MIN_OF(most_ns / (2 * SLICE_NS), (uint64_t)MOST_PAIRS), (uint64_t)LEAST_PAIRS);
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
	int64_t cost = sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : measure_event(event, pairs);
	sched_setaffinity(0, sizeof(before), &before);
	close_fd(event);
	return cost;
}
