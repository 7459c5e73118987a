/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_phase.h"

#include "base/interval.h"

#include <math.h>

/* However often a process allocates, some of its time is its own: below it what tells it is wrong. */
#define LEAST_OWN_BY_PRICE 0.05
#define LEAST_OWN 0.001
#define ONE_WINDOW 10 /* times what it had may be more */
#define PRICE_WINDOWS 4 /* before they tell a price */
#define LEAST_PRICE_DEVIATION 0.05 /* a window with frees differs by more than their probes */
#define TICKED_PRICE_DEVIATION 0.35 /* at one moment; where there are ticks, it need not be better known */
#define SLOWED 0.06 /* of what probes take seems own time behind them, at most twice as much: see heap_phase.h */

/* ---- Sums ------------------------------------------------------------------------------------ */

static void add_products(struct heap_window_products *products, const struct heap_window_reading *reading,
			 double value, double rate)
{
	double above = value - rate * reading->cpu;
	if (above > products->most - rate * products->most_cpu) {
		products->most = value;
		products->most_cpu = reading->cpu;
	}
	products->seen += value / reading->weight;
	products->sum += value;
	products->squares += value * value;
	products->with_cpu += value * reading->cpu;
}

/* By its weight, but for its ticks, of which each tells as much as any other. */
static struct heap_window_reading weighted(const struct heap_window_reading *reading)
{
	struct heap_window_reading w = *reading;
	w.cpu *= w.weight;
	w.cost *= w.weight;
	w.tick_cost *= w.weight;
	w.wall *= w.weight;
	w.objects *= w.weight;
	w.bytes *= w.weight;
	return w;
}

static void add_reading(struct heap_window_sums *sums, const struct heap_window_reading *reading)
{
	sums->windows++;
	sums->met += reading->cpu > 0;
	sums->cpu_seen += reading->cpu / reading->weight;
	sums->cost_seen += reading->cost / reading->weight;
	sums->cpu += reading->cpu;
	sums->cost += reading->cost;
	sums->tick_cost += reading->tick_cost;
	sums->wall += reading->wall;
	sums->cpu_squares += reading->cpu * reading->cpu;
	sums->ticks += reading->ticks;
	sums->own_ticks += reading->own_ticks;
	double cpu = fmax(sums->cpu, 1);
	add_products(&sums->objects, reading, reading->objects, (sums->objects.sum + reading->objects) / cpu);
	add_products(&sums->bytes, reading, reading->bytes, (sums->bytes.sum + reading->bytes) / cpu);
}

/* By the part of its CPU time that the probes took by their price. */
static unsigned stratum_of(const struct heap_window_reading *reading)
{
	static const double most[HEAP_STRATA - 1] = {0.05, 0.12, 0.25, 0.4, 0.6};
	unsigned stratum = 0;
	while (stratum < HEAP_STRATA - 1 && reading->cost > most[stratum] * (reading->cpu - reading->tick_cost))
		stratum++;
	return stratum;
}

unsigned heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading, bool with_frees)
{
	unsigned stratum = stratum_of(reading);
	struct heap_window_reading added = weighted(reading);
	phase->windows++;
	add_reading(&phase->strata[stratum], &added);
	if (with_frees)
		add_reading(&phase->with_frees[stratum], &added);
	return stratum;
}

bool heap_phase_has_met(const struct heap_phase *phase)
{
	bool any = false;
	for (unsigned i = 0; i < HEAP_STRATA; i++)
		any |= phase->strata[i].met > 0;
	return any;
}

/* CPU and wall time of all windows of some strata, with what they allocated. */
static struct heap_window_sums sum_up(const struct heap_window_sums strata[HEAP_STRATA])
{
	struct heap_window_sums all = {0};
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		const struct heap_window_sums *s = &strata[i];
		all.windows += s->windows;
		all.met += s->met;
		all.cost_seen += s->cost_seen;
		all.cpu += s->cpu;
		all.cost += s->cost;
		all.wall += s->wall;
		all.cpu_squares += s->cpu_squares;
		all.objects.sum += s->objects.sum;
		all.objects.squares += s->objects.squares;
		all.objects.with_cpu += s->objects.with_cpu;
	}
	return all;
}

/* ---- Price ----------------------------------------------------------------------------------- */

/* CPU time for an allocation in some windows, and how they differ. */
struct time_needed {
	double time, price; /* an allocation */
	double variance; /* relative, of one window; negative: not known */
};

static struct time_needed time_needed(const struct heap_window_sums *sums)
{
	const struct heap_window_products *x = &sums->objects;
	double windows = (double)sums->windows, a = sums->cpu / x->sum;
	double rest = fmax(sums->cpu_squares - 2 * a * x->with_cpu + a * a * x->squares, 0);
	return (struct time_needed){
		.time = a,
		.price = sums->cost / x->sum,
		.variance = windows > 1 ? rest / (sums->cpu * sums->cpu) * windows * windows / (windows - 1) : -1,
	};
}

