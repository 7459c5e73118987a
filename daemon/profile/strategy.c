/* SPDX-License-Identifier: Apache-2.0 */
/* See strategy.h for the theory. */
#include "profile/strategy.h"

#include "base/clock.h"

#include <math.h>

#define RATE_STEP_NS NS_PER_SECOND
#define ADAPTIVE_STEP_NS (10 * NS_PER_SECOND)
#define STEPS_AN_HOUR 360.0
#define FOLLOW 0.3	   /* how far the expected load of a service follows the last step */
#define CREDIT_STEPS 60.0  /* most that is carried, either way: ten minutes' worth */
#define REPAID_IN 12.0	   /* steps: two minutes */
#define LEAST_ALLOWED 0.25 /* of a step's part, whatever is owed: the chance is never 0 */
#define MOST_ALLOWED 4.0
#define TRACE_RANDOMNESS_LIMIT 72057594037927936.0 /* 2^56 */

static const char *const names[] = {
#define STRATEGY_WORD(id, word) word,
	BOLOMETER_STRATEGIES(STRATEGY_WORD)
#undef STRATEGY_WORD
};

const char *strategy_name(enum strategy_kind kind)
{
	return names[kind];
}

void strategy_init(struct strategy *strategy, const struct strategy_options *options)
{
	*strategy = (struct strategy){.options = *options, .random = options->seed};
}

void strategy_deinit(struct strategy *strategy)
{
	hash_free(&strategy->services);
	array_free(&strategy->flows);
}

void strategy_reset_statistics(struct strategy *strategy)
{
	strategy->statistics = (struct strategy_statistics){0};
}

/* ---- Chances --------------------------------------------------------------------------------- */

static double in_unit_interval(uint64_t bits)
{
	return (double)(bits >> 11) / 9007199254740992.0; /* 2^53 */
}

/* A number in [0, 1). */
static double roll(struct strategy *strategy)
{
	strategy->random += 0x9e3779b97f4a7c15ULL; /* a counter through a finaliser, as in splitmix64 */
	return in_unit_interval(hash_mix(strategy->random));
}

/* The same number in [0, 1) for the same key. */
static double roll_for(const struct strategy *strategy, uint64_t key)
{
	return in_unit_interval(hash_mix(hash_mix(key + 0x9e3779b97f4a7c15ULL) ^ strategy->options.seed));
}

static bool is_process_taken(const struct strategy *strategy, uint64_t process)
{
	return roll_for(strategy, process) < strategy->options.ratio;
}

/* Is the trace among those of this ratio? */
static bool has_trace_of(const struct strategy_sample *sample, double ratio)
{
	/* Whole numbers: a double has fewer bits than they. */
	return sample->trace_randomness >= (uint64_t)((1 - ratio) * TRACE_RANDOMNESS_LIMIT + 0.5);
}

static bool draw(struct strategy *strategy, const struct strategy_sample *sample)
{
	const struct strategy_options *o = &strategy->options;
	switch (o->by) {
	case STRATEGY_BY_PROCESS:
		return is_process_taken(strategy, sample->process);
	case STRATEGY_BY_INTERVAL:
		return roll_for(strategy, sample->time_ns / MAX_OF(o->interval_ns, (uint64_t)1)) < o->ratio;
	case STRATEGY_BY_TRACE:
		return sample->has_trace ? has_trace_of(sample, o->ratio) : roll(strategy) < o->ratio;
	default:
		return roll(strategy) < o->ratio;
	}
}

/* ---- Numbers that are kept ------------------------------------------------------------------- */

/* The step that a sample is of; one that comes late is of the present step. */
static void enter_second(struct strategy_flow *flow, uint64_t step)
{
	if (step <= flow->step)
		return;
	flow->expected = step == flow->step + 1 ? flow->offered : 0;
	flow->step = step;
	flow->offered = flow->taken = 0;
}

