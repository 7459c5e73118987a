/* SPDX-License-Identifier: Apache-2.0 */
/* See budget_window.h. */
#include "collect/budget_window.h"

#include "base/attributes.h"

#define FULL_MINUTE (60.0 - (double)BUDGET_STEP_NS / 2e9)

bool budget_cost_is_minute(const struct budget_cost *sum)
{
	return sum->seconds >= FULL_MINUTE;
}

double budget_cost_share(const struct budget_cost *cost)
{
	return cost->capacity_ns > 0 ? cost->cost_ns / cost->capacity_ns : 0;
}

struct budget_cost budget_window_minute(const struct budget_window *window)
{
	struct budget_cost sum = {0};
	uint64_t count = MIN_OF(window->steps, (uint64_t)BUDGET_WINDOW);
	for (uint64_t i = 1; i <= count && !budget_cost_is_minute(&sum); i++) {
		const struct budget_cost *step = &window->costs[(window->steps - i) % BUDGET_WINDOW];
		sum.cost_ns += step->cost_ns;
		sum.capacity_ns += step->capacity_ns;
		sum.seconds += step->seconds;
	}
	return sum;
}

struct budget_cost budget_window_last(const struct budget_window *window)
{
	return window->steps ? window->costs[(window->steps - 1) % BUDGET_WINDOW] : (struct budget_cost){0};
}

void budget_window_add(struct budget_window *window, const struct budget_cost *step)
{
	struct budget_cost before = budget_window_minute(window);
	window->costs[window->steps++ % BUDGET_WINDOW] = *step;
	struct budget_cost latest = budget_window_minute(window);
	double share = budget_cost_share(&latest);
	/* Until there is a minute, all since the start is what is looked at. */
	window->dearest = budget_cost_is_minute(&before) ? MAX_OF(window->dearest, share) : share;
}