static struct heap_window_sums subtract(const struct heap_window_sums *all, const struct heap_window_sums *less)
{
	struct heap_window_sums sums = *all;
	sums.windows -= less->windows;
	sums.cpu -= less->cpu;
	sums.cost -= less->cost;
	sums.cpu_squares -= less->cpu_squares;
	sums.objects.sum -= less->objects.sum;
	sums.objects.squares -= less->objects.squares;
	sums.objects.with_cpu -= less->objects.with_cpu;
	return sums;
}

struct heap_price_factor heap_phase_price(const struct heap_phase *phase)
{
	struct heap_price_factor known = {HEAP_PRICE_FACTOR, HEAP_PRICE_FACTOR_DEVIATION};
	struct heap_window_sums all = sum_up(phase->strata), more = sum_up(phase->with_frees);
	struct heap_window_sums plain = subtract(&all, &more);
	if (plain.windows < PRICE_WINDOWS || more.windows < 1 || plain.objects.sum <= 0 || more.objects.sum <= 0)
		return known;
	struct time_needed a = time_needed(&plain), b = time_needed(&more);
	double difference = b.price - a.price;
	if (difference <= 0)
		return known;
	/* Of few windows the variance is known badly. */
	double variance = fmax(a.variance, b.variance) * (1 + 4.0 / (double)(plain.windows - 1));
	double error = (a.time * a.time / (double)plain.windows + b.time * b.time / (double)more.windows) * variance /
		       (difference * difference) + LEAST_PRICE_DEVIATION * LEAST_PRICE_DEVIATION;
	double before = 1 / (known.deviation * known.deviation), seen = 1 / error;
	double factor = (before * known.factor + seen * (b.time - a.time) / difference) / (before + seen);
	return (struct heap_price_factor){fmax(factor, 0), 1 / sqrt(before + seen)};
}

/* ---- Own time -------------------------------------------------------------------------------- */

/* Of the CPU time of windows, with 95 %. */
struct own_part {
	double low, middle, high;
};

static struct own_part own_by_price(const struct heap_window_sums *sums, const struct heap_price_factor *price)
{
	double cost = sums->cost / sums->cpu, spread = NORMAL_95 * price->deviation;
	return (struct own_part){.low = fmax(1 - (price->factor + spread) * cost, LEAST_OWN_BY_PRICE / 10),
				 .middle = fmax(1 - price->factor * cost, LEAST_OWN_BY_PRICE),
				 .high = fmax(1 - fmax(price->factor - spread, 0) * cost, LEAST_OWN_BY_PRICE)};
}

/* Own ticks come by chance: one more than were seen makes their inverse right in the mean. */
static struct own_part ticked_part(double own, double ticks)
{
	double seen = fmin((own + 1) / (ticks + 1), 1), slowed = SLOWED * (1 - seen);
	double least = share_at_least(own + 1, ticks + 1);
	return (struct own_part){.low = fmax(least - 2 * slowed, least / 4),
				 .middle = fmax(seen - slowed, seen / 4),
				 .high = fmin(1 - share_at_least(fmax(ticks - own, 0), ticks + 1), 1)};
}

/* The part of the time between the ticks' own work. */
static struct own_part own_by_ticks(const struct heap_window_sums *sums)
{
	double untimed = 1 - sums->tick_cost / sums->cpu, cost = fmin(sums->cost / (sums->cpu * untimed), 1);
	struct own_part ticked = ticked_part(sums->own_ticks, sums->ticks);
	double deviation = (ticked.high - ticked.low) / (2 * NORMAL_95) + LEAST_OWN;
	double deviation_of_price = TICKED_PRICE_DEVIATION * cost + LEAST_OWN;
	double by_price = 1 / (deviation_of_price * deviation_of_price), by_ticks = 1 / (deviation * deviation);
	double both = (ticked.middle * by_ticks + (1 - HEAP_PRICE_FACTOR * cost) * by_price) / (by_ticks + by_price);
	double middle = fmin(fmax(both, LEAST_OWN), 1), narrower = sqrt(by_ticks / (by_ticks + by_price));
	return (struct own_part){.low = untimed * fmax(middle - narrower * (ticked.middle - ticked.low), middle / 4),
				 .middle = untimed * middle,
				 .high = untimed * fmin(middle + narrower * (ticked.high - ticked.middle), 1)};
}

/* Of each stratum. */
struct own_parts {
	struct own_part strata[HEAP_STRATA];
};

