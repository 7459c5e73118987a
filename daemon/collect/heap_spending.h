/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What probes have cost one process, and what of that its budget had room for. It has no clock and no kernel in it.
 *
 * Theory. A window of a process that does next to nothing is longer than usual, and one that is seen to do next to
 * nothing may get probes that stay. Of a process that works in bursts both are guesses: the next burst meets such a window, or
 * such probes, and costs milliseconds before it is noticed, of a process that may use no more in a second. So both are for
 * those alone whose room is as large as what the guess may cost. Room is what the process has earned, seven tenths of the
 * budget's share of its CPU time and what is negligible on any host, less what probes have cost. Were it kept for good, an
 * hour of work would pay for a minute of probes: of what is more than the negligible part of a minute half is
 * forgotten in ten seconds, so that no minute costs more than the budget and a window. What was spent beyond all room is
 * never forgotten; it has to be earned. A usual window needs no room, its length is the limit of its cost, but waits while
 * room is less than none. In the mean such windows cost at most what is earned whatever the budget is.
 *
 * Each process begins with the negligible part of a minute: else one that sleeps would be looked at closely only
 * when that has passed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct heap_spending {
	double budget;		 /* a share of the process's CPU time */
	double room;		 /* ns; less than 0: spent before it was earned */
	uint64_t cpu_ns, now_ns; /* when it was told last: the process's CPU time; CLOCK_MONOTONIC */
};

/* Begins with nothing spent. `budget`: a share of CPU time; `cpu_ns`: the process's up to now; `now_ns`: CLOCK_MONOTONIC. */
void heap_spending_begin(struct heap_spending *spending, double budget, uint64_t cpu_ns, uint64_t now_ns);

/* Probes have cost so much more. */
void heap_spending_add(struct heap_spending *spending, double cost_ns, uint64_t cpu_ns, uint64_t now_ns);

/* May probes cost so much at once, as of when it was told last? */
bool heap_spending_has_room(const struct heap_spending *spending, double cost_ns);
