/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often allocators may be looked at, so that the windows of all processes together, and the probes that stay, cost
 * the host no more than is allowed. It has no clock and no kernel in it.
 *
 * Theory. A window costs the thread that opens it the CPU time of setting and removing probes, and the process its
 * hits, each at its price: both are measured, and their mean is what the next window is taken to cost. Half of what is
 * allowed is for windows: with N processes each has one in a period of N times that mean over that half, rounded up to
 * a power of two of the shortest period, as windows of one pace are scaled together and each change ends that. A
 * shorter period must fit with half as much to spare. The other half is for probes that stay: when all of them cost
 * more, the dearest process goes to windows; a process gets such probes only when all would then cost half of that
 * half at most.
 *
 * Beside both, the loop looks which processes there are, which of them run and what they map: of thousands that is
 * milliseconds a time. It pauses after each look for so long that it takes a fifth of what is allowed more.
 */
#pragma once

#include "base/attributes.h"

#define HEAP_LONGEST_PERIOD_NS (1024 * 1000000000ULL)

struct heap_pace {
	double allowed; /* CPU ns a second; INFINITY: no limit */
	double window_ns; /* the mean cost of a window lately; 0: none was open */
	uint64_t period_ns; /* 0: not drawn up yet */
};

/* How long the loop leaves allocators alone after a look that cost so much, ns; `allowed`: CPU ns a second. */
uint64_t heap_pace_pause(double allowed, uint64_t cost_ns);

/* A window has cost so much, of both sides. */
void heap_pace_note_window(struct heap_pace *pace, double cost_ns);

/* The period from now on, of so many processes in windows; `shortest_ns`: without a limit. */
uint64_t heap_pace_period(struct heap_pace *pace, size_t processes, uint64_t shortest_ns);

/* May a process have probes that stay, with which all of them would cost so many ns a second? */
bool heap_pace_can_stay(const struct heap_pace *pace, double staying);

/* Must a process give them up, which cost so many ns a second, while all cost `staying` and the dearest `dearest`? */
bool heap_pace_must_leave(const struct heap_pace *pace, double cost, double dearest, double staying);