static struct own_parts own_parts_of(const struct heap_phase *phase)
{
	struct heap_price_factor price = heap_phase_price(phase);
	struct own_parts own = {0};
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		const struct heap_window_sums *sums = &phase->strata[i];
		own.strata[i] = sums->cpu <= 0 ? (struct own_part){1, 1, 1}
				: sums->ticks > 0 ? own_by_ticks(sums)
						  : own_by_price(sums, &price);
	}
	return own;
}

/* ---- Sums with weights ----------------------------------------------------------------------- */

/* Over all strata, each with the inverse of its own part. */
struct weighed {
	double low, sum, high; /* where own parts are as large, or as small, as they may be */
	double squares, with_cpu;
};

enum kind {
	OBJECTS,
	BYTES,
};

static const struct heap_window_products *products_of(const struct heap_window_sums *sums, enum kind kind)
{
	return kind == OBJECTS ? &sums->objects : &sums->bytes;
}

static struct weighed weigh(const struct heap_phase *phase, const struct own_parts *own, enum kind kind)
{
	struct weighed w = {0};
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		const struct heap_window_products *x = products_of(&phase->strata[i], kind);
		const struct own_part *part = &own->strata[i];
		w.low += x->sum / part->high;
		w.sum += x->sum / part->middle;
		w.high += x->sum / part->low;
		w.squares += x->squares / (part->middle * part->middle);
		w.with_cpu += x->with_cpu / part->middle;
	}
	return w;
}

/* How much more the window with most had than it would have at a rate. */
static double most_above(const struct heap_phase *phase, const struct own_parts *own, enum kind kind, double rate)
{
	double most = 0;
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		const struct heap_window_products *x = products_of(&phase->strata[i], kind);
		most = fmax(most, x->most / own->strata[i].middle - rate * x->most_cpu);
	}
	return most;
}

/* Sum of the squares by which windows differ from a rate. */
static double rest_of(const struct heap_window_sums *all, const struct weighed *x, double rate)
{
	return fmax(x->squares - 2 * rate * x->with_cpu + rate * rate * all->cpu_squares, 0);
}

/* How far off a sum may be, with 95 %. */
struct spread {
	double below, above;
};

/* Of a sum of so many windows, with that variance: 1.96 standard deviations, more for few (Student's t). Above, one event
 * may have `unit` of it. */
static struct spread spread_of(double windows, double variance, double unit)
{
	double freedom = fmax(windows - 1, 1), quantile = student_95(freedom);
	double half_square = NORMAL_95 * NORMAL_95 / 2, corrected = variance * (freedom + 1) / freedom;
	return (struct spread){.below = quantile * sqrt(corrected),
			       .above = half_square * unit +
					quantile * sqrt(corrected + half_square / 2 * unit * unit)};
}

/* Windows that are longer than others make their number less. */
static double equal_windows(const struct heap_window_sums *all)
{
	return all->cpu_squares > 0 ? fmin(all->cpu * all->cpu / all->cpu_squares, (double)all->windows)
				    : (double)all->windows;
}

/* ---- Scale ----------------------------------------------------------------------------------- */

/* All windows of a state, and what is made of them. */
struct view {
	const struct heap_phase_state *state;
	struct heap_window_sums all;
	struct own_parts own;
	double factor; /* all progress over the windows' CPU time */
};

static struct view view_of(const struct heap_phase_state *state, const struct own_parts *own)
{
	struct view v = {.state = state, .all = sum_up(state->phase.strata), .own = *own};
	/* Of what probes cost around windows only the price is known. */
	double around = fmax(state->cost - v.all.cost_seen, 0) * HEAP_PRICE_FACTOR, probes = around;
	for (unsigned i = 0; i < HEAP_STRATA; i++)
		probes += (1 - own->strata[i].middle) * state->phase.strata[i].cpu_seen;
	double progress = fmax(state->cpu - probes, LEAST_OWN_BY_PRICE * state->cpu);
	v.factor = v.all.cpu > 0 ? progress / v.all.cpu : 0;
	return v;
}

static double estimate_of(const struct view *v, enum kind kind)
{
	return v->factor * weigh(&v->state->phase, &v->own, kind).sum;
}

/* What there was at the least. */
static double seen_of(const struct heap_phase *phase, enum kind kind)
{
	double seen = 0;
	for (unsigned i = 0; i < HEAP_STRATA; i++)
		seen += products_of(&phase->strata[i], kind)->seen;
	return seen;
}

/* By the weights of windows, but not by their own parts. */
static double sum_of(const struct heap_phase *phase, enum kind kind)
{
	double sum = 0;
	for (unsigned i = 0; i < HEAP_STRATA; i++)
		sum += products_of(&phase->strata[i], kind)->sum;
	return sum;
}

