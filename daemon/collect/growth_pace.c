/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/growth_pace.h"

#include "base/array.h"
#include "base/clock.h"

#define DENSE_RUNS 250 /* in a second */
#define SPARSE_RUNS 100
#define LARGEST_SPARSE_PERIOD 61 /* a longer one would make the bytes in large pages too inexact */
#define DENSE_LIMIT 4
#define SPARSE_LIMIT 1

/* What a run and what a sample takes, as measured: the kernel's own account of it costs a tenth as much again. */
#define RUN_NS 2000
#define SAMPLE_NS 8000
#define EARNED_IN_SECOND_NS 300000
#define ALLOWANCE_NS (7 * NS_PER_MS) /* beyond that: fourteen seconds with all these runs and samples */

/* Primes, so that a program which touches memory in turns of a few pages does not keep in step. */
static const uint64_t periods[] = {1, 3, 7, 13, 29, 61, 127, 251, 509, 1021};

uint64_t growth_period_for(uint64_t period, uint64_t faults_per_second, uint64_t runs_per_second)
{
	uint64_t wanted = faults_per_second / runs_per_second, least = MAX_OF(period / 8, 1UL);
	/* Not changed for little: each change passes over what was on the way. */
	if (wanted <= period + period / 2 && wanted >= period / 2)
		return period;
	wanted = MAX_OF(wanted, wanted < period ? least : 1UL);
	for (size_t i = 0; i < ARRAY_LENGTH(periods); i++)
		if (periods[i] >= wanted)
			return periods[i];
	return periods[ARRAY_LENGTH(periods) - 1];
}

/* Dense again when half is earned back: each change of the period passes over some faults. */
static void spend(struct growth_pace *pace, uint64_t work_ns, uint64_t earned_ns)
{
	uint64_t spent = pace->spent + work_ns;
	pace->spent = MIN_OF(spent > earned_ns ? spent - earned_ns : 0, (uint64_t)ALLOWANCE_NS);
	if (pace->spent == ALLOWANCE_NS)
		pace->is_sparse = true;
	else if (pace->spent <= ALLOWANCE_NS / 2)
		pace->is_sparse = false;
}

/* A burst that met a short period, before anybody could raise it, is not charged whole: it is when density is needed. */
static uint64_t charged_runs(const struct growth_pace *pace, uint64_t faults, uint64_t elapsed_ns)
{
	return MIN_OF(faults / pace->period, elapsed_ns * DENSE_RUNS * 3 / 2 / (uint64_t)NS_PER_SECOND);
}

bool growth_pace_update(struct growth_pace *pace, uint64_t faults, uint64_t samples, uint64_t elapsed_ns)
{
	struct growth_pace before = *pace;
	spend(pace, charged_runs(pace, faults, elapsed_ns) * RUN_NS + samples * SAMPLE_NS,
	      elapsed_ns * EARNED_IN_SECOND_NS / (uint64_t)NS_PER_SECOND);
	uint64_t rate = faults * (uint64_t)NS_PER_SECOND / elapsed_ns;
	uint64_t dense = growth_period_for(pace->period, rate, DENSE_RUNS);
	uint64_t sparse = growth_period_for(pace->period, rate, SPARSE_RUNS);
	pace->period = pace->is_sparse && sparse <= LARGEST_SPARSE_PERIOD ? sparse : dense;
	return pace->period != before.period || pace->is_sparse != before.is_sparse;
}

uint32_t growth_pace_limit(const struct growth_pace *pace)
{
	return pace->is_sparse ? SPARSE_LIMIT : DENSE_LIMIT;
}
