/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What windows say of a process: arithmetic alone, without a clock.
 *
 * In window i the process made progress u_i (CPU time, without what the probes took) and allocated x_i. Over all its
 * progress U it has allocated U * sum(x) / sum(u) (ratio estimator), with the relative variance
 * sum((x_i - r u_i)^2) / sum(x)^2, r = sum(x) / sum(u).
 *
 * The progress is as uncertain as the price of a probe is: where probes take most of a window, little is known of it.
 * And a process that has to keep pace with something else (requests, time) does in a window what it would otherwise
 * have done in more time with more waiting: it is then between progress and wall time. The interval that is given holds
 * all of that; it is narrow where probes took little of the windows, and wide where they took most.
 */
#pragma once

#include "base/attributes.h"

#define HEAP_PRICE_UNSURE 0.3 /* of the cost: what a probe costs here is not quite what it did in the trial */

/* CPU times in ns. */
struct heap_window_reading {
	double cpu;  /* used by the process while the window was open */
	double cost; /* of it, by the probes */
	double wall; /* how long it was open, ns */
	double objects, bytes; /* allocated */
};

/* Sums over the windows of a process since it has been looked at in windows. */
struct heap_phase {
	uint64_t windows;
	double progress, cpu, cost, wall; /* in open windows */
	double squares;	       /* of progress */
	double objects, object_squares, object_products; /* products: with progress */
	double bytes, byte_squares, byte_products;
	double survivor_progress; /* while what might survive was allocated */
};

/* Of the whole process. */
struct heap_phase_scale {
	double factor; /* of what was seen; 0: nothing can be said */
	double objects_low, objects_high, bytes_low, bytes_high; /* with 95 % */
};

void heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading);

/* A phase up to a moment: what heap_phase_scale() is told. */
struct heap_phase_state {
	struct heap_phase phase;
	double cpu, cost, wall;
};

/*
 * What lies between two moments of a phase, `then` zeros for its beginning: what is estimated up to the later one less
 * what was up to the earlier one. That has two parts: the progress made since, at a rate that is as sure as all windows
 * make it, and what the new windows change of the rate, for all progress. `factor` is that of the later one.
 */
struct heap_phase_scale heap_phase_scale_between(const struct heap_phase_state *then,
						 const struct heap_phase_state *now);

/* `cpu`: used since the phase began; `cost`: of it, by the probes, in windows and around them; `wall`: how long that
 * has been. */
struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall);
