/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What profiling cost in the last minute, as a share of what all CPUs could have done. A ring of steps: those of a busy
 * host are longer than they should be, so a minute is fewer of them then.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_STEP_NS 500000000ULL
#define BUDGET_WINDOW 120 /* steps: a minute */

/* What one step cost, of what all CPUs could have done, in CPU time. */
struct budget_cost {
	double cost_ns, capacity_ns, seconds;
};

/* Of all 0: no step yet. */
struct budget_window {
	struct budget_cost costs[BUDGET_WINDOW]; /* a ring; next = steps % size */
	uint64_t steps;
	double dearest; /* share of the dearest minute since that was set to 0 */
};

/* Adds a step. */
void budget_window_add(struct budget_window *window, const struct budget_cost *step);

/* The sum of the last minute, or of all since the start when that is less. */
struct budget_cost budget_window_minute(const struct budget_window *window);

/* The last step; all 0: none yet. */
struct budget_cost budget_window_last(const struct budget_window *window);

/* Is it a minute, but for half a step? */
bool budget_cost_is_minute(const struct budget_cost *sum);

/* 0 to 1. */
double budget_cost_share(const struct budget_cost *cost);