static void bound(const struct view *v, enum kind kind, double *ret_low, double *ret_high)
{
	struct weighed x = weigh(&v->state->phase, &v->own, kind);
	double seen = seen_of(&v->state->phase, kind), rate = x.sum / v->all.cpu;
	struct spread spread = spread_of(equal_windows(&v->all), rest_of(&v->all, &x, rate),
					 most_above(&v->state->phase, &v->own, kind, rate));
	if (x.sum <= 0) {
		*ret_low = *ret_high = 0;
		return;
	}
	if (v->all.met < 2) /* that it slept in others says nothing of what it does at work */
		spread = (struct spread){x.sum, ONE_WINDOW * x.sum};
	double by_wall = v->state->wall / v->all.wall * sum_of(&v->state->phase, kind) / x.sum;
	double low = v->factor * x.low / x.sum;
	/* How much more CPU time it uses in windows than at all times: it cannot keep pace by more. */
	double paced = fmax(v->all.cpu / v->all.wall * v->state->wall / v->state->cpu, 1);
	*ret_low = fmax(fmin(low, fmax(by_wall, low / paced)) * (x.sum - spread.below), seen);
	*ret_high = fmax(v->factor * x.high / x.sum, by_wall) * (x.sum + spread.above);
}

static struct heap_phase_scale scale_of(const struct view *v)
{
	struct heap_phase_scale scale = {0};
	double frees = 0;
	if (v->all.cpu <= 0 || v->all.wall <= 0)
		return scale;
	for (unsigned i = 0; i < HEAP_STRATA; i++) {
		scale.factors[i] = fmax(v->factor / v->own.strata[i].middle, 1);
		frees += v->own.strata[i].middle * v->state->phase.with_frees[i].cpu;
	}
	scale.with_frees_factor = frees > 0 ? fmax(v->factor * v->all.cpu / frees, 1) : 0;
	bound(v, OBJECTS, &scale.objects_low, &scale.objects_high);
	bound(v, BYTES, &scale.bytes_low, &scale.bytes_high);
	return scale;
}

struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall)
{
	struct heap_phase_state state = {*phase, cpu, cost, wall};
	struct own_parts own = own_parts_of(phase);
	struct view view = view_of(&state, &own);
	return scale_of(&view);
}

double heap_phase_weight(const struct heap_phase *phase, unsigned stratum)
{
	return 1 / own_parts_of(phase).strata[stratum].middle;
}

/* The same phase earlier and later; earlier also as it is seen by now. */
struct between {
	struct view then, then_by_now, now;
};

/* Between which the difference is; *ret_low, *ret_high as they were of the whole phase. */
static void narrow(const struct between *b, enum kind kind, double *ret_low, double *ret_high)
{
	struct weighed before = weigh(&b->then.state->phase, &b->now.own, kind);
	struct weighed after = weigh(&b->now.state->phase, &b->now.own, kind);
	double told = estimate_of(&b->then, kind), estimate = estimate_of(&b->now, kind), factor = b->now.factor;
	if (estimate <= 0)
		return;
	double difference = fmax(estimate - told, 0), rate = after.sum / b->now.all.cpu;
	double all = rest_of(&b->now.all, &after, rate), old = rest_of(&b->then.all, &before, rate);
	/* A few new windows that are alike do not say that all are. */
	double usual = all * (double)(b->now.all.windows - b->then.all.windows) / (double)b->now.all.windows;
	/* Bursts are in the rate's own interval. */
	struct spread spread = spread_of(equal_windows(&b->now.all), factor * factor * fmax(all - old, usual), 0);
	/* What is known of own time by now makes of all that was told. */
	double change = fabs(estimate_of(&b->then_by_now, kind) - told);
	double seen = seen_of(&b->now.state->phase, kind) - seen_of(&b->then.state->phase, kind);
	/* The rate of all windows, and their own part, make all of it more or less. */
	double low = fmin(*ret_low / estimate, 1), high = fmax(*ret_high / estimate, 1);
	*ret_low = fmax(low * difference - spread.below - change, fmax(seen, 0));
	*ret_high = fmax(high * difference + spread.above + change, *ret_low);
}

struct heap_phase_scale heap_phase_scale_between(const struct heap_phase_state *then,
						 const struct heap_phase_state *now)
{
	struct own_parts own = own_parts_of(&now->phase), earlier = own_parts_of(&then->phase);
	struct between between = {.now = view_of(now, &own), .then = view_of(then, &earlier),
				  .then_by_now = view_of(then, &own)};
	struct heap_phase_scale scale = scale_of(&between.now);
	if (then->phase.windows == 0 || between.now.factor <= 0)
		return scale;
	narrow(&between, OBJECTS, &scale.objects_low, &scale.objects_high);
	narrow(&between, BYTES, &scale.bytes_low, &scale.bytes_high);
	return scale;
}
