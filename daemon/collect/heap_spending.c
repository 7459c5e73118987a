/* SPDX-License-Identifier: Apache-2.0 */
/* See heap_spending.h for the theory. */
#include "collect/heap_spending.h"

#include "base/clock.h"

#include <math.h>

#define EARNED_PART 0.7 /* of the budget */
#define LEAST_EARNED 0.003 /* what usual windows cost a process that allocates all the time */
#define HALF_LIFE_NS (10.0 * NS_PER_SECOND)
#define NEGLIGIBLE 4e-5 /* CPUs */
#define NEGLIGIBLE_ROOM (NEGLIGIBLE * 60 * NS_PER_SECOND)

void heap_spending_begin(struct heap_spending *spending, double budget, uint64_t cpu_ns, uint64_t now_ns)
{
	*spending = (struct heap_spending){.budget = budget, .room = NEGLIGIBLE_ROOM, .cpu_ns = cpu_ns, .now_ns = now_ns};
}

void heap_spending_add(struct heap_spending *spending, double cost_ns, uint64_t cpu_ns, uint64_t now_ns)
{
	double passed = now_ns > spending->now_ns ? (double)(now_ns - spending->now_ns) : 0;
	double used = cpu_ns > spending->cpu_ns ? (double)(cpu_ns - spending->cpu_ns) : 0;
	double share = fmax(EARNED_PART * spending->budget, LEAST_EARNED);
	spending->room += share * used + NEGLIGIBLE * passed - cost_ns;
	double more = fmax(spending->room - NEGLIGIBLE_ROOM, 0);
	spending->room -= more * (1 - exp2(-passed / HALF_LIFE_NS));
	spending->cpu_ns = cpu_ns;
	spending->now_ns = now_ns;
}

bool heap_spending_has_room(const struct heap_spending *spending, double cost_ns)
{
	return spending->room >= cost_ns;
}
