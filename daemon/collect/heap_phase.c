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
