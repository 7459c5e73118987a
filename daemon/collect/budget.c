/* SPDX-License-Identifier: Apache-2.0 */
/* See budget.h for the theory; budget_window.h keeps what was spent. */
#include "collect/budget.h"

#include "base/hash.h"

#include <math.h>

/* The bucket, in units of the budget: what flows in, and how many seconds of it there may be. */
#define INFLOW 0.95
#define BUCKET 3.0
#define DEBT 6.0	 /* most that is remembered: older cost is in no minute any more */
#define FIRST_MINUTE 54.0 /* what it may cost, the start included */
#define MINUTE 60.0
#define BUCKET_PART 15	    /* a second may use one part in so many of what is in it */
#define FIRST_TICK_NS 40e3 /* a stack of usual depth, and the interrupt of a virtual machine */
#define LARGEST_BURST 2.0   /* times the budget, in one step */
#define ONSET 3.0	    /* times the budget, in the one step in which all CPUs become busy */
#define TICK_FOLLOW 0.1	    /* how far what a tick takes follows the latest */
#define FAR_ABOVE 1.5
#define DEAD_BAND 0.15	    /* of the rate, */
#define COST_DEAD_BAND 0.05 /* and of a cost above what is allowed */
#define FASTER 1.05	    /* a step, at most, of what comes back bit by bit */
#define NEARER 0.3	    /* of the way to a higher rate, a step */
#define FALL 0.2	    /* how far the smoothed cost follows a lower one; a higher one at once */
#define CALMED 0.5	    /* part of it that three steps in a row are below when a storm is over */
#define READING_PART 0.8    /* of what a step may cost and nothing else does */
#define LEAST_READING 0.3   /* of the budget, whatever else costs; */
#define DEBT_READING 0.15   /* while what was spent already is paid off */
#define HEAP_PART 0.4	    /* of the budget, for looking at allocators, */
#define RARE_HEAP_PART 0.1  /* and when their windows are rarer; */
#define HEAP_STEPS 8	    /* each change of it ends what was seen at the old pace: it is in eighths */
#define TICKS_PART 0.25	    /* of the budget that chance leaves to ticks whatever else costs */
#define PATIENCE 4	    /* steps above the allowance at the floor before the next lever */
#define CALM 20		    /* steps well below it before one is given back */
#define CALM_SHARE 0.75
#define LONGEST_WAIT 1920 /* steps: 16 minutes */
#define FOLLOWING_WAIT 120 /* of that lever, which takes reading all of /proc to give back */
#define FOLLOWING_PART 0.25 /* of the budget: what is not the ticks' must be as much for it to be of use */

static uint32_t shortest_wait(enum budget_lever lever)
{
	return lever == BUDGET_LEVER_FOLLOWING ? FOLLOWING_WAIT : CALM;
}

uint32_t budget_first_hz(double share, uint32_t highest_hz)
{
	double fitting = share * 1e9 / FIRST_TICK_NS;
	double first = MAX_OF(fitting, (double)BUDGET_LOWEST_HZ);
	return first < highest_hz ? (uint32_t)first : highest_hz;
}

void budget_init(struct budget *budget, const struct budget_options *options)
{
	*budget = (struct budget){
		.options = *options,
		.setting = {.frequency = budget_first_hz(options->share, options->highest_hz),
			    .reading_ns = (uint64_t)(options->share * (double)BUDGET_STEP_NS),
			    .heap_share = HEAP_PART * options->share,
			    .on = true,
			    .weight = 1},
		.tokens = BUCKET * options->share,
		.present_share = options->share,
		.tick_ns = FIRST_TICK_NS,
		.chance = 1,
		.random = options->seed,
	};
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		budget->levers[i] = (struct budget_lever_times){.since = LONGEST_WAIT,
								.wait = shortest_wait((enum budget_lever)i)};
}

static uint32_t lowest_hz(const struct budget *budget)
{
	return MIN_OF(budget->options.highest_hz, (uint32_t)BUDGET_LOWEST_HZ);
}

/* Hz; where all CPUs become busy, a step passes before the rate can follow. */
static double top_hz(const struct budget *budget)
{
	double top = ONSET * budget->present_share * 1e9 / budget->tick_ns;
	return MIN_OF(MAX_OF(top, (double)lowest_hz(budget)), (double)budget->options.highest_hz);
}

static void set_heap(struct budget *budget)
{
	bool is_rare = budget->setting.used & BUDGET_LEVER_BIT(BUDGET_LEVER_WINDOWS);
	double part = MAX_OF(ceil(HEAP_STEPS * budget->present_share / budget->options.share), 1.0) / HEAP_STEPS;
	budget->setting.heap_share = (is_rare ? RARE_HEAP_PART : HEAP_PART) * part * budget->options.share;
}

