/* SPDX-License-Identifier: Apache-2.0 */
/* Is there room for more as long as the budget is kept, none beyond it, and again when it is paid off? */
#include "collect/heap_spending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SECOND 1000000000ULL
#define BUDGET 0.01

/* So many seconds pass, in each of which the process uses `cpu` CPUs, and probes cost `cost` ns. */
static void pass(struct heap_spending *spending, unsigned seconds, double cpu, double cost)
{
	for (unsigned i = 0; i < seconds; i++)
		heap_spending_add(spending, cost, spending->cpu_ns + (uint64_t)(cpu * 1e9), spending->now_ns + SECOND);
}

static void test_within(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, 5 * SECOND, 100 * SECOND);
	assert_true(heap_spending_has_room(&spending, BUDGET));
	pass(&spending, 1000, 0.5, 4.9e6);
	assert_true(heap_spending_has_room(&spending, BUDGET));
	assert_false(heap_spending_has_room(&spending, BUDGET / 2));
	pass(&spending, 1000, 0.5, 5.1e6);
	assert_false(heap_spending_has_room(&spending, BUDGET));
}

/* Probes met a burst: the process has to use so much CPU time first that it was worth it. */
static void test_paid_off(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, 0, 0);
	pass(&spending, 3, 0.024, 0);
	heap_spending_add(&spending, 3.6e6, spending.cpu_ns, spending.now_ns);
	assert_false(heap_spending_has_room(&spending, BUDGET));
	pass(&spending, 5, 0.024, 0);
	assert_false(heap_spending_has_room(&spending, BUDGET));
	pass(&spending, 15, 0.024, 0);
	assert_true(heap_spending_has_room(&spending, BUDGET));
}

/* Whatever it did long ago neither stands against it nor pays for more than minutes' worth. */
static void test_forgotten(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, 0, 0);
	heap_spending_add(&spending, 1e9, 0, 0);
	pass(&spending, 1800, 0.1, 0);
	assert_true(heap_spending_has_room(&spending, BUDGET));
	pass(&spending, 36000, 1, 0);
	heap_spending_add(&spending, 2e9, spending.cpu_ns, spending.now_ns);
	assert_false(heap_spending_has_room(&spending, BUDGET));
}

/* Of a process that all but sleeps some microseconds are much, and nobody's loss. */
static void test_negligible(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, 0, 0);
	pass(&spending, 10, 0.0001, 20e3);
	assert_true(heap_spending_has_room(&spending, BUDGET));
	pass(&spending, 10, 0.0001, 200e3);
	assert_false(heap_spending_has_room(&spending, BUDGET));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_paid_off),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_negligible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
