/* SPDX-License-Identifier: Apache-2.0 */
/* The controller of the memory budget over made-up readings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect/memory_budget.h"

#define LIMIT (64ULL << 20)
#define HIGH (LIMIT / 100 * 95)

static void nothing_moves_below(void **state)
{
	struct memory_budget budget = {.limit = LIMIT};
	for (int i = 0; i < 100; i++)
		assert_int_equal(memory_budget_step(&budget, LIMIT / 10 * 9), MEMORY_LEVER_COUNT);
	assert_int_equal(budget.peak, LIMIT / 10 * 9);
	assert_false(budget.infeasible);
}

static void levers_move_in_order_until_it_is_enough(void **state)
{
	struct memory_budget budget = {.limit = LIMIT};
	assert_int_equal(memory_budget_step(&budget, HIGH), MEMORY_LEVER_HEAP);
	assert_int_equal(memory_budget_step(&budget, HIGH), MEMORY_LEVER_NAMES);
	assert_int_equal(memory_budget_step(&budget, LIMIT / 2), MEMORY_LEVER_COUNT);
	assert_int_equal(memory_budget_step(&budget, HIGH), MEMORY_LEVER_HEAP);
	assert_int_equal(budget.moved[MEMORY_LEVER_HEAP], 2);
	assert_int_equal(budget.moved[MEMORY_LEVER_NAMES], 1);
	assert_int_equal(budget.moved[MEMORY_LEVER_STACKS], 0);
}

/* All levers, the verdict, a pause, and all again. */
static void a_limit_that_cannot_be_kept_is_told(void **state)
{
	struct memory_budget budget = {.limit = LIMIT};
	for (int round = 1; round <= 3; round++) {
		for (int lever = 0; lever < MEMORY_LEVER_COUNT; lever++)
			assert_int_equal(memory_budget_step(&budget, 2 * LIMIT), lever);
		for (int i = 0; i <= MEMORY_BUDGET_PAUSE; i++)
			assert_int_equal(memory_budget_step(&budget, 2 * LIMIT), MEMORY_LEVER_COUNT);
		assert_true(budget.infeasible);
		assert_int_equal(budget.moved[MEMORY_LEVER_TABLES], round);
	}
	memory_budget_step(&budget, LIMIT);
	assert_false(budget.infeasible);
}

/* Near the limit, but below it: the levers are moved, and it is kept. */
static void near_is_not_infeasible(void **state)
{
	struct memory_budget budget = {.limit = LIMIT};
	for (int i = 0; i < 3 * MEMORY_BUDGET_PAUSE; i++) {
		memory_budget_step(&budget, HIGH);
		assert_false(budget.infeasible);
	}
	assert_int_equal(budget.moved[MEMORY_LEVER_STACKS], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_moves_below),
		cmocka_unit_test(levers_move_in_order_until_it_is_enough),
		cmocka_unit_test(a_limit_that_cannot_be_kept_is_told),
		cmocka_unit_test(near_is_not_infeasible),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
