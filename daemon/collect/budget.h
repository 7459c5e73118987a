/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The budget controller: how fast to sample so that profiling stays under a share of the host's CPU time. It
 * has no clock and no kernel in it: readings go in, a setting comes out, so that tests run it through hours of
 * made-up load in a moment.
 *
 * Theory. The budget is a share of what all CPUs can do, kept over every 60 s. It fills a bucket: 95 % of it
 * flow in, 3 s of it is what the bucket holds, so that no minute can cost more than the budget (57 + 3). The
 * start comes out of the first minute, and what that leaves of 54 s flows in evenly until it is over: until then
 * everything is as with a smaller budget, since the error of a profile is least when its rate stays.
 * It begins with the rate that fits where all CPUs are busy and a tick costs what is usual. A step (half a
 * second) may cost what flows in and a fifteenth of what is in the bucket, twice the budget at most. Its cost
 * goes with the rate, so the rate that fits is the present one times allowed over measured cost; it is followed
 * when it is more than 15 % away or the excess stays, downwards at once, upwards three tenths of the way a step,
 * and all the way when three steps in a row say that a storm is over (after two of them, storms with gaps of a second
 * would cost more than the budget: each meets the higher rate).
 * Even where next to nothing runs the rate is no higher than what costs three times the budget when all CPUs
 * become busy: that lasts one step, so that two seconds cost no more than twice the budget. What does not go
 * with the ticks comes in bursts: one that is alone is paid from the bucket. Levers in order: BUDGET_LEVERS up
 * to the depth of stacks, then the rate down to its floor, then the rest of BUDGET_LEVERS, then the whole host
 * on and off, each step by chance, where a sample weighs the inverse of the chance: every total stays unbiased.
 * Where most of the cost is not that of ticks (programs that come and go), chance would save little and blur
 * much: ticks keep a quarter of the budget. Levers are given back in the reverse order. Whether there is room
 * without one can only be tried: a lever that is needed again soon waits twice as long the next time.
 *
 * Beside them, reading binaries that were not met before, which can be seconds in one piece, is paced: a step is
 * granted so much CPU time for it as what else costs leaves, three tenths of the budget at least, half of that
 * in debt. Until a binary is read its stacks end in "tables not ready". And looking at allocators has a share of
 * its own, four tenths of the budget, and one tenth with the lever WINDOWS: it keeps that by itself
 * (collect/heap_pace.h).
 */
#pragma once

#include "base/attributes.h"
#include "collect/budget_window.h"

#define BUDGET_LOWEST_HZ 11
#define BUDGET_LOWEST_CHANCE (1.0 / 16)
#define BUDGET_SHALLOW_FRAMES 128 /* of a stack that is not taken to its full depth */

/* LEVER(id, name of what is given up, in words), in the order in which they are used. */
#define BUDGET_LEVERS(LEVER)                                                                            \
	LEVER(LINES, "source_lines", "without source lines")                                             \
	LEVER(WINDOWS, "heap_windows", "heap windows rarer")                                             \
	LEVER(DEPTH, "full_depth", "stacks of 128 frames")                                               \
	LEVER(FOLLOWING, "followed_processes", "processes not followed")

#define BUDGET_LEVER_ENUM(id, name, words) BUDGET_LEVER_##id,
enum budget_lever { BUDGET_LEVERS(BUDGET_LEVER_ENUM) BUDGET_LEVER_COUNT };
#undef BUDGET_LEVER_ENUM
#define BUDGET_LEVER_BIT(lever) (1U << (lever))

/* LIMIT(id, name, in words): why the rate is no higher. */
#define BUDGET_RATE_LIMITS(LIMIT)                                                                       \
	LIMIT(ASKED, "asked", "no more is asked for")                                                    \
	LIMIT(COST, "cost", "what profiling cost lately leaves no more")                                 \
	LIMIT(START, "start", "what the start took is paid off in the first minute")                     \
	LIMIT(ONSET, "onset", "more would cost too much if all CPUs became busy")

#define BUDGET_RATE_LIMIT_ENUM(id, name, words) BUDGET_RATE_LIMIT_##id,
enum budget_rate_limit { BUDGET_RATE_LIMITS(BUDGET_RATE_LIMIT_ENUM) BUDGET_RATE_LIMIT_COUNT };
#undef BUDGET_RATE_LIMIT_ENUM

