/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sampling strategy: which of the samples offered to it are taken, and what each of them then stands for. It
 * has no clock and no kernel in it: a sample's facts go in, a factor comes out, so that tests run it through
 * hours of made-up load in a moment.
 *
 * Theory. A sample that is taken with chance p counts 1/p times (Horvitz and Thompson, Journal of the American
 * Statistical Association 47, 1952): whatever is summed over the samples has the mean it has without a
 * strategy. That stays true where p changes from sample to sample, if it only depends on what came before:
 * the mean of a sample's factor, given the past, is p * 1/p = 1 (the estimator of Beygelzimer, Dasgupta and
 * Langford, "Importance weighted active learning", 2009). A bucket that takes the first so many of a second
 * and then none has no such factor; it favours what comes first. So where a number is to be kept, the chance
 * is what is allowed over what is expected: the greater of what earlier steps offered and what this one has
 * offered by now. A load of N samples that nobody expected gives R (1 + ln(N/R)) instead of R, once.
 *
 * The numbers kept are of samples a second (the steps are seconds, each by itself), or of samples of each
 * service an hour (steps of ten seconds; what was taken too much or too little is made up for within minutes).
 * By trace, no chance is rolled: the trace's own id decides, by the rule by which tracers that sample consistently
 * decide too, with a ratio of their own. Of a trace that is taken here at a ratio no higher than theirs the spans are
 * there, on every host. Ids are random in the bits that count (W3C Trace Context, level 2), so each is taken with the
 * chance that is asked for. A sample outside of any span is taken by itself, with the same chance.
 *
 * Several hosts share the number of a service: each takes its part by itself, with chances of its own, so that
 * what is merged has the means of what each would have without a strategy.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"

#define STRATEGY_MAX_SERVICES 1024 /* told apart; the others share one number */

/* STRATEGY(id, word) */
#define BOLOMETER_STRATEGIES(STRATEGY)           \
	STRATEGY(ALWAYS, "always")               \
	STRATEGY(NEVER, "never")                 \
	STRATEGY(PROBABILISTIC, "probabilistic") \
	STRATEGY(RATE, "rate")                   \
	STRATEGY(ADAPTIVE, "adaptive")

#define STRATEGY_ENUM(id, word) STRATEGY_##id,
enum strategy_kind { BOLOMETER_STRATEGIES(STRATEGY_ENUM) STRATEGY_COUNT };
#undef STRATEGY_ENUM

/* Of a probabilistic one: what is taken or not as a whole. */
enum strategy_choice { STRATEGY_BY_SAMPLE, STRATEGY_BY_PROCESS, STRATEGY_BY_INTERVAL, STRATEGY_BY_TRACE };

struct strategy_options {
	enum strategy_kind kind;
	enum strategy_choice by;
	double ratio;		 /* probabilistic: the chance, above 0, up to 1 */
	uint64_t interval_ns;	 /* by interval: how long one is */
	double samples;		 /* rate: a second; adaptive: of each service, an hour, on all hosts; above 0 */
	uint32_t hosts;		 /* adaptive: that share the number; 0: this one alone */
	uint64_t seed;		 /* of the chances */
};

struct strategy_sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t process; /* equal for samples of one process */
	uint64_t service; /* equal for samples of one service */
	uint64_t weight;  /* in the unit of its event */
	bool has_trace;	  /* its thread was in a span */
	uint64_t trace_randomness; /* then: 56 bits, see strategy_trace_randomness() */
};

struct strategy_statistics {
	uint64_t offered, offered_weight;
	uint64_t taken, taken_weight; /* of them; the weights without their factors */
	double counted_weight;	      /* with them: about offered_weight, but for "never" */
};

/* What is known of one stream of samples whose number is kept. */
struct strategy_flow {
	uint64_t step; /* the present one */
	double offered, taken; /* in it, by now */
	double expected; /* offers of a step, by the earlier ones */
	double credit;	 /* samples that earlier steps left over; below 0: took too much */
};

struct strategy {
	struct strategy_options options;
	struct strategy_statistics statistics;
	uint64_t random;
	struct strategy_flow flow; /* of all, or of the services past the limit */
	struct hash services;	   /* service -> index into flows */
	ARRAY(struct strategy_flow) flows;
};

/*
 * The bits of a trace id that are random, by W3C Trace Context level 2: the last seven bytes. A trace is taken at a
 * ratio p when they are, as a number, at least (1 - p) * 2^56. Source: OpenTelemetry specification, "TraceState:
 * Probability Sampling".
 */
static inline uint64_t strategy_trace_randomness(const uint8_t trace_id[static 16])
{
	uint64_t randomness = 0;
	for (int i = 9; i < 16; i++)
		randomness = randomness << 8 | trace_id[i];
	return randomness;
}

/* "probabilistic" and so on. */
const char *strategy_name(enum strategy_kind kind);

/* `options` are copied. Nothing has been offered yet. */
void strategy_init(struct strategy *strategy, const struct strategy_options *options);
void strategy_deinit(struct strategy *strategy);

/* Does it take or leave a process (strategy_sample's) whole, whatever comes before? Then *ret is the factor of all its
 * samples. */
bool strategy_decides_process(const struct strategy *strategy, uint64_t process, double *ret);

/* Counts so many samples of a process that has such a factor, of so much weight together. */
void strategy_count(struct strategy *strategy, uint64_t samples, uint64_t weight, double factor);

/* The factor on the weight of a sample, 1 or more; 0: it is not taken. */
double strategy_offer(struct strategy *strategy, const struct strategy_sample *sample);

/* Counts anew; what it knows of the load stays. */
void strategy_reset_statistics(struct strategy *strategy);
