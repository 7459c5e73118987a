/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See interrupt_cost.h. A loop reads the clock and where the kernel notes how many records it wrote, one an interrupt:
 * a turn that was interrupted is longer by what the interrupt took. So each interrupt is a measurement, and nothing
 * depends on how fast the CPU is at the moment, as the speed of loops with and without interrupts does.
 *
 * Whatever else happens meanwhile makes a turn longer, never shorter: other work, the host of a virtual machine, its
 * neighbours. So one of the shortest is taken. Such states last from some 10 ms to some 100; hence the pauses between
 * slices, and looks that are apart.
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
#include <time.h>
#include <unistd.h>

#define PERIOD_NS (100 * 1000ULL)
#define SLICE_NS INTERRUPT_COST_SLICE_NS
#define MEASUREMENTS_MAX 512
#define UNDISTURBED 8 /* one of so many interrupts, at least */

struct interrupt_cost {
	int event, cpu;
	void *buffer;			/* of the event, BUFFER_PAGES */
	uint64_t costs[MEASUREMENTS_MAX]; /* of an interrupt, ns, with two turns of the loop */
	size_t count;
	uint64_t turn; /* of the loop, the shortest, ns */
};

#define BUFFER_PAGES 2

static size_t buffer_size(void)
{
	return BUFFER_PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

static void run_slice(struct interrupt_cost *c)
{
	const struct perf_event_mmap_page *buffer = c->buffer;
	const volatile uint64_t *head = (const volatile uint64_t *)&buffer->data_head; /* how much was written */
	uint64_t start = monotonic_ns(), last = start, before = start, written = *head;
	bool is_interrupted = false;
	while (last - start < SLICE_NS) {
		uint64_t now = monotonic_ns(), more = *head - written;
		written += more;
		/* It came before or after the last reading of the clock: both turns hold it. Of several at once
		 * nobody can say what each took. */
		if (is_interrupted && !more && c->count < MEASUREMENTS_MAX)
			c->costs[c->count++] = now - before;
		is_interrupted = more == sizeof(struct perf_event_header);
		if (!more)
			c->turn = MIN_OF(c->turn, now - last);
		before = last;
		last = now;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

/* Of all slices until now. */
static uint64_t price(struct interrupt_cost *c)
{
	if (!c->count)
		return INTERRUPT_COST_DEFAULT_NS;
	qsort(c->costs, c->count, sizeof(*c->costs), compare);
	uint64_t cost = c->costs[c->count / UNDISTURBED];
	return cost > 2 * c->turn ? cost - 2 * c->turn : 0;
}

uint64_t interrupt_cost_look(struct interrupt_cost *c, size_t slices)
{
	static const struct timespec pause = {.tv_nsec = SLICE_NS};
	cpu_set_t before, one;
	CPU_ZERO(&one);
	CPU_SET((size_t)c->cpu, &one);
	if (sched_getaffinity(0, sizeof(before), &before) < 0 || sched_setaffinity(0, sizeof(one), &one) < 0)
		return price(c); /* the CPU is offline, or not allowed any more */
	for (size_t i = 0; i < slices; i++) {
		if (i)
			nanosleep(&pause, NULL);
		ioctl(c->event, PERF_EVENT_IOC_ENABLE, 0);
		run_slice(c);
		ioctl(c->event, PERF_EVENT_IOC_DISABLE, 0);
	}
	sched_setaffinity(0, sizeof(before), &before);
	return price(c);
}

int interrupt_cost_new(struct opener *opener, struct interrupt_cost **ret)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.disabled = 1,
	};
	struct interrupt_cost *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->turn = UINT64_MAX;
	c->cpu = sched_getcpu();
	c->event = c->cpu < 0 ? -errno : cpu_events_open(opener, &attr, c->cpu);
	int r = c->event;
	if (r >= 0) {
		/* Read-only: the kernel writes over what is old, and is never held up. */
		c->buffer = mmap(NULL, buffer_size(), PROT_READ, MAP_SHARED, c->event, 0);
		if (c->buffer != MAP_FAILED) {
			*ret = c;
			return 0;
		}
		r = -errno;
		close_fd(c->event);
	}
	free(c);
	return r;
}

struct interrupt_cost *interrupt_cost_free(struct interrupt_cost *c)
{
	if (!c)
		return NULL;
	munmap(c->buffer, buffer_size());
	close_fd(c->event);
	free(c);
	return NULL;
}
