/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_phase.h"

#include "base/interval.h"

#include <math.h>

/* However often a process allocates, some of its time is its own: below it the price is wrong. */
#define LEAST_OWN 0.05
#define ONE_WINDOW 10 /* times what it had may be more */
#define PRICE_WINDOWS 4 /* before they tell a price */
#define LEAST_PRICE_DEVIATION 0.05 /* a window with frees differs by more than their probes */

/* ---- Sums ------------------------------------------------------------------------------------ */

static void add_products(struct heap_window_products *products, const struct heap_window_reading *reading,
			 double value, double rate)
{
	double above = value - rate * reading->cpu;
	if (above > products->most - rate * products->most_cpu) {
		products->most = value;
		products->most_cpu = reading->cpu;
		products->most_cost = reading->cost;
	}
	products->sum += value;
	products->squares += value * value;
	products->with_cpu += value * reading->cpu;
	products->with_cost += value * reading->cost;
}

static void add_reading(struct heap_window_sums *sums, const struct heap_window_reading *reading)
{
	sums->windows++;
	sums->cpu += reading->cpu;
	sums->cost += reading->cost;
	sums->wall += reading->wall;
	sums->cpu_squares += reading->cpu * reading->cpu;
	sums->cost_squares += reading->cost * reading->cost;
	sums->cpu_cost += reading->cpu * reading->cost;
	double cpu = fmax(sums->cpu, 1);
	add_products(&sums->objects, reading, reading->objects, (sums->objects.sum + reading->objects) / cpu);
	add_products(&sums->bytes, reading, reading->bytes, (sums->bytes.sum + reading->bytes) / cpu);
}

void heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading, bool with_frees)
{
	add_reading(&phase->all, reading);
	if (with_frees)
		add_reading(&phase->with_frees, reading);
}

static double progress_of(double cpu, double cost)
{
	return fmax(cpu - cost, LEAST_OWN * cpu);
}

/* How much more the window with most had than it would have at a rate. */
static double most_above(const struct heap_window_products *products, double price, double rate)
{
	return fmax(products->most - rate * progress_of(products->most_cpu, price * products->most_cost), 0);
}

/* Progress in all windows, where probes cost so many times their price. */
static double progress_in(const struct heap_window_sums *sums, double price)
{
	return progress_of(sums->cpu, price * sums->cost);
}

static double progress_squares(const struct heap_window_sums *sums, double price)
{
	return sums->cpu_squares - 2 * price * sums->cpu_cost + price * price * sums->cost_squares;
}

/* Sum of the squares by which windows differ from a rate. */
static double rest_of(const struct heap_window_sums *sums, const struct heap_window_products *products, double price,
		      double rate)
{
	double with_progress = products->with_cpu - price * products->with_cost;
	return fmax(products->squares - 2 * rate * with_progress + rate * rate * progress_squares(sums, price), 0);
}

/* How far off a sum may be, with 95 %. */
struct spread {
	double below, above;
};

/* Of a sum of so many windows, with that variance: 1.96 standard deviations, more for few (Student's t by its expansion:
 * Abramowitz and Stegun, 26.7.5). Above, one event may have `unit` of it. */
static struct spread spread_of(double windows, double variance, double unit)
{
	double freedom = fmax(windows - 1, 1);
	double quantile = NORMAL_95 + 2.372 / freedom + 2.823 / (freedom * freedom) +
			  5.5 / (freedom * freedom * freedom);
	double half_square = NORMAL_95 * NORMAL_95 / 2, corrected = variance * (freedom + 1) / freedom;
	return (struct spread){.below = quantile * sqrt(corrected),
			       .above = half_square * unit +
					quantile * sqrt(corrected + half_square / 2 * unit * unit)};
}

