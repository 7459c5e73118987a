/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What probes have cost one process lately, and what of that its budget had room for. It has no clock and no kernel in it.
 *
 * Theory. A window of a process that does next to nothing is longer than usual, and one that is seen to do next to
 * nothing may get probes that stay. Of a process that works in bursts both are guesses: the next burst meets such a window, or
 * such probes, and costs milliseconds before it is noticed, of a process that may use no more in a second. So both are for
 * those alone that have not spent their budget: what is added up of the cost, of the process's CPU time and of the time
 * that passes is forgotten by half a minute, and the cost must be below the budget's share of the CPU time, but for what
 * is negligible on any host. A usual window needs no such room, its length is the limit of its cost.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct heap_spending {
	double cost, cpu, time;	 /* ns, of the last minute or two */
	uint64_t cpu_ns, now_ns; /* when it was told last: the process's CPU time; CLOCK_MONOTONIC */
};

/* Begins with nothing spent. `cpu_ns`: the process's CPU time up to now; `now_ns`: CLOCK_MONOTONIC. */
void heap_spending_begin(struct heap_spending *spending, uint64_t cpu_ns, uint64_t now_ns);

/* Probes have cost so much more. */
void heap_spending_add(struct heap_spending *spending, double cost_ns, uint64_t cpu_ns, uint64_t now_ns);

/* `budget`: a share of the process's CPU time. */
bool heap_spending_has_room(const struct heap_spending *spending, double budget);
