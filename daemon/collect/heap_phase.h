/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What windows say of a process: arithmetic alone, without a clock.
 *
 * In window i the process used u_i of CPU time and allocated x_i. Only a part f_i of that time was its own, in which it
 * made progress: the probes took the rest. So x_i / (f_i u_i) is how often it allocates in its own time at that moment, and
 * as the moments are drawn evenly over time, each stands for as much: over all its progress P it has allocated
 * P / sum(u) * sum(x / f) (the estimator of Horvitz and Thompson, with the weight 1 / f). Were progress and allocations just
 * added up, moments in which it allocates often would count for little, as probes leave them little progress. The relative
 * variance is sum((x_i / f_i - r u_i)^2) / sum(x / f)^2, r = sum(x / f) / sum(u) (Cochran, Sampling Techniques, 6.4). What
 * comes in bursts is seen as a few windows among many, like rare events: the upper end of the interval is that of a Poisson
 * distribution (score interval) of which one event is the window that had most. Bursts of which no window met one are not
 * in it.
 *
 * One window says little of its own part, so windows are put into strata by what its probes should take of it by their
 * price, and f is that of the stratum. Two things tell it, weighed by their variances:
 * - ticks of the process's CPU time in the window (task_clock.h), own ones and such at a probe. What is slower behind a
 *   probe, as the kernel has been there, passes for own time: of what the probes took, one to four hundredths in small
 *   programs whose code stays in the caches; in sqlite3, python3 and a compiler, probed on every call, 6 to 11 (the part of
 *   ticks at no probe, against how many times the CPU time the same work took without probes).
 * - the price of a probe. What it costs in the program (k times its price in a trial) is known only about: caches and
 *   branches are not those of the trial, and the host's speed changes. Where there are no ticks, the windows tell it: where
 *   frees are probed too, an allocation takes more CPU time than where they are not, by k times what the difference should
 *   be. So programs of which probes take most of a window are estimated by their ticks, others by both.
 *
 * A window that is longer than usual, as little happens, tells more of its moment, but of no more than one moment: it counts
 * for as much as a usual one that saw the same in a part of its length (struct heap_window_reading, `weight`). Whether others
 * had the CPU, so that windows met the process asleep, or it slept by itself, need not be known for that.
 *
 * A process that uses more CPU time in windows than at other times keeps pace with something else (requests, time): it does
 * in a window what it would otherwise have done in more time with more waiting, and is then between progress and
 * wall time. The interval that is given holds all of that; it is narrow where probes took little of the windows.
 */
#pragma once

#include "base/attributes.h"

/* How many times its price a probe costs in a program: measured from 1.0 to 1.4 where programs do little else than
 * calculate, and up to 2 while others have the same core. */
#define HEAP_PRICE_FACTOR 1.15
#define HEAP_PRICE_FACTOR_DEVIATION 0.2

#define HEAP_STRATA 6

/* CPU times in ns. */
struct heap_window_reading {
	double cpu;  /* used by the process while the window was open */
	double cost; /* of it, by the probes, by their prices */
	double tick_cost; /* of it, by the ticks, by theirs */
	double wall; /* how long it was open, ns */
	double objects, bytes; /* allocated */
	double ticks, own_ticks; /* of the CPU time; 0: it was not looked at */
	double weight; /* a usual window's length over this one's, as they were to be, times those that it stands for */
};

/* Of objects or bytes, over windows, by their weights. */
struct heap_window_products {
	double sum, squares, with_cpu;
	double seen; /* without weights */
	double most, most_cpu; /* of the window that had most above the rate of all */
};

/* Over windows of one kind, by their weights. */
struct heap_window_sums {
	uint64_t windows, met; /* of them, those that met the process at work */
	double cpu, cost, tick_cost, wall, cpu_squares;
	double ticks, own_ticks, cpu_seen, cost_seen; /* without weights */
	struct heap_window_products objects, bytes;
};

/* Of a process since it has been looked at in windows. */
struct heap_phase {
	uint64_t windows;
	struct heap_window_sums strata[HEAP_STRATA], with_frees[HEAP_STRATA]; /* of all; of those with frees */
};

/* Of the whole process. */
struct heap_phase_scale {
	double factors[HEAP_STRATA]; /* of what was seen in windows of each stratum; all 0: nothing can be said */
	double with_frees_factor; /* of what was seen in windows with frees */
	double objects_low, objects_high, bytes_low, bytes_high; /* with 95 % */
};

/* Has a window met the process at work? Else nothing can be said of it. */
bool heap_phase_has_met(const struct heap_phase *phase);

/* Returns the window's stratum. */
unsigned heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading, bool with_frees);

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
 * make it, and what the new windows change of the rate, for all progress. The factors are those of the later one.
 */
struct heap_phase_scale heap_phase_scale_between(const struct heap_phase_state *then,
						 const struct heap_phase_state *now);

/* `cpu`: used since the phase began; `cost`: of it, by the probes, in windows and around them, by their prices; `wall`:
 * how long that has been. */
struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall);

/* What windows of a stratum count for, next to those that are all the process's own. */
double heap_phase_weight(const struct heap_phase *phase, unsigned stratum);
