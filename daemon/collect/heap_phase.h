/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What windows say of a process: arithmetic alone, without a clock.
 *
 * In window i the process used u_i of CPU time, of which probes took k c_i, where c_i is what they should by their price;
 * it made progress p_i = u_i - k c_i and allocated x_i. Over all its progress P it has allocated P * sum(x) / sum(p)
 * (ratio estimator), with the relative variance sum((x_i - r p_i)^2) / sum(x)^2, r = sum(x) / sum(p) (Cochran, Sampling
 * Techniques, 6.4). What comes in bursts is seen as a few windows among many, like rare events: the upper end of the
 * interval is that of a Poisson distribution (score interval) of which one event is the window that had most.
 * Bursts of which no window met one are not in it.
 *
 * What a probe costs in the program (k times its price in a trial) is known only about: caches and branches are not those
 * of the trial, and the host's speed changes. The windows themselves tell it: where frees are probed too, an allocation
 * takes more CPU time than where they are not, by k times what the difference should be. That is weighed against what
 * is known beforehand of k, each by its variance.
 *
 * A process that has to keep pace with something else (requests, time) does in a window what it would otherwise
 * have done in more time with more waiting: it is then between progress and wall time. The interval that is given holds
 * all of that; it is narrow where probes took little of the windows, and wide where they took most.
 */
#pragma once

#include "base/attributes.h"

/* How many times its price a probe costs in a program: measured from 1.0 to 1.4 where programs do little else than
 * calculate. */
#define HEAP_PRICE_FACTOR 1.15
#define HEAP_PRICE_FACTOR_DEVIATION 0.2

/* CPU times in ns. */
struct heap_window_reading {
	double cpu;  /* used by the process while the window was open */
	double cost; /* of it, by the probes, by their prices */
	double wall; /* how long it was open, ns */
	double objects, bytes; /* allocated */
};

/* Of objects or bytes, over windows. */
struct heap_window_products {
	double sum, squares, with_cpu, with_cost;
	double most, most_cpu, most_cost; /* of the window that had most above the rate of all */
};

/* Over windows of one kind. */
struct heap_window_sums {
	uint64_t windows;
	double cpu, cost, wall;
	double cpu_squares, cost_squares, cpu_cost;
	struct heap_window_products objects, bytes;
};

/* Of a process since it has been looked at in windows. */
struct heap_phase {
	struct heap_window_sums all, with_frees;
};

/* Of the whole process. */
struct heap_phase_scale {
	double factor; /* of what was seen; 0: nothing can be said */
	double with_frees_factor; /* of what was seen in windows with frees */
	double objects_low, objects_high, bytes_low, bytes_high; /* with 95 % */
};

void heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading, bool with_frees);

/* How many times its price a probe costs, and the standard deviation of that. */
struct heap_price_factor {
	double factor, deviation;
};

struct heap_price_factor heap_phase_price(const struct heap_phase *phase);

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

/* `cpu`: used since the phase began; `cost`: of it, by the probes, in windows and around them, by their prices; `wall`:
 * how long that has been. */
struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall);
