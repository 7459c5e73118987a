/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/heap_phase.h"

#include <math.h>

/* However often a process allocates, some of its time is its own: below it the price is wrong. */
#define LEAST_OWN 0.05

static double progress_of(double cpu, double cost)
{
	return fmax(cpu - cost, LEAST_OWN * cpu);
}

void heap_phase_add(struct heap_phase *phase, const struct heap_window_reading *reading)
{
	double progress = progress_of(reading->cpu, reading->cost);
	phase->windows++;
	phase->progress += progress;
	phase->cpu += reading->cpu;
	phase->wall += reading->wall;
	phase->cost += fmin(reading->cost, reading->cpu);
	phase->squares += progress * progress;
	phase->objects += reading->objects;
	phase->object_squares += reading->objects * reading->objects;
	phase->object_products += reading->objects * progress;
	phase->bytes += reading->bytes;
	phase->byte_squares += reading->bytes * reading->bytes;
	phase->byte_products += reading->bytes * progress;
}

/* Relative variance of sum(x) / sum(u) by what lies between the windows. */
static double ratio_variance(const struct heap_phase *phase, double sum, double squares, double products)
{
	if (phase->windows < 2 || sum <= 0)
		return 1;
	double r = sum / phase->progress;
	double rest = squares - 2 * r * products + r * r * phase->squares;
	double correction = (double)phase->windows / (double)(phase->windows - 1);
	return fmax(rest, 0) * correction / (sum * sum);
}

/* Half the interval in which 95 % lie: 1.96 standard deviations, more for few windows (Student's t, nearly). */
static double spread(const struct heap_phase *phase, double variance)
{
	double quantile = phase->windows > 1 ? 1.96 + 3.0 / (double)(phase->windows - 1) : 5;
	return quantile * sqrt(variance);
}

struct heap_phase_scale heap_phase_scale(const struct heap_phase *phase, double cpu, double cost, double wall)
{
	struct heap_phase_scale scale = {0};
	if (phase->progress <= 0 || phase->wall <= 0)
		return scale;
	double whole = progress_of(cpu, cost), by_wall = wall / phase->wall;
	double unsure = HEAP_PRICE_UNSURE * phase->cost;
	double least = fmax(phase->cpu - phase->cost - unsure, LEAST_OWN / 10 * phase->cpu);
	double low = fmin(whole / (phase->progress + unsure), by_wall), high = fmax(whole / least, by_wall);
	double objects = spread(phase, ratio_variance(phase, phase->objects, phase->object_squares,
						      phase->object_products));
	double bytes = spread(phase, ratio_variance(phase, phase->bytes, phase->byte_squares,
						    phase->byte_products));
	scale.factor = fmax(whole / phase->progress, 1);
	scale.objects_low = fmax(low * phase->objects * (1 - objects), phase->objects);
	scale.objects_high = high * phase->objects * (1 + objects);
	scale.bytes_low = fmax(low * phase->bytes * (1 - bytes), phase->bytes);
	scale.bytes_high = high * phase->bytes * (1 + bytes);
	return scale;
}

/* Of one sum (objects, bytes) over the windows of a phase. */
struct phase_sum {
	double sum, squares, products;
};

/* All that the process did over what it did in windows. */
static double factor_of(const struct heap_phase_state *state)
{
	double progress = state->phase.progress;
	return progress > 0 ? fmax(progress_of(state->cpu, state->cost) / progress, 1) : 0;
}

/* Sum of the squares by which windows differ from a rate. */
static double rest_of(const struct phase_sum *sum, double progress_squares, double rate)
{
	return fmax(sum->squares - 2 * rate * sum->products + rate * rate * progress_squares, 0);
}

/* Between which the difference is; *ret_low, *ret_high as they were of the whole phase. */
static void narrow(const struct heap_phase_state *then, const struct heap_phase_state *now,
		   const struct phase_sum *before, const struct phase_sum *after, double *ret_low, double *ret_high)
{
	double factor = factor_of(now), estimate = factor * after->sum;
	if (estimate <= 0)
		return;
	double difference = fmax(estimate - factor_of(then) * before->sum, 0);
	double rate = after->sum / now->phase.progress;
	double all = rest_of(after, now->phase.squares, rate), old = rest_of(before, then->phase.squares, rate);
	/* A few new windows that are alike do not say that all are. */
	double usual = all * (double)(now->phase.windows - then->phase.windows) / (double)now->phase.windows;
	double half = spread(&now->phase, factor * factor * fmax(all - old, usual));
	/* The rate of all windows, and the price, make all of it more or less. */
	double low = fmin(*ret_low / estimate, 1), high = fmax(*ret_high / estimate, 1);
	*ret_low = fmax(low * difference - half, fmax(after->sum - before->sum, 0));
	*ret_high = fmax(high * difference + half, *ret_low);
}

struct heap_phase_scale heap_phase_scale_between(const struct heap_phase_state *then,
						 const struct heap_phase_state *now)
{
	const struct heap_phase *p = &then->phase, *q = &now->phase;
	struct heap_phase_scale scale = heap_phase_scale(q, now->cpu, now->cost, now->wall);
	if (p->windows == 0 || scale.factor <= 0)
		return scale;
	struct phase_sum objects[] = {{p->objects, p->object_squares, p->object_products},
				      {q->objects, q->object_squares, q->object_products}};
	struct phase_sum bytes[] = {{p->bytes, p->byte_squares, p->byte_products},
				    {q->bytes, q->byte_squares, q->byte_products}};
	narrow(then, now, &objects[0], &objects[1], &scale.objects_low, &scale.objects_high);
	narrow(then, now, &bytes[0], &bytes[1], &scale.bytes_low, &scale.bytes_high);
	return scale;
}
