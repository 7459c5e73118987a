/* SPDX-License-Identifier: Apache-2.0 */
/* Totals that have become final: each place once, within a limit, and nothing given up unseen. */
#include "collect/heap_totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct heap_total total_of(uint64_t stack_id, uint64_t start, double bytes)
{
	return (struct heap_total){.key = {.stack_id = stack_id, .process_start = start, .pid = 7},
				   .objects = 1,
				   .bytes = bytes,
				   .samples = 1};
}

static void test_each_place_once(void **state)
{
	struct heap_ended ended = {.limit = 4};
	struct heap_total more = total_of(1, 5, 100), other = total_of(1, 6, 10);
	for (unsigned i = 0; i < 1000; i++)
		heap_ended_add(&ended, &more);
	heap_ended_add(&ended, &other); /* the same number, another process */
	assert_int_equal(ended.list.count, 2);
	assert_int_equal(ended.lost, 0);
	assert_float_equal(ended.list.items[0].bytes, 100000, 0);
	assert_int_equal(ended.list.items[0].samples, 1000);
	assert_true(ended.list.items[0].is_final && ended.list.items[1].is_final);
	heap_ended_free(&ended);
}

static void test_limit(void **state)
{
	struct heap_ended ended = {.limit = 3};
	for (unsigned i = 0; i < 5; i++) {
		struct heap_total total = total_of(i, 1, 1);
		heap_ended_add(&ended, &total);
	}
	assert_int_equal(ended.list.count, 3);
	assert_int_equal(ended.lost, 2);
	struct heap_total known = total_of(2, 1, 1), again = total_of(3, 1, 1);
	heap_ended_add(&ended, &known); /* needs no room */
	assert_int_equal(ended.lost, 2);
	heap_ended_clear(&ended);
	heap_ended_add(&ended, &again);
	assert_int_equal(ended.list.count, 1);
	assert_float_equal(ended.list.items[0].bytes, 1, 0);
	assert_int_equal(ended.lost, 2);
	heap_ended_free(&ended);
}

/* A place that the kernel has anew gets what was final before; the others come behind, as they are. */
static void test_added(void **state)
{
	struct heap_ended ended = {.limit = 4};
	struct heap_totals totals = {0};
	struct heap_total running = total_of(1, 5, 7), before = total_of(1, 5, 100), gone = total_of(2, 5, 30);
	assert_int_equal(heap_ended_add_to(&ended, &totals), 0);
	assert_int_equal(totals.list.count, 0);
	assert_int_equal(array_add(&totals.list, running), 0);
	heap_ended_add(&ended, &gone);
	heap_ended_add(&ended, &before);
	assert_int_equal(heap_ended_add_to(&ended, &totals), 0);
	assert_int_equal(totals.list.count, 2);
	assert_float_equal(totals.list.items[0].bytes, 107, 0);
	assert_false(totals.list.items[0].is_final);
	assert_float_equal(totals.list.items[1].bytes, 30, 0);
	assert_true(totals.list.items[1].is_final);
	array_free(&totals.list);
	heap_ended_free(&ended);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_place_once),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_added),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
