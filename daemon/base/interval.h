/* SPDX-License-Identifier: Apache-2.0 */
/* How sure a share is that was counted. */
#pragma once

#include "base/attributes.h"

#include <math.h>

#define NORMAL_95 1.96 /* quantile of the normal distribution for a 95 % interval */

/* The same of Student's t with so many degrees of freedom (1 or more), by its expansion: Abramowitz and Stegun, 26.7.5. */
static inline double student_95(double freedom)
{
	return NORMAL_95 + 2.372 / freedom + 2.823 / (freedom * freedom) + 5.5 / (freedom * freedom * freedom);
}

/* Lower end of the 95 % interval of a share of which `hits` of `looks` (above 0) were seen, 0 to 1: Wilson's score
 * interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927). More hits than looks are all. */
static inline double share_at_least(double hits, double looks)
{
	double share = fmin(hits / looks, 1), square = NORMAL_95 * NORMAL_95;
	double spread = NORMAL_95 * sqrt(share * (1 - share) / looks + square / (4 * looks * looks));
	return fmax(share + square / (2 * looks) - spread, 0) / (1 + square / looks);
}
