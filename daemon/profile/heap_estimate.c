/* SPDX-License-Identifier: Apache-2.0 */
#include "profile/heap_estimate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#define SHARE_ERROR_WANTED 0.02
#define QUANTILE_95 1.96 /* of the normal distribution, both sides */

bool heap_is_exact(const struct heap_totals *totals)
{
	return totals->first_interval == HEAP_EXACT_INTERVAL && totals->raised == 0;
}

struct sums {
	double objects, object_variance, bytes, byte_variance;
	double held_objects, held_object_variance, held_bytes, held_byte_variance;
};

bool heap_was_windowed(const struct heap_totals *totals)
{
	return totals->windows > 0;
}

static struct sums sum_up(const struct heap_totals *totals)
{
	struct sums sums = {0};
	for (size_t i = 0; i < totals->list.count; i++) {
		const struct heap_total *total = &totals->list.items[i];
		sums.objects += total->objects;
		sums.object_variance += total->object_variance;
		sums.bytes += total->bytes;
		sums.byte_variance += total->byte_variance;
		sums.held_objects += total->held_objects;
		sums.held_object_variance += total->held_object_variance;
		sums.held_bytes += total->held_bytes;
		sums.held_byte_variance += total->held_byte_variance;
	}
	return sums;
}

/* Moves a place's value by its share of the whole difference. */
static void adjust(double *value, double *variance, double difference, double whole_variance)
{
	double share = whole_variance > 0 ? *variance / whole_variance : 0;
	*value = fmax(*value + share * difference, 0);
	*variance *= 1 - share;
}

void heap_calibrate(struct heap_totals *totals, double objects, double bytes)
{
	struct sums sums = sum_up(totals);
	for (size_t i = 0; i < totals->list.count; i++) {
		struct heap_total *total = &totals->list.items[i];
		adjust(&total->objects, &total->object_variance, objects - sums.objects,
		       sums.object_variance);
		adjust(&total->bytes, &total->byte_variance, bytes - sums.bytes, sums.byte_variance);
	}
}

double heap_error_95(double variance, double unit)
{
	double half_square = QUANTILE_95 * QUANTILE_95 / 2;
	return half_square * unit + QUANTILE_95 * sqrt(variance + half_square / 2 * unit * unit);
}

static void add(struct profile *profile, bool *failed, const char *name, double value)
{
	char text[128];
	snprintf(text, sizeof(text), "%s=%.0f", name, value);
	if (array_add(&profile->comments, profile_string(profile, text, failed)) < 0)
		*failed = true;
}

static void add_errors(const struct heap_totals *totals, const struct heap_variances *told, struct profile *profile,
		       bool *failed)
{
	struct sums sums = sum_up(totals);
	double interval = (double)totals->interval;
	/* How many objects one sample stands for, in the mean of those that are held. */
	double objects = sums.held_bytes > 0 ? interval * sums.held_objects / sums.held_bytes : 0;
	add(profile, failed, "inuse_objects_error_95", heap_error_95(told->held_objects, objects));
	add(profile, failed, "inuse_space_error_95_bytes", heap_error_95(told->held_bytes, interval));
}

/* As processes were left out by chance. */
static void add_chance_errors(const struct heap_variances *told, struct profile *profile, bool *failed)
{
	add(profile, failed, "alloc_objects_error_95", QUANTILE_95 * sqrt(told->objects));
	add(profile, failed, "alloc_space_error_95_bytes", QUANTILE_95 * sqrt(told->bytes));
}

/* An interval around a sum, wider by an error that does not depend on its own. */
struct bounds {
	double low, high;
};

static struct bounds widen(double sum, struct bounds bounds, double error)
{
	double middle = fmin(fmax(sum, bounds.low), bounds.high);
	return (struct bounds){fmax(middle - hypot(middle - bounds.low, error), 0),
			       middle + hypot(bounds.high - middle, error)};
}

static void add_window_bounds(const struct heap_totals *totals, const struct heap_told *told, struct profile *profile,
			      bool *failed)
{
	struct bounds objects = widen(told->objects, (struct bounds){totals->objects_low, totals->objects_high},
				      QUANTILE_95 * sqrt(told->variances.objects));
	struct bounds bytes = widen(told->bytes, (struct bounds){totals->bytes_low, totals->bytes_high},
				    QUANTILE_95 * sqrt(told->variances.bytes));
	add(profile, failed, "windows_objects_low_95", objects.low);
	add(profile, failed, "windows_objects_high_95", objects.high);
	add(profile, failed, "windows_space_low_95_bytes", bytes.low);
	add(profile, failed, "windows_space_high_95_bytes", bytes.high);
}

/* The error goes down with the square root of the time. */
static void add_share_error(const struct heap_totals *totals, struct profile *profile, bool *failed)
{
	double wanted = totals->share_error / SHARE_ERROR_WANTED;
	if (totals->share_seconds <= 0)
		return;
	add(profile, failed, "windows_share_error_95_ppm", totals->share_error * 1e6);
	add(profile, failed, "windows_share_seconds_wanted", ceil(totals->share_seconds * wanted * wanted));
}

int heap_add_comments(const struct heap_totals *totals, const struct heap_told *told,
		      const struct heap_windows_statistics *windows, struct profile *profile)
{
	bool failed = false;
	bool is_exact = heap_is_exact(totals) && !told->is_weighed;
	const char *method = heap_was_windowed(totals) ? "heap_method=windows"
			     : is_exact		       ? "heap_method=exact"
						       : "heap_method=sampled";
	if (array_add(&profile->comments, profile_string(profile, method, &failed)) < 0)
		return -ENOMEM;
	add(profile, &failed, "heap_followed_objects", (double)totals->followed);
	if (!is_exact) {
		add(profile, &failed, "heap_interval_bytes", (double)totals->interval);
		add(profile, &failed, "heap_interval_raised", (double)totals->raised);
		add_errors(totals, &told->variances, profile, &failed);
	}
	if (told->is_weighed)
		add_chance_errors(&told->variances, profile, &failed);
	if (heap_was_windowed(totals))
		add(profile, &failed, "inuse_estimated_survived_bytes", totals->survived_bytes);
	if (heap_was_windowed(totals) && !told->in_all) {
		add_window_bounds(totals, told, profile, &failed);
		add_share_error(totals, profile, &failed);
	}
	add(profile, &failed, "heap_lost_places", (double)told->lost_places);
	add(profile, &failed, "heap_lost_bytes", (double)told->lost_bytes);
	add(profile, &failed, "heap_windows", (double)windows->windows);
	add(profile, &failed, "heap_window_period_ms", (double)windows->period_ns / 1e6);
	add(profile, &failed, "heap_windows_late", (double)windows->late);
	add(profile, &failed, "heap_windows_unopened", (double)windows->unopened);
	add(profile, &failed, "heap_survivors_lost", (double)windows->survivors_lost);
	add(profile, &failed, "heap_windows_unplaced", (double)windows->unplaced);
	add(profile, &failed, "heap_ticks_lost", (double)windows->ticks_lost);
	add(profile, &failed, "heap_promoted", (double)windows->promoted);
	add(profile, &failed, "heap_demoted", (double)windows->demoted);
	add(profile, &failed, "heap_cost_ns", windows->cost_ns);
	add(profile, &failed, "heap_cpu_ns", windows->cpu_ns);
	add(profile, &failed, "heap_unmet_cpu_ns", windows->unmet_ns);
	add(profile, &failed, "heap_own_cpu_ns", (double)windows->own_ns);
	return failed ? -ENOMEM : 0;
}
