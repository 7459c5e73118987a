/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How near a sampled heap profile is to the truth: what was sampled is made to agree with what was counted, and how
 * far off each sum may be is said in the profile.
 *
 * Counted is every allocation, of sampled ones the place is known. The difference between the counted sum and that of
 * the samples is spread over the places by the variance of each (the regression estimator of sampling theory): the
 * places then add up to what was counted, no place becomes less exact, and one that is known exactly stays as it is.
 */
#pragma once

#include "collect/heap_table.h"
#include "collect/heap_windows.h"
#include "profile/heap_places.h"
#include "profile/profile.h"

/* Is every allocation in it? */
bool heap_is_exact(const struct heap_totals *totals);

/* Was some of it seen in windows only? Then there is inuse_estimated_space. */
bool heap_was_windowed(const struct heap_totals *totals);

/* `objects` and `bytes` were counted. */
void heap_calibrate(struct heap_totals *totals, double objects, double bytes);

/*
 * By how much a sum may be off, exceeded once in twenty times: half the interval of a normal distribution of that
 * variance, widened for few samples as the score interval of a Poisson distribution is. `unit` is what one sample of
 * the smallest objects stands for: the interval, of bytes.
 */
double heap_error_95(double variance, double unit);

/* As comments "name=value": the method, the interval, the errors, what the probes cost. Returns 0 or -ENOMEM. */
int heap_add_comments(const struct heap_totals *totals, const struct heap_told *told,
		      const struct heap_windows_statistics *windows, struct profile *profile);
