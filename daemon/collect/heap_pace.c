/* SPDX-License-Identifier: Apache-2.0 */
/* See heap_pace.h for the theory. */
#include "collect/heap_pace.h"

#define USUAL_WINDOW_NS 1e6 /* before one was open: of a virtual machine */
#define FOLLOW 0.1	    /* how far the mean follows a window */
#define WINDOWS_PART 0.5    /* of what is allowed */
#define STAYING_PART 0.5
#define TO_SPARE 1.5
#define LOOKING_PART 0.2      /* of it, more */
#define LONGEST_PAUSE_NS 8e9 /* or what has ended is probed for ever */

uint64_t heap_pace_pause(double allowed, uint64_t cost_ns)
{
	double pause = (double)cost_ns / (LOOKING_PART * allowed) * 1e9;
	return (uint64_t)MIN_OF(pause, LONGEST_PAUSE_NS);
}

void heap_pace_note_window(struct heap_pace *pace, double cost_ns)
{
	pace->window_ns += (pace->window_ns > 0 ? FOLLOW : 1) * (cost_ns - pace->window_ns);
}

static uint64_t fitting(double period_ns, uint64_t shortest_ns)
{
	uint64_t fits = shortest_ns;
	while ((double)fits < period_ns && fits < HEAP_LONGEST_PERIOD_NS)
		fits *= 2;
	return fits;
}

uint64_t heap_pace_period(struct heap_pace *pace, size_t processes, uint64_t shortest_ns)
{
	double window = pace->window_ns > 0 ? pace->window_ns : USUAL_WINDOW_NS;
	double needed = (double)processes * window / (WINDOWS_PART * pace->allowed) * 1e9;
	uint64_t least = fitting(needed, shortest_ns), calm = fitting(TO_SPARE * needed, shortest_ns);
	if (pace->period_ns < least)
		pace->period_ns = least;
	else if (pace->period_ns > calm)
		pace->period_ns = calm;
	return pace->period_ns;
}

bool heap_pace_can_stay(const struct heap_pace *pace, double staying)
{
	return staying <= STAYING_PART / 2 * pace->allowed;
}

bool heap_pace_must_leave(const struct heap_pace *pace, double cost, double dearest, double staying)
{
	return staying > STAYING_PART * pace->allowed && cost >= dearest;
}