void budget_change(struct budget *budget, double share, uint32_t highest_hz)
{
	bool was_highest = budget->setting.frequency == budget->options.highest_hz;
	budget->present_share *= share / budget->options.share;
	budget->spent *= budget->options.share / share;
	budget->options.share = share;
	budget->options.highest_hz = highest_hz;
	if (was_highest || budget->setting.frequency > highest_hz)
		budget->setting.frequency = highest_hz;
	budget->setting.frequency = MAX_OF(budget->setting.frequency, lowest_hz(budget));
	set_heap(budget);
}

/* ---- What is spent --------------------------------------------------------------------------- */

static void keep(struct budget *budget, const struct budget_reading *reading, double capacity)
{
	budget_window_add(&budget->window, &(struct budget_cost){(double)reading->cost_ns, capacity,
								 (double)reading->elapsed_ns / 1e9});
}

void budget_end(struct budget *budget, const struct budget_reading *reading)
{
	double capacity = (double)reading->elapsed_ns * MAX_OF(reading->cpus, 1u);
	if (capacity > 0)
		keep(budget, reading, capacity);
}

void budget_begin_interval(struct budget *budget)
{
	budget->window.dearest = 0;
}

/* What flows in. In the first minute, evenly, what the start has left of it: an uneven rate would be worse. */
static double inflow(const struct budget *budget)
{
	if (budget->age >= MINUTE)
		return INFLOW;
	double left = MAX_OF(FIRST_MINUTE - budget->spent, 0.0);
	return MIN_OF(left / (MINUTE - budget->age), INFLOW);
}

/* The share that the next step may cost. */
static double allowance(struct budget *budget, double cost, double seconds)
{
	double share = budget->options.share;
	bool is_start = budget->window.steps == 1;
	budget->age += seconds;
	budget->spent += cost / share * seconds;
	if (!is_start)
		budget->tokens += (INFLOW * budget->present_share - cost) * seconds;
	budget->present_share = share * inflow(budget) / INFLOW;
	budget->tokens = MAX_OF(MIN_OF(budget->tokens, budget->present_share * BUCKET), -share * DEBT);
	return MIN_OF(INFLOW * budget->present_share + budget->tokens / BUCKET_PART,
		      LARGEST_BURST * budget->present_share);
}

/* ---- Levers ---------------------------------------------------------------------------------- */

/* The rate at which the cost is what is allowed. */
static double fitting_hz(const struct budget *budget, double allowed)
{
	double now = budget->setting.frequency, cost = budget->tick + budget->rest.value;
	double fitting = budget->options.highest_hz;
	if (cost > 0)
		fitting = now * MAX_OF(allowed, 0.0) / cost;
	/* What is not the ticks' does not follow the rate: what that leaves to them, halved at most. */
	if (budget->above > 1 && budget->tick > 0)
		fitting = MIN_OF(fitting, MAX_OF(now * (allowed - budget->rest.value) / budget->tick, now / 2));
	return fitting;
}

/* Stays where it is unless another is clearly better: each change ends a profile. */
static uint32_t rate_for(const struct budget *budget, double allowed)
{
	double now = budget->setting.frequency, top = top_hz(budget), lowest = lowest_hz(budget);
	double wanted = MIN_OF(fitting_hz(budget, allowed), top);
	bool is_end = wanted == budget->options.highest_hz || wanted <= lowest;
	bool is_far = wanted > now * (1 + DEAD_BAND) || wanted < now * (1 - DEAD_BAND);
	if (!is_end && !is_far && budget->above < PATIENCE)
		return budget->setting.frequency;
	/* One reading that is off is not followed far. At least one Hz, or a low rate would never leave its place. */
	if (wanted > now && !budget->has_calmed)
		wanted = MIN_OF(wanted, now + MAX_OF(NEARER * (wanted - now), 1.0));
	return (uint32_t)(MAX_OF(wanted, lowest) + 0.5);
}

/* Ticks cost what their number is: what was measured at the old rate is taken to the new one. */
static void set_rate(struct budget *budget, uint32_t frequency)
{
	double ratio = (double)frequency / budget->setting.frequency;
	budget->tick *= ratio;
	budget->before_ticks[0] *= ratio;
	budget->before_ticks[1] *= ratio;
	budget->usual_tick *= ratio;
	budget->setting.frequency = frequency;
}

