/* SPDX-License-Identifier: Apache-2.0 */
/* See heap_spending.h for the theory. */
#include "collect/heap_spending.h"

#include "base/clock.h"

#include <math.h>

#define HALF_LIFE_NS (60.0 * NS_PER_SECOND)
#define NEGLIGIBLE 4e-5 /* CPUs */

void heap_spending_begin(struct heap_spending *spending, uint64_t cpu_ns, uint64_t now_ns)
{
	*spending = (struct heap_spending){.cpu_ns = cpu_ns, .now_ns = now_ns};
}

void heap_spending_add(struct heap_spending *spending, double cost_ns, uint64_t cpu_ns, uint64_t now_ns)
{
	double passed = now_ns > spending->now_ns ? (double)(now_ns - spending->now_ns) : 0;
	double kept = exp2(-passed / HALF_LIFE_NS);
	spending->cost = spending->cost * kept + cost_ns;
	spending->cpu = spending->cpu * kept + (cpu_ns > spending->cpu_ns ? (double)(cpu_ns - spending->cpu_ns) : 0);
	spending->time = spending->time * kept + passed;
	spending->cpu_ns = cpu_ns;
	spending->now_ns = now_ns;
}

bool heap_spending_has_room(const struct heap_spending *spending, double budget)
{
	return spending->cost <= budget * spending->cpu + NEGLIGIBLE * spending->time;
}
