/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far off a place's share of the bytes may be, where windows of time tell it: arithmetic alone.
 *
 * Window i saw y_i bytes of the place and Y_i in all (each window with its weight). The share is s = sum(y) / sum(Y), with
 * the variance n / (n - 1) sum((y_i - s Y_i)^2) / sum(Y)^2 (Cochran, Sampling Techniques, 6.4). That windows differ holds
 * all there is: how few allocations one sees, that those of one moment belong together, that not each is sampled.
 * It goes down with the square root of the number of windows.
 */
#pragma once

#include "base/attributes.h"

/* Of one place. */
struct heap_share {
	double bytes, squares, with_all; /* sums of y, y^2, y Y */
};

/* Of all places together. */
struct heap_share_sums {
	uint64_t opened;  /* windows */
	uint64_t windows; /* in which something was seen */
	double all, squares; /* sums of Y, Y^2 */
};

/* A window saw so many bytes of the place, and so many in all. */
void heap_share_add(struct heap_share *share, double bytes, double all);
void heap_share_sums_add(struct heap_share_sums *sums, double all);

/* Exceeded once in twenty times, as a part of 1; of less than two windows 1: nothing is known. */
double heap_share_error_95(const struct heap_share *share, const struct heap_share_sums *sums);
