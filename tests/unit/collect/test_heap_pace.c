/* SPDX-License-Identifier: Apache-2.0 */
/* How often allocators are looked at, on made-up hosts: is what is allowed kept, used, and not changed all the time? */
#include "collect/heap_pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ULL

static double cost_of(const struct heap_pace *pace, size_t processes, double window_ns)
{
	return (double)processes * window_ns * 1e9 / (double)pace->period_ns;
}

/* Whatever their number and price, windows cost half of what is allowed at most, and not much less than they may. */
static void test_windows_fit(void **state)
{
	static const size_t counts[] = {1, 3, 50, 64, 1000, 4096};
	static const double prices[] = {1e5, 1.5e6, 4e6}, allowances[] = {1e6, 4e6, 1e9};
	for (size_t i = 0; i < 6 * 3 * 3; i++) {
		size_t count = counts[i % 6];
		double price = prices[i / 6 % 3], allowed = allowances[i / 18];
		struct heap_pace pace = {.allowed = allowed};
		for (int windows = 0; windows < 100; windows++) {
			heap_pace_note_window(&pace, price);
			heap_pace_period(&pace, count, SECOND);
		}
		double cost = cost_of(&pace, count, price);
		if (pace.period_ns < HEAP_LONGEST_PERIOD_NS)
			assert_true(cost <= allowed / 2);
		if (pace.period_ns > SECOND)
			assert_true(cost >= allowed / 2 / 3.01); /* rounded up, with half as much to spare */
	}
}

static void test_without_a_limit(void **state)
{
	struct heap_pace pace = {.allowed = INFINITY};
	heap_pace_note_window(&pace, 1e9);
	assert_int_equal(heap_pace_period(&pace, 4096, SECOND), SECOND);
	assert_int_equal(heap_pace_period(&pace, 4096, 4 * SECOND), 4 * SECOND);
	assert_int_equal(heap_pace_period(&pace, 4096, SECOND), SECOND);
	assert_true(heap_pace_can_stay(&pace, 1e12));
	assert_false(heap_pace_must_leave(&pace, 1e12, 1e12, 1e12));
}

/* Before a window was open one is taken to cost something. */
static void test_many_at_once(void **state)
{
	struct heap_pace pace = {.allowed = 4e6};
	assert_true(heap_pace_period(&pace, 50, SECOND) >= 16 * SECOND);
}

/* Each change makes final what is known: prices that differ by half from window to window bring about few. */
static void test_changes_are_few(void **state)
{
	struct heap_pace pace = {.allowed = 4e6};
	uint64_t random = 1, last = 0;
	unsigned changes = 0;
	for (int windows = 0; windows < 10000; windows++) {
		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		heap_pace_note_window(&pace, 1.28e6 * (0.5 + (double)(random >> 11) / 9007199254740992.0));
		changes += heap_pace_period(&pace, 50, SECOND) != last;
		last = pace.period_ns;
	}
	assert_in_range(changes, 1, 4);
}

/* A host calms down: the pace follows. */
static void test_comes_back(void **state)
{
	struct heap_pace pace = {.allowed = 4e6};
	heap_pace_note_window(&pace, 1e6);
	assert_int_equal(heap_pace_period(&pace, 60, SECOND), 32 * SECOND);
	assert_int_equal(heap_pace_period(&pace, 1, SECOND), SECOND);
}

/* Processes with probes that stay become dear, one after another is sent to windows until the others fit; none of those
 * that were sent fits at once. */
static void test_dearest_leaves(void **state)
{
	struct heap_pace pace = {.allowed = 10e6};
	double costs[] = {1e6, 4e6, 2e6, 0.5e6, 3e6}, all = 10.5e6;
	unsigned left = 0;
	for (int round = 0; round < 10; round++) {
		size_t dearest = 0;
		for (size_t i = 0; i < 5; i++)
			dearest = costs[i] > costs[dearest] ? i : dearest;
		for (size_t i = 0; i < 5; i++) {
			if (!heap_pace_must_leave(&pace, costs[i], costs[dearest], all))
				continue;
			assert_int_equal(i, dearest);
			left++;
			all -= costs[i];
			assert_false(heap_pace_can_stay(&pace, all + costs[i]));
			costs[i] = 0;
			break;
		}
	}
	assert_int_equal(left, 2);
	assert_true(all <= 5e6);
}

/* Looks that cost more are rarer, but something is seen even where next to nothing is allowed. */
static void test_looks_are_paced(void **state)
{
	static const uint64_t costs[] = {50000, 2000000, 5000000};
	assert_int_equal(heap_pace_pause(INFINITY, 5000000), 0);
	for (size_t i = 0; i < 3; i++) {
		double looking = (double)costs[i] / (double)heap_pace_pause(4e6, costs[i]) * 1e9;
		assert_true(looking <= 0.2001 * 4e6 && looking >= 0.1999 * 4e6);
	}
	assert_int_equal(heap_pace_pause(0, 1000), 8 * SECOND);
	assert_int_equal(heap_pace_pause(0.1e6, 2000000), 8 * SECOND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows_fit),
		cmocka_unit_test(test_without_a_limit),
		cmocka_unit_test(test_many_at_once),
		cmocka_unit_test(test_changes_are_few),
		cmocka_unit_test(test_comes_back),
		cmocka_unit_test(test_dearest_leaves),
		cmocka_unit_test(test_looks_are_paced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