static void enter_step(struct strategy_flow *flow, uint64_t step, double part)
{
	if (flow->step == 0) /* the first sample: nothing was missed before it */
		flow->step = step;
	if (step <= flow->step)
		return;
	double passed = (double)(step - flow->step);
	flow->expected += FOLLOW * (flow->offered - flow->expected);
	flow->expected *= pow(1 - FOLLOW, passed - 1);
	flow->credit += passed * part - flow->taken;
	flow->credit = MAX_OF(MIN_OF(flow->credit, CREDIT_STEPS * part), -CREDIT_STEPS * part);
	flow->step = step;
	flow->offered = flow->taken = 0;
}

/* Takes one by chance, as many as `allowed` in a step. Returns the factor, 0: not taken. */
static double take(struct strategy *strategy, struct strategy_flow *flow, double allowed)
{
	flow->offered++;
	double chance = MIN_OF(1.0, allowed / MAX_OF(flow->expected, flow->offered));
	if (roll(strategy) >= chance)
		return 0;
	flow->taken++;
	return 1 / chance;
}

static struct strategy_flow *flow_of(struct strategy *strategy, uint64_t service)
{
	const uint64_t *known = hash_get(&strategy->services, service);
	if (known)
		return &strategy->flows.items[*known];
	if (strategy->flows.count >= STRATEGY_MAX_SERVICES ||
	    array_add(&strategy->flows, (struct strategy_flow){0}) < 0)
		return &strategy->flow;
	if (hash_put(&strategy->services, service, strategy->flows.count - 1) < 0) {
		strategy->flows.count--;
		return &strategy->flow;
	}
	return &strategy->flows.items[strategy->flows.count - 1];
}

static double offer_to_service(struct strategy *strategy, const struct strategy_sample *sample)
{
	const struct strategy_options *o = &strategy->options;
	struct strategy_flow *flow = flow_of(strategy, sample->service);
	double part = o->samples / MAX_OF(o->hosts, 1u) / STEPS_AN_HOUR;
	enter_step(flow, sample->time_ns / ADAPTIVE_STEP_NS, part);
	double allowed = part + flow->credit / REPAID_IN;
	allowed = MAX_OF(LEAST_ALLOWED * part, MIN_OF(allowed, MOST_ALLOWED * part));
	return take(strategy, flow, allowed);
}

static double factor_of(struct strategy *strategy, const struct strategy_sample *sample)
{
	const struct strategy_options *o = &strategy->options;
	switch (o->kind) {
	case STRATEGY_NEVER:
		return 0;
	case STRATEGY_PROBABILISTIC:
		return draw(strategy, sample) ? 1 / o->ratio : 0;
	case STRATEGY_RATE:
		enter_second(&strategy->flow, sample->time_ns / RATE_STEP_NS);
		return take(strategy, &strategy->flow, o->samples);
	case STRATEGY_ADAPTIVE:
		return offer_to_service(strategy, sample);
	default:
		return 1;
	}
}

bool strategy_decides_process(const struct strategy *strategy, uint64_t process, double *ret)
{
	const struct strategy_options *o = &strategy->options;
	if (o->kind == STRATEGY_ALWAYS || o->kind == STRATEGY_NEVER) {
		*ret = o->kind == STRATEGY_ALWAYS;
		return true;
	}
	if (o->kind != STRATEGY_PROBABILISTIC || o->by != STRATEGY_BY_PROCESS)
		return false;
	*ret = is_process_taken(strategy, process) ? 1 / o->ratio : 0;
	return true;
}

void strategy_count(struct strategy *strategy, uint64_t samples, uint64_t weight, double factor)
{
	struct strategy_statistics *s = &strategy->statistics;
	s->offered += samples;
	s->offered_weight += weight;
	if (factor > 0) {
		s->taken += samples;
		s->taken_weight += weight;
		s->counted_weight += factor * (double)weight;
	}
}

double strategy_offer(struct strategy *strategy, const struct strategy_sample *sample)
{
	double factor = factor_of(strategy, sample);
	strategy_count(strategy, 1, sample->weight, factor);
	return factor;
}
