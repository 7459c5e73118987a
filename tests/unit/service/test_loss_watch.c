/* SPDX-License-Identifier: Apache-2.0 */
/* When heavy losses are told, and of which time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "service/loss_watch.h"

#define TEN_SECONDS (10 * NS_PER_SECOND)

/* Adds one of ten seconds that ends so many seconds after the first. Returns how many lost samples are told; 0: none. */
static uint64_t told(struct loss_watch *watch, uint64_t second, uint64_t kept, uint64_t lost)
{
	struct loss interval = {kept, lost, TEN_SECONDS}, ret = {0};
	uint64_t now = 1000 * (uint64_t)NS_PER_SECOND + second * (uint64_t)NS_PER_SECOND;
	return loss_watch_add(watch, &interval, now, &ret) ? ret.lost : 0;
}

static void few_are_not_told(void **state)
{
	struct loss_watch watch = {0};
	assert_int_equal(told(&watch, 0, 1000, 0), 0);
	assert_int_equal(told(&watch, 10, 100, 19), 0);
	assert_int_equal(told(&watch, 20, 10000, 100), 0);
	assert_int_equal(told(&watch, 30, 9900, 100), 100);
}

static void they_are_told_once_a_minute_with_their_sum(void **state)
{
	struct loss_watch watch = {0};
	struct loss last = {900, 100, TEN_SECONDS}, ret = {0};
	assert_int_equal(told(&watch, 0, 900, 100), 100);
	for (uint64_t second = 10; second < 60; second += 10)
		assert_int_equal(told(&watch, second, 900, 100), 0);
	assert_true(loss_watch_add(&watch, &last, 1060 * (uint64_t)NS_PER_SECOND, &ret));
	assert_int_equal(ret.kept, 5400);
	assert_int_equal(ret.lost, 600);
	assert_int_equal(ret.duration_ns, 60 * NS_PER_SECOND);
}

static void those_of_a_calm_time_are_not_told_late(void **state)
{
	struct loss_watch watch = {0};
	assert_int_equal(told(&watch, 0, 900, 100), 100);
	for (uint64_t second = 10; second <= 60; second += 10)
		assert_int_equal(told(&watch, second, 10000, 5), 0);
	assert_int_equal(told(&watch, 70, 900, 50), 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_are_not_told),
		cmocka_unit_test(they_are_told_once_a_minute_with_their_sum),
		cmocka_unit_test(those_of_a_calm_time_are_not_told_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