/* With the rate at its floor: the chance that makes the mean of on and off what is allowed. */
static void set_chance(struct budget *budget, double allowed)
{
	double tick = MAX_OF(budget->usual_tick, 1e-9);
	double lowest = MAX_OF(TICKS_PART * budget->options.share / tick, BUDGET_LOWEST_CHANCE);
	/* Back up no faster than the rate. */
	double chance = MIN_OF((allowed - budget->rest.value) / tick, budget->chance * FASTER);
	budget->chance = MIN_OF(1.0, MAX_OF(chance, lowest));
	/* The start is no sign of what is to come. */
	budget->infeasible = budget->age > MINUTE &&
			     budget->chance * tick + budget->rest.value > allowed * (1 + COST_DEAD_BAND);
}

static void set_reading(struct budget *budget, double allowed, uint32_t cpus)
{
	double left = READING_PART * (allowed - budget->chance * budget->tick - budget->other.value);
	double least = budget->tokens < 0 ? DEBT_READING : LEAST_READING;
	double granted = MAX_OF(left, least * budget->present_share);
	budget->setting.reading_ns = (uint64_t)(granted * cpus * (double)BUDGET_STEP_NS);
}

static bool is_used(const struct budget *budget, enum budget_lever lever)
{
	return budget->setting.used & BUDGET_LEVER_BIT(lever);
}

static void use(struct budget *budget, enum budget_lever lever)
{
	struct budget_lever_times *times = &budget->levers[lever];
	/* Was it given back too early? */
	times->wait = times->since < times->wait ? MIN_OF(2 * times->wait, (uint32_t)LONGEST_WAIT)
						 : shortest_wait(lever);
	times->since = 0;
	budget->setting.used |= BUDGET_LEVER_BIT(lever);
	budget->above = 0; /* what it saves is to be seen */
}

static bool may_return(const struct budget *budget, enum budget_lever lever)
{
	return is_used(budget, lever) && budget->levers[lever].since >= budget->levers[lever].wait;
}

static void return_lever(struct budget *budget, enum budget_lever lever)
{
	budget->setting.used &= ~BUDGET_LEVER_BIT(lever);
	budget->levers[lever].since = 0;
	budget->calm = 0;
}

/* The next one before the rate. Returns whether there was one. */
static bool use_next(struct budget *budget)
{
	for (int i = BUDGET_LEVER_LINES; i <= BUDGET_LEVER_DEPTH; i++)
		if (!((budget->setting.used | budget->options.without) & BUDGET_LEVER_BIT(i))) {
			use(budget, (enum budget_lever)i);
			return true;
		}
	return false;
}

/* At the floor: it is of use only where much of the cost is not that of ticks. */
static bool use_following(struct budget *budget)
{
	if ((budget->setting.used | budget->options.without) & BUDGET_LEVER_BIT(BUDGET_LEVER_FOLLOWING) ||
	    budget->rest.value < FOLLOWING_PART * budget->options.share)
		return false;
	use(budget, BUDGET_LEVER_FOLLOWING);
	return true;
}

static void lower(struct budget *budget, double allowed)
{
	struct budget_setting *setting = &budget->setting;
	/* Only what is far above cannot wait to see what a lever saves. */
	bool can_wait = budget->tick + budget->rest.value < FAR_ABOVE * allowed;
	if (can_wait && budget->waits > 0)
		return;
	if (use_next(budget)) {
		budget->waits = PATIENCE;
		if (can_wait)
			return;
	}
	bool at_floor = setting->frequency <= lowest_hz(budget);
	set_rate(budget, rate_for(budget, allowed));
	if (at_floor && budget->above >= PATIENCE && !use_following(budget))
		set_chance(budget, allowed);
}

static void return_last(struct budget *budget)
{
	for (int i = BUDGET_LEVER_DEPTH; i >= BUDGET_LEVER_LINES; i--)
		if (is_used(budget, (enum budget_lever)i)) {
			if (may_return(budget, (enum budget_lever)i))
				return_lever(budget, (enum budget_lever)i);
			return;
		}
}

static void give_back(struct budget *budget, double allowed)
{
	struct budget_setting *setting = &budget->setting;
	uint32_t rate = rate_for(budget, allowed);
	bool has_room = setting->frequency >= 2 * lowest_hz(budget) || rate == setting->frequency;
	if (budget->chance < 1)
		set_chance(budget, allowed);
	else if (has_room && may_return(budget, BUDGET_LEVER_FOLLOWING))
		return_lever(budget, BUDGET_LEVER_FOLLOWING);
	else if (rate != setting->frequency)
		set_rate(budget, rate);
	else if (budget->calm >= CALM)
		return_last(budget);
	budget->infeasible = false;
}

/* A number in [0, 1). */
static double roll(struct budget *budget)
{
	budget->random += 0x9e3779b97f4a7c15ULL; /* a counter through a finaliser, as in splitmix64 */
	return (double)(hash_mix(budget->random) >> 11) / 9007199254740992.0; /* 2^53 */
}

