/* SPDX-License-Identifier: Apache-2.0 */
/* The price of an interrupt, by a clock and a kernel that are made up. */
#include "collect/interrupt_cost.h"

#include "collect/cpu_events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define READING_NS 30
#define PERIOD_NS 100000
#define PRICE_NS 15000

/* The event's buffer, and what the machine does. */
static struct machine {
	struct perf_event_mmap_page *page;
	uint64_t now, next, interrupts;
	uint64_t disturbed; /* so many of eight interrupts take three times as long */
	uint64_t speed;	    /* a reading takes so much more */
	int at_once;	    /* interrupts that come together */
	int failure;	    /* of opening the event */
} machine;

int __wrap_cpu_events_open(void *userdata, struct perf_event_attr *attr, int cpu);
int __wrap_cpu_events_open(void *userdata, struct perf_event_attr *attr, int cpu)
{
	if (machine.failure)
		return machine.failure;
	int fd = memfd_create("event", MFD_CLOEXEC);
	size_t size = 2 * (size_t)sysconf(_SC_PAGESIZE);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	machine.page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(machine.page, MAP_FAILED);
	assert_int_equal(attr->sample_period, PERIOD_NS);
	assert_true(attr->disabled);
	return fd;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	machine.now += READING_NS + machine.speed;
	uint64_t reading = machine.now;
	if (machine.now >= machine.next && machine.page) {
		uint64_t price = PRICE_NS * (machine.interrupts++ % 8 < machine.disturbed ? 3 : 1);
		machine.next = machine.now + PERIOD_NS;
		machine.now += price * (uint64_t)machine.at_once;
		machine.page->data_head += (uint64_t)machine.at_once * sizeof(struct perf_event_header);
		if (machine.interrupts & 1)
			reading = machine.now; /* the interrupt may come on either side of the reading */
	}
	*ret = (struct timespec){.tv_sec = (time_t)(reading / 1000000000), .tv_nsec = (long)(reading % 1000000000)};
	return 0;
}

static uint64_t price_of(struct machine made_up)
{
	struct interrupt_cost *cost = NULL;
	machine = made_up;
	machine.at_once = machine.at_once ? machine.at_once : 1;
	assert_int_equal(interrupt_cost_new(NULL, &cost), 0);
	interrupt_cost_look(cost, 2);
	uint64_t price = interrupt_cost_look(cost, 6);
	interrupt_cost_free(cost);
	munmap(machine.page, 2 * (size_t)sysconf(_SC_PAGESIZE));
	machine.page = NULL;
	return price;
}

static void test_price(void **state)
{
	assert_in_range(price_of((struct machine){0}), PRICE_NS, PRICE_NS + READING_NS);
	assert_in_range(price_of((struct machine){.speed = 2000}), PRICE_NS, PRICE_NS + 2000 + READING_NS);
}

static void test_disturbances_are_left_out(void **state)
{
	assert_in_range(price_of((struct machine){.disturbed = 5}), PRICE_NS, PRICE_NS + READING_NS);
	assert_in_range(price_of((struct machine){.disturbed = 8}), 3 * PRICE_NS, 3 * PRICE_NS + READING_NS);
}

static void test_nothing_is_measured(void **state)
{
	assert_int_equal(price_of((struct machine){.at_once = 2}), INTERRUPT_COST_DEFAULT_NS);
	assert_int_equal(price_of((struct machine){.next = UINT64_MAX}), INTERRUPT_COST_DEFAULT_NS);
}

static void test_affinity_is_kept(void **state)
{
	cpu_set_t before, after;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	price_of((struct machine){0});
	assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
	assert_true(CPU_EQUAL(&before, &after));
}

static void test_event_is_refused(void **state)
{
	struct interrupt_cost *cost = NULL;
	machine = (struct machine){.failure = -EACCES};
	assert_int_equal(interrupt_cost_new(NULL, &cost), -EACCES);
	assert_null(cost);
	assert_null(interrupt_cost_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_price),
		cmocka_unit_test(test_disturbances_are_left_out),
		cmocka_unit_test(test_nothing_is_measured),
		cmocka_unit_test(test_affinity_is_kept),
		cmocka_unit_test(test_event_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
