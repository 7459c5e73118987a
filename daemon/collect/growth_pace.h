/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How densely the page faults of a CPU are looked at. Densely at first and in a burst, so that a short recording is as
 * exact as it can be; in the long run, where looks are many by themselves, so that they cost no more than
 * three ten thousandths of the CPU's time. What they cost is an allowance that is spent and earned back.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Of one CPU. All zero but for the period, which is 1, it begins with its whole allowance. */
struct growth_pace {
	uint64_t period; /* faults between two runs of the program */
	uint64_t spent;	 /* of the allowance, ns */
	bool is_sparse;	 /* it is used up */
};

/* What the CPU did since the last call. Returns whether period or is_sparse changed. */
bool growth_pace_update(struct growth_pace *pace, uint64_t faults, uint64_t samples, uint64_t elapsed_ns);

/* Samples of small pages that the program may take on such a CPU in a tenth of a second. */
uint32_t growth_pace_limit(const struct growth_pace *pace);

/* The period with which a rate of faults makes about so many runs, given the present one: raised at once, lowered in
 * steps. */
uint64_t growth_period_for(uint64_t period, uint64_t faults_per_second, uint64_t runs_per_second);
