/* SPDX-License-Identifier: Apache-2.0 */
/* See memory_budget.h for the theory. */
#include "collect/memory_budget.h"

static const char *const names[] = {
#define MEMORY_LEVER_NAME(id, name, what) name,
	MEMORY_LEVERS(MEMORY_LEVER_NAME)
#undef MEMORY_LEVER_NAME
};

const char *memory_lever_name(enum memory_lever lever)
{
	return names[lever];
}

/* They begin anew after a pause; whether the limit is kept was seen by then. */
static enum memory_lever begin_again(struct memory_budget *budget)
{
	budget->infeasible = budget->bytes > budget->limit;
	budget->pause = MEMORY_BUDGET_PAUSE;
	budget->next = 0;
	return MEMORY_LEVER_COUNT;
}

enum memory_lever memory_budget_step(struct memory_budget *budget, uint64_t bytes)
{
	budget->bytes = bytes;
	budget->peak = MAX_OF(budget->peak, bytes);
	if (bytes <= budget->limit)
		budget->infeasible = false;
	if (budget->pause) {
		budget->pause--;
		return MEMORY_LEVER_COUNT;
	}
	if (bytes <= budget->limit / 10 * 9) {
		budget->next = 0;
		return MEMORY_LEVER_COUNT;
	}
	if (budget->next == MEMORY_LEVER_COUNT)
		return begin_again(budget);
	budget->moved[budget->next]++;
	return budget->next++;
}