struct budget_options {
	double share;	     /* of the CPU time of all CPUs: 0.005 */
	uint32_t highest_hz; /* what was asked for; the rate is never above it */
	uint64_t seed;	     /* of the chances */
	unsigned without;    /* BUDGET_LEVER_BIT of levers that there are not */
};

/* What one step cost. */
struct budget_reading {
	uint64_t elapsed_ns; /* wall time; steps need not be equally long */
	uint32_t cpus;	     /* online */
	uint64_t cost_ns;    /* CPU time of our own, of BPF programs and of interrupts */
	uint64_t tick_ns;    /* of it, what goes with the ticks: the programs and interrupts */
	uint64_t ticks;	     /* of busy CPUs */
	uint64_t reading_ns; /* of it, what reading binaries took */
};

struct budget_setting {
	uint32_t frequency; /* Hz, for the next step */
	unsigned used;	    /* BUDGET_LEVER_BIT of the levers: this is given up */
	uint64_t reading_ns; /* CPU time that the next step may use for reading binaries */
	double heap_share;  /* of the CPU time of all CPUs: what looking at allocators may cost */
	bool on;	    /* sample at all in the next step */
	double weight;	    /* of each of its samples: the inverse of the chance that it is on, >= 1 */
};

struct budget_report {
	double share;	     /* asked for */
	double cost;	     /* share that the last step cost */
	double window_cost;  /* share that the last 60 s cost, or all since the start when that is less */
	double dearest_cost; /* the highest `window_cost` since budget_begin_interval(): above `share`, it was not kept */
	bool is_minute;	     /* they are of 60 s */
	enum budget_rate_limit rate_limit;
	double chance;	     /* that a step is on */
	bool infeasible;     /* all levers are used up and the cost is still above */
	struct budget_setting setting;
};

struct budget_lever_times {
	uint32_t since; /* steps since it was used or given back last */
	uint32_t wait;	/* steps that it stays used, at least */
};

/* A share that rises when two steps in a row say so, to the lower of them, and falls slowly. */
struct budget_lasting {
	double value, latest;
};

struct budget {
	struct budget_options options;
	struct budget_lever_times levers[BUDGET_LEVER_COUNT];
	struct budget_setting setting;
	struct budget_window window; /* its dearest minute is that since budget_begin_interval() */
	double tokens;	  /* in the bucket: seconds of all CPUs; below 0: debt */
	double age;	  /* seconds since the start */
	double spent;	  /* since the start: seconds of the budget */
	double present_share; /* the budget, or in the first minute what is left of it */
	double tick;	   /* share, while on; rises at once and falls slowly */
	double before_ticks[2]; /* of the last two steps, at the present rate */
	bool has_calmed;   /* three steps in a row were far below: a storm is over */
	double usual_tick; /* as tick, rising slowly too */
	double tick_ns;	   /* of one on a busy CPU */
	struct budget_lasting rest, other; /* shares: all but ticks; of it, without reading binaries */
	double chance;
	unsigned above, calm; /* steps in a row */
	unsigned waits;	      /* steps that a lever still has to show what it saves */
	bool infeasible;
	uint64_t random;
};

/* The rate of the first setting: no step has said yet what a tick costs. */
uint32_t budget_first_hz(double share, uint32_t highest_hz);

/* The first setting is everything at that rate. */
void budget_init(struct budget *budget, const struct budget_options *options);

/* Another share or rate from now on; what was spent stays spent. A share of 0 is not allowed. */
void budget_change(struct budget *budget, double share, uint32_t highest_hz);

/* Takes what the step since the last call cost; returns the setting of the next one. */
struct budget_setting budget_step(struct budget *budget, const struct budget_reading *reading);

/* Takes what was spent since the last step, at the end: no setting comes of it. */
void budget_end(struct budget *budget, const struct budget_reading *reading);

/* From now on the dearest minute is looked for anew. */
void budget_begin_interval(struct budget *budget);

const char *budget_rate_limit_name(enum budget_rate_limit limit);
const char *budget_rate_limit_words(enum budget_rate_limit limit);
const char *budget_lever_name(enum budget_lever lever);
const char *budget_lever_words(enum budget_lever lever);

void budget_get_report(const struct budget *budget, struct budget_report *ret);
