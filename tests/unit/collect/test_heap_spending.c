/* SPDX-License-Identifier: Apache-2.0 */
/* Is there room for more as long as the budget is kept, none beyond it, and again when it is paid off? */
#include "collect/heap_spending.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000000ULL
#define MS 1e6
#define BUDGET 0.01
#define SOME (2 * MS)

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
	heap_spending_begin(&spending, BUDGET, 5 * SECOND, 100 * SECOND);
	assert_true(heap_spending_has_room(&spending, SOME));
	pass(&spending, 1000, 0.5, 3.4 * MS);
	assert_true(heap_spending_has_room(&spending, SOME));
	pass(&spending, 1000, 0.5, 5.1 * MS);
	assert_false(heap_spending_has_room(&spending, 0));
	/* Of another budget. */
	heap_spending_begin(&spending, BUDGET / 2, 0, 0);
	pass(&spending, 1000, 0.5, 3.4 * MS);
	assert_false(heap_spending_has_room(&spending, 0));
	/* Usual windows are for any. */
	heap_spending_begin(&spending, BUDGET / 1e3, 0, 0);
	pass(&spending, 1000, 0.5, 1.4 * MS);
	assert_true(heap_spending_has_room(&spending, 0));
}

/* Probes met a burst: the process has to use so much CPU time first that it was worth it, however long that takes. */
static void test_paid_off(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, BUDGET, 0, 0);
	pass(&spending, 3, 0.5, 0);
	heap_spending_add(&spending, 200 * MS, spending.cpu_ns, spending.now_ns);
	pass(&spending, 30, 0.5, 0);
	assert_false(heap_spending_has_room(&spending, SOME));
	pass(&spending, 600, 0, 0);
	assert_false(heap_spending_has_room(&spending, SOME));
	pass(&spending, 20, 0.5, 0);
	assert_true(heap_spending_has_room(&spending, SOME));
}

/* An hour of work pays for no more than a quarter of a minute's share at once. */
static void test_forgotten(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, BUDGET, 0, 0);
	pass(&spending, 3600, 1, 0);
	assert_true(heap_spending_has_room(&spending, 80 * MS));
	assert_false(heap_spending_has_room(&spending, 120 * MS));
	pass(&spending, 60, 0, 0);
	assert_true(heap_spending_has_room(&spending, SOME));
	assert_false(heap_spending_has_room(&spending, 7 * MS));
}

/* Of a process that all but sleeps some microseconds are much, and nobody's loss. */
static void test_negligible(void **state)
{
	(void)state;
	struct heap_spending spending;
	heap_spending_begin(&spending, BUDGET, 0, 0);
	pass(&spending, 1000, 0.0001, 20e3);
	assert_true(heap_spending_has_room(&spending, SOME));
	pass(&spending, 1000, 0.0001, 200e3);
	assert_false(heap_spending_has_room(&spending, 0));
}

/* ---- A program that works in bursts ---------------------------------------------------------- */

#define MINUTE 60
#define SECONDS 1200
#define USUAL_MS 2 /* mean of usual windows, with those that look at frees */
#define LONG_MS 200

struct bursts {
	double work_ms, pause_ms;
};

static uint64_t random_state = 1;

static double uniform(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(random_state >> 11) + 0.5) / 9007199254740992.0;
}

/* Milliseconds of work between two moments. */
static double work_between(const struct bursts *b, double from, double to)
{
	double cycle = b->work_ms + b->pause_ms;
	double done_from = floor(from / cycle) * b->work_ms + fmin(fmod(from, cycle), b->work_ms);
	double done_to = floor(to / cycle) * b->work_ms + fmin(fmod(to, cycle), b->work_ms);
	return done_to - done_from;
}

/* A window each second that is not put off: a long one where there is room, which ends when it is seen to have cost a
 * millisecond. All CPU time in it is the probes'. Returns what it cost, ms. */
static double cost_of_window(const struct bursts *b, double at, bool is_long)
{
	double cost = 0, length = is_long ? LONG_MS : USUAL_MS;
	for (double t = 0; t < length && (!is_long || cost < 1); t++)
		cost += work_between(b, at + t, at + t + 1);
	return cost;
}

/* The largest share of a minute's CPU time that went to probes, less what is negligible and one window. */
static double dearest_minute(const struct bursts *b)
{
	static double costs[SECONDS + 1];
	struct heap_spending spending;
	double cpu_ms = work_between(b, 0, MINUTE * 1e3), most = 0, sum = 0;
	heap_spending_begin(&spending, BUDGET, 0, 0);
	for (unsigned i = 0; i < SECONDS; i++) {
		double at = i * 1e3 + uniform() * 1e3;
		costs[i] = heap_spending_has_room(&spending, 0)
				   ? cost_of_window(b, at, heap_spending_has_room(&spending, SOME)) : 0;
		heap_spending_add(&spending, costs[i] * MS, (uint64_t)(work_between(b, 0, i * 1e3 + 1e3) * MS),
				  (i + 1) * SECOND);
		sum += costs[i] - (i >= MINUTE ? costs[i - MINUTE] : 0);
		most = fmax(most, sum - 4e-5 * MINUTE * 1e3 - USUAL_MS);
	}
	return most / cpu_ms;
}

/* However long bursts and pauses are. */
static void test_bursts(void **state)
{
	static const struct bursts bursts[] = {{2, 50}, {24, 976}, {100, 900}, {1, 20}, {300, 3000}, {1000, 1000}, {20, 200}, {7, 3000}};
	(void)state;
	for (size_t i = 0; i < sizeof(bursts) / sizeof(*bursts); i++) {
		double share = dearest_minute(&bursts[i]);
		print_message("bursts of %4.0f ms, pauses of %4.0f ms: %.2f %% in the dearest minute\n", bursts[i].work_ms,
			      bursts[i].pause_ms, 100 * share);
		assert_true(share <= BUDGET);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_paid_off),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_negligible),
		cmocka_unit_test(test_bursts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