static void follow(double *value, double latest)
{
	*value += (latest > *value ? 1 : FALL) * (latest - *value);
}

/* What stays: one dear step is paid from the bucket. */
static void follow_lasting(struct budget_lasting *lasting, double latest)
{
	follow(&lasting->value, MIN_OF(latest, lasting->latest));
	lasting->latest = latest;
}

/* Of the ticks while they are on. */
static void follow_tick(struct budget *budget, double latest)
{
	double higher = MAX_OF(latest, MAX_OF(budget->before_ticks[0], budget->before_ticks[1]));
	budget->has_calmed = higher < CALMED * budget->tick;
	if (budget->has_calmed)
		budget->tick = higher;
	budget->before_ticks[1] = budget->before_ticks[0];
	budget->before_ticks[0] = latest;
	follow(&budget->tick, latest);
	budget->usual_tick += (budget->usual_tick > 0 ? FALL : 1) * (latest - budget->usual_tick);
}

/* What the step cost, as shares. */
static void take_in(struct budget *budget, const struct budget_reading *reading, double capacity)
{
	double cost = (double)reading->cost_ns / capacity;
	double tick = MIN_OF((double)reading->tick_ns / capacity, cost);
	double rest = cost - tick;
	if (budget->setting.on)
		follow_tick(budget, tick);
	if (reading->ticks > 0)
		budget->tick_ns += TICK_FOLLOW * ((double)reading->tick_ns / (double)reading->ticks - budget->tick_ns);
	/* The start is paid from the bucket; it is no sign of what the next steps cost. */
	if (budget->window.steps > 0) {
		follow_lasting(&budget->rest, rest);
		follow_lasting(&budget->other, rest - MIN_OF((double)reading->reading_ns / capacity, rest));
	}
	keep(budget, reading, capacity);
}

struct budget_setting budget_step(struct budget *budget, const struct budget_reading *reading)
{
	double capacity = (double)reading->elapsed_ns * MAX_OF(reading->cpus, 1u);
	if (capacity <= 0)
		return budget->setting;
	take_in(budget, reading, capacity);
	double allowed = allowance(budget, (double)reading->cost_ns / capacity,
					   (double)reading->elapsed_ns / 1e9);
	if (budget->window.steps == 1)
		set_rate(budget, MIN_OF(budget->setting.frequency,
					budget_first_hz(budget->present_share, budget->options.highest_hz)));
	double mean = budget->chance * budget->tick + budget->rest.value;
	for (int i = 0; i < BUDGET_LEVER_COUNT; i++)
		budget->levers[i].since = MIN_OF(budget->levers[i].since + 1, (uint32_t)LONGEST_WAIT);
	budget->waits -= budget->waits > 0;
	budget->above = mean > allowed * (1 + COST_DEAD_BAND) ? budget->above + 1 : 0;
	budget->calm = mean < allowed * CALM_SHARE ? budget->calm + 1 : 0;
	if (budget->above || (budget->chance < 1 && mean > allowed))
		lower(budget, allowed);
	else
		give_back(budget, allowed);
	set_reading(budget, allowed, MAX_OF(reading->cpus, 1u));
	set_heap(budget);
	budget->setting.on = budget->chance >= 1 || roll(budget) < budget->chance;
	budget->setting.weight = 1 / budget->chance;
	return budget->setting;
}

static enum budget_rate_limit rate_limit(const struct budget *budget)
{
	double now = budget->setting.frequency;
	if (now >= budget->options.highest_hz)
		return BUDGET_RATE_LIMIT_ASKED;
	if (budget->window.steps && budget->present_share < budget->options.share)
		return BUDGET_RATE_LIMIT_START;
	if (!budget->window.steps || now >= top_hz(budget) * (1 - DEAD_BAND))
		return BUDGET_RATE_LIMIT_ONSET;
	return BUDGET_RATE_LIMIT_COST;
}

void budget_get_report(const struct budget *budget, struct budget_report *ret)
{
	struct budget_cost last = budget_window_last(&budget->window), minute = budget_window_minute(&budget->window);
	*ret = (struct budget_report){
		.share = budget->options.share,
		.cost = budget_cost_share(&last),
		.window_cost = budget_cost_share(&minute),
		.dearest_cost = MAX_OF(budget->window.dearest, budget_cost_share(&minute)),
		.is_minute = budget_cost_is_minute(&minute),
		.rate_limit = rate_limit(budget),
		.chance = budget->chance,
		.infeasible = budget->infeasible,
		.setting = budget->setting,
	};
}
