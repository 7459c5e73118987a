/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What adapting is good for: the relative error of the 20 largest functions of each profile, with the rate that the
 * budget controller chooses beside one fixed rate that costs the same in all. (The sum over all time is best with one
 * rate, by Cauchy and Schwarz: what adapting gives is that a calm profile is as good as a busy one.)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect/budget.h"

#define CPUS 4
#define FUNCTIONS 20
#define REST 0.3 /* of the time, in other functions */
#define SAMPLE_NS 60e3
#define FIXED_NS 1e6 /* a second, whatever the rate */
#define STEP_SECONDS ((double)BUDGET_STEP_NS / 1e9)
#define INTERVAL_STEPS 20 /* of a profile */
#define WARM_STEPS (2 * BUDGET_WINDOW)
#define STEPS (40 * BUDGET_WINDOW)
#define RUNS 4

/* CPUs that are busy at a step. */
typedef double (*load_function)(size_t step);

static double steady(size_t step)
{
	return 3;
}

/* A minute of nearly nothing, a minute of all CPUs. */
static double changing(size_t step)
{
	return step / BUDGET_WINDOW % 2 ? 4 : 0.15;
}

/* Of the work of this host at least: a Zipf distribution. */
static double share_of(int function)
{
	double sum = 0;
	for (int i = 0; i < FUNCTIONS; i++)
		sum += 1.0 / (i + 1);
	return (1 - REST) / (function + 1) / sum;
}

struct sampler {
	uint64_t random;
	double seen[FUNCTIONS], busy; /* in this interval, CPU seconds */
	double error_sum;
	size_t intervals;
};

static double roll(struct sampler *sampler)
{
	sampler->random = sampler->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(sampler->random >> 11) / 9007199254740992.0;
}

static void take_sample(struct sampler *sampler, double seconds)
{
	double at = roll(sampler);
	for (int i = 0; i < FUNCTIONS; i++) {
		at -= share_of(i);
		if (at < 0) {
			sampler->seen[i] += seconds;
			return;
		}
	}
}

static void end_interval(struct sampler *sampler)
{
	double sum = 0;
	for (int i = 0; i < FUNCTIONS; i++) {
		double truth = share_of(i) * sampler->busy;
		sum += fabs(sampler->seen[i] - truth) / truth;
		sampler->seen[i] = 0;
	}
	sampler->error_sum += sum / FUNCTIONS;
	sampler->intervals++;
	sampler->busy = 0;
}

/* Returns how many samples there were: the ticks that fall into the busy time. */
static double sample_step(struct sampler *sampler, size_t step, double busy, double rate, double weight)
{
	double ticks = busy * STEP_SECONDS * rate;
	double whole = floor(ticks) + (roll(sampler) < ticks - floor(ticks));
	for (double i = 0; i < whole; i++)
		take_sample(sampler, weight / rate);
	sampler->busy += busy * STEP_SECONDS;
	if ((step + 1) % INTERVAL_STEPS == 0)
		end_interval(sampler);
	return whole;
}

struct comparison {
	double adaptive, fixed; /* mean relative errors */
	double samples_ratio;	/* that they took */
};

static double run_adaptive(load_function load, struct sampler *sampler, double *ret_busy)
{
	struct budget budget;
	struct budget_options options = {.share = 0.005, .highest_hz = 999, .seed = sampler->random};
	struct budget_setting setting;
	double samples = 0;
	budget_init(&budget, &options);
	setting = budget.setting;
	for (size_t step = 0; step < WARM_STEPS + STEPS; step++) {
		double busy = load(step), rate = setting.on ? setting.frequency : 0;
		double tick = busy * rate * SAMPLE_NS * STEP_SECONDS;
		struct budget_reading reading = {.elapsed_ns = BUDGET_STEP_NS,
						 .cpus = CPUS,
						 .cost_ns = (uint64_t)(tick + FIXED_NS * STEP_SECONDS),
						 .tick_ns = (uint64_t)tick,
						 .ticks = (uint64_t)(busy * rate * STEP_SECONDS)};
		if (step >= WARM_STEPS) {
			samples += rate > 0 ? sample_step(sampler, step, busy, rate, setting.weight) : 0;
			*ret_busy += busy * STEP_SECONDS;
		}
		setting = budget_step(&budget, &reading);
	}
	return samples;
}

static struct comparison compare(load_function load)
{
	struct sampler adaptive = {.random = 5}, fixed = {.random = 11};
	double adaptive_samples = 0, fixed_samples = 0;
	for (int run = 0; run < RUNS; run++) {
		double busy = 0, samples = run_adaptive(load, &adaptive, &busy);
		adaptive_samples += samples;
		for (size_t step = WARM_STEPS; step < WARM_STEPS + STEPS; step++)
			fixed_samples += sample_step(&fixed, step, load(step), samples / busy, 1);
	}
	return (struct comparison){.adaptive = adaptive.error_sum / (double)adaptive.intervals,
				   .fixed = fixed.error_sum / (double)fixed.intervals,
				   .samples_ratio = adaptive_samples / fixed_samples};
}

static void as_good_on_a_steady_load(void **state)
{
	struct comparison c = compare(steady);
	print_message("steady: error %.4f adaptive, %.4f fixed, samples %.3f\n", c.adaptive, c.fixed, c.samples_ratio);
	assert_true(fabs(c.samples_ratio - 1) < 0.01);
	assert_true(c.adaptive < 1.02 * c.fixed);
}

static void better_on_a_changing_load(void **state)
{
	struct comparison c = compare(changing);
	print_message("changing: error %.4f adaptive, %.4f fixed, samples %.3f\n", c.adaptive, c.fixed, c.samples_ratio);
	assert_true(fabs(c.samples_ratio - 1) < 0.01);
	assert_true(c.adaptive < 0.9 * c.fixed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_good_on_a_steady_load),
		cmocka_unit_test(better_on_a_changing_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