/* Windows that are longer than others make their number less. */
static double equal_windows(const struct heap_window_sums *sums, double price)
{
	double squares = progress_squares(sums, price), progress = progress_in(sums, price);
	return squares > 0 ? fmin(progress * progress / squares, (double)sums->windows) : (double)sums->windows;
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

static void subtract_products(struct heap_window_products *from, const struct heap_window_products *what)
{
	from->sum -= what->sum;
	from->squares -= what->squares;
	from->with_cpu -= what->with_cpu;
	from->with_cost -= what->with_cost;
}

static struct heap_window_sums without_frees(const struct heap_phase *phase)
{
	struct heap_window_sums sums = phase->all;
	const struct heap_window_sums *less = &phase->with_frees;
	sums.windows -= less->windows;
	sums.cpu -= less->cpu;
	sums.cost -= less->cost;
	sums.wall -= less->wall;
	sums.cpu_squares -= less->cpu_squares;
	sums.cost_squares -= less->cost_squares;
	sums.cpu_cost -= less->cpu_cost;
	subtract_products(&sums.objects, &less->objects);
	subtract_products(&sums.bytes, &less->bytes);
	return sums;
}

struct heap_price_factor heap_phase_price(const struct heap_phase *phase)
{
	struct heap_price_factor known = {HEAP_PRICE_FACTOR, HEAP_PRICE_FACTOR_DEVIATION};
	struct heap_window_sums plain = without_frees(phase);
	const struct heap_window_sums *more = &phase->with_frees;
	if (plain.windows < PRICE_WINDOWS || more->windows < 1 || plain.objects.sum <= 0 || more->objects.sum <= 0)
		return known;
	struct time_needed a = time_needed(&plain), b = time_needed(more);
	double difference = b.price - a.price;
	if (difference <= 0)
		return known;
	/* Of few windows the variance is known badly. */
	double variance = fmax(a.variance, b.variance) * (1 + 4.0 / (double)(plain.windows - 1));
	double error = (a.time * a.time / (double)plain.windows + b.time * b.time / (double)more->windows) * variance /
		       (difference * difference) + LEAST_PRICE_DEVIATION * LEAST_PRICE_DEVIATION;
	double before = 1 / (known.deviation * known.deviation), seen = 1 / error;
	double factor = (before * known.factor + seen * (b.time - a.time) / difference) / (before + seen);
	return (struct heap_price_factor){fmax(factor, 0), 1 / sqrt(before + seen)};
}

/* ---- Scale ----------------------------------------------------------------------------------- */

/* How many times what was seen all of it may be, at least and at most, without what windows differ by. */
struct factors {
	double low, middle, high;
};

static double factor_at(const struct heap_phase_state *state, double price)
{
	double progress = progress_in(&state->phase.all, price);
	return progress > 0 ? fmax(progress_of(state->cpu, price * state->cost) / progress, 1) : 0;
}

static struct factors factors_of(const struct heap_phase_state *state, const struct heap_price_factor *price)
{
	const struct heap_window_sums *all = &state->phase.all;
	double by_wall = state->wall / all->wall, whole = progress_of(state->cpu, price->factor * state->cost);
	double least = fmax(price->factor - NORMAL_95 * price->deviation, 0);
	double most = price->factor + NORMAL_95 * price->deviation;
	/* Below the least share of its own the price says nothing, and all of it may be wrong. */
	double least_progress = fmax(all->cpu - most * all->cost, LEAST_OWN / 10 * all->cpu);
	return (struct factors){.low = fmin(factor_at(state, least), by_wall),
				.middle = factor_at(state, price->factor),
				.high = fmax(whole / least_progress, by_wall)};
}

static void bound(const struct heap_window_sums *all, const struct heap_window_products *products, double price,
		  const struct factors *factors, double *ret_low, double *ret_high)
{
	double sum = products->sum, rate = sum / progress_in(all, price);
	struct spread spread = spread_of(equal_windows(all, price), rest_of(all, products, price, rate),
					 most_above(products, price, rate));
	if (all->windows < 2)
		spread = (struct spread){sum, ONE_WINDOW * sum};
	*ret_low = fmax(factors->low * (sum - spread.below), sum);
	*ret_high = factors->high * (sum + spread.above);
}

static struct heap_phase_scale scale_of(const struct heap_phase_state *state, const struct heap_price_factor *price)
{
	struct heap_phase_scale scale = {0};
	const struct heap_window_sums *all = &state->phase.all;
	if (all->cpu <= 0 || all->wall <= 0)
		return scale;
	struct factors factors = factors_of(state, price);
	double frees = progress_in(&state->phase.with_frees, price->factor);
	scale.factor = factors.middle;
	scale.with_frees_factor = frees > 0 ? scale.factor * progress_in(all, price->factor) / frees : 0;
	bound(all, &all->objects, price->factor, &factors, &scale.objects_low, &scale.objects_high);
	bound(all, &all->bytes, price->factor, &factors, &scale.bytes_low, &scale.bytes_high);
	return scale;
}

struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall)
{
	struct heap_phase_state state = {*phase, cpu, cost, wall};
	struct heap_price_factor price = heap_phase_price(phase);
	return scale_of(&state, &price);
}

/* The same phase earlier and later, and the price that was and is believed. */
struct between {
	const struct heap_phase_state *then, *now;
	double price_then, price_now;
};

/* Between which the difference is; *ret_low, *ret_high as they were of the whole phase. */
static void narrow(const struct between *b, const struct heap_window_products *before,
		   const struct heap_window_products *after, double *ret_low, double *ret_high)
{
	const struct heap_window_sums *then = &b->then->phase.all, *now = &b->now->phase.all;
	double factor = factor_at(b->now, b->price_now), estimate = factor * after->sum;
	if (estimate <= 0)
		return;
	double difference = fmax(estimate - factor_at(b->then, b->price_then) * before->sum, 0);
	double rate = after->sum / progress_in(now, b->price_now);
	double all = rest_of(now, after, b->price_now, rate), old = rest_of(then, before, b->price_now, rate);
	/* A few new windows that are alike do not say that all are. */
	double usual = all * (double)(now->windows - then->windows) / (double)now->windows;
	/* Bursts are in the rate's own interval. */
	struct spread spread = spread_of(equal_windows(now, b->price_now), factor * factor * fmax(all - old, usual), 0);
	/* What another price makes of all that was told. */
	double change = fabs(factor_at(b->then, b->price_now) - factor_at(b->then, b->price_then)) * before->sum;
	/* The rate of all windows, and the price, make all of it more or less. */
	double low = fmin(*ret_low / estimate, 1), high = fmax(*ret_high / estimate, 1);
	*ret_low = fmax(low * difference - spread.below - change, fmax(after->sum - before->sum, 0));
	*ret_high = fmax(high * difference + spread.above + change, *ret_low);
}

struct heap_phase_scale heap_phase_scale_between(const struct heap_phase_state *then,
						 const struct heap_phase_state *now)
{
	const struct heap_window_sums *p = &then->phase.all, *q = &now->phase.all;
	struct heap_price_factor price = heap_phase_price(&now->phase);
	struct heap_phase_scale scale = scale_of(now, &price);
	if (p->windows == 0 || scale.factor <= 0)
		return scale;
	struct between between = {then, now, heap_phase_price(&then->phase).factor, price.factor};
	narrow(&between, &p->objects, &q->objects, &scale.objects_low, &scale.objects_high);
	narrow(&between, &p->bytes, &q->bytes, &scale.bytes_low, &scale.bytes_high);
	return scale;
}
