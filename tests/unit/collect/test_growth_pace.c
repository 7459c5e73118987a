/* SPDX-License-Identifier: Apache-2.0 */
/* How densely page faults are looked at: by their rate, and by what looking has taken so far. */
#include "collect/growth_pace.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define LOOK_NS (200 * (uint64_t)NS_PER_MS)

static void the_period_follows_the_rate(void **state)
{
	(void)state;
	assert_int_equal(growth_period_for(1, 0, 250), 1);
	assert_int_equal(growth_period_for(1, 370, 250), 1);
	assert_int_equal(growth_period_for(1, 600, 250), 3);
	assert_int_equal(growth_period_for(1, 5000, 250), 29);
	assert_int_equal(growth_period_for(1, 160000, 250), 1021); /* a CPU that does nothing else */
	assert_int_equal(growth_period_for(1, UINT64_MAX, 250), 1021);
	assert_int_equal(growth_period_for(1021, UINT64_MAX, 250), 1021);
	/* It stays for a little more or less. */
	assert_int_equal(growth_period_for(29, 10000, 250), 29);
	assert_int_equal(growth_period_for(29, 4000, 250), 29);
	/* Down in steps, so that a pause in a burst does not begin anew. */
	assert_int_equal(growth_period_for(61, 0, 250), 7);
	assert_int_equal(growth_period_for(7, 0, 250), 1);
}

/* A host that has so many faults in a second and takes all the samples it may, for so long. Returns for how many
 * of the seconds it was looked at densely. */
static double run(struct growth_pace *pace, uint64_t faults_per_second, int seconds)
{
	int dense = 0, looks = seconds * (int)(NS_PER_SECOND / (int64_t)LOOK_NS);
	for (int i = 0; i < looks; i++) {
		dense += !pace->is_sparse;
		growth_pace_update(pace, faults_per_second / 5, growth_pace_limit(pace) * 2, LOOK_NS);
	}
	return (double)dense * (double)LOOK_NS / (double)NS_PER_SECOND;
}

static void a_short_recording_is_dense(void **state)
{
	(void)state;
	for (uint64_t rate = 10; rate < 1000000; rate *= 2) {
		struct growth_pace pace = {.period = 1};
		assert_true(run(&pace, rate, 8) == 8);
	}
}

static void a_long_one_keeps_to_what_it_earns(void **state)
{
	(void)state;
	for (uint64_t rate = 400; rate < 1000000; rate *= 2) {
		struct growth_pace pace = {.period = 1};
		run(&pace, rate, 30);
		assert_true(run(&pace, rate, 600) < 600 * 0.4);
	}
}

/* One fault of a period stands for all, and may have brought a large page. */
static void a_long_period_is_not_made_longer(void **state)
{
	(void)state;
	struct growth_pace pace = {.period = 1};
	run(&pace, 40000, 60);
	assert_true(pace.is_sparse);
	assert_int_equal(pace.period, 251);
	pace = (struct growth_pace){.period = 1};
	run(&pace, 2000, 60);
	assert_true(pace.is_sparse);
	assert_int_equal(pace.period, 29);
}

static void few_faults_are_all_looked_at(void **state)
{
	(void)state;
	struct growth_pace pace = {.period = 1};
	for (int i = 0; i < 3000; i++)
		growth_pace_update(&pace, 10, 2, LOOK_NS);
	assert_false(pace.is_sparse);
	assert_int_equal(pace.period, 1);
}

static void quiet_earns_it_back(void **state)
{
	(void)state;
	struct growth_pace pace = {.period = 1};
	for (int i = 0; i < 60 && !pace.is_sparse; i++)
		run(&pace, 5000, 1);
	assert_int_equal(growth_pace_limit(&pace), 1);
	for (int i = 0; i < 60 * 5; i++)
		growth_pace_update(&pace, 0, 0, LOOK_NS);
	assert_int_equal(growth_pace_limit(&pace), 4);
	assert_true(run(&pace, 5000, 8) == 8);
}

/* The program has to be told of either. */
static void a_change_is_told(void **state)
{
	(void)state;
	struct growth_pace pace = {.period = 1};
	assert_false(growth_pace_update(&pace, 20, 8, LOOK_NS));
	assert_true(growth_pace_update(&pace, 2000, 8, LOOK_NS));
	/* So few that the period stays, all of them samples. */
	pace = (struct growth_pace){.period = 1};
	bool told = false;
	for (int i = 0; i < 5 * 60 && !told; i++)
		told = growth_pace_update(&pace, 20, 8, LOOK_NS);
	assert_true(told && pace.is_sparse);
	assert_int_equal(pace.period, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_period_follows_the_rate),
		cmocka_unit_test(a_short_recording_is_dense),
		cmocka_unit_test(a_long_one_keeps_to_what_it_earns),
		cmocka_unit_test(a_long_period_is_not_made_longer),
		cmocka_unit_test(few_faults_are_all_looked_at),
		cmocka_unit_test(quiet_earns_it_back),
		cmocka_unit_test(a_change_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
