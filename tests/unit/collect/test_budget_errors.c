/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What adapting is good for: the load of tests/bench/bench_adaptive.py and its figure, with the controller itself, over
 * so many seeds that the ratio is known to a hundredth or two, where one run of the bench scatters by a fifth.
 *
 * On each phase of the load the shares of the 20 largest functions are held against the truth: the sum of what they are
 * off, as a part of what they have in truth; of a recording, the mean over its phases. Beside the rate that the
 * controller chooses there is one fixed rate that has as many ticks on busy CPUs, so that both cost the same.
 *
 * What can be won. A phase with n samples is off by c / sqrt(n), so at one price a sample the mean over the phases is
 * least where all have as many samples, whatever they have of CPU time: the rate goes with 1 / busy CPUs. (A sum over all
 * time is best with one rate, by Cauchy and Schwarz: what adapting gives is that a calm profile is as good as a busy one.)
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect/budget.h"

#define CPUS 2
#define SHARE 0.005
#define HIGHEST_HZ 999
#define FUNCTIONS 32 /* the k-th has a share of 1 / (k + 1) */
#define TOP 20
#define CALM_BUSY 0.05 /* CPUs */
#define STEP_SECONDS ((double)BUDGET_STEP_NS / 1e9)
#define SAMPLE_NS 25e3 /* as measured on the bench's machine; a step's is off by up to a tenth */
#define OWN_NS 1e6     /* a second, whatever the rate; a step's is off by up to a half */
#define BURST_NS 3e6   /* one step in BURST_STEPS: names are looked up */
#define BURST_STEPS 20
#define START_NS 100e6
#define DEAR_START_NS 250e6 /* more than 18 seconds' worth of the budget */
#define MOST_STEPS 1000
#define MOST_PHASES 16
#define RUNS 300

struct load {
	const char *name;
	double storm, calm; /* seconds of a phase; calm 0: one storm after the other */
	int phases;
	double start_ns; /* of CPU time */
	double warm;	 /* seconds of this load before the first phase that counts */
};

struct host {
	uint64_t random;
	struct budget budget;
	struct budget_setting setting;
};

/* A step of a recording. */
struct course {
	double busy; /* CPUs */
	double rate, weight;
	int phase; /* -1: before the first */
};

static double roll(struct host *host)
{
	host->random = host->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(host->random >> 11) / 9007199254740992.0;
}

static double noise(struct host *host, double part)
{
	return 1 + part * (2 * roll(host) - 1);
}

static size_t steps_of(double seconds)
{
	return (size_t)(seconds / STEP_SECONDS + 0.5);
}

/* The busy CPUs of each step, and its phase. Returns how many steps. */
static size_t lay_out(const struct load *load, struct course *course)
{
	size_t count = 0, warm = steps_of(load->warm);
	int phase = -1;
	for (int i = 0; phase + 1 < load->phases; i++) {
		bool is_calm = i % 2 && load->calm > 0;
		size_t steps = steps_of(is_calm ? load->calm : load->storm);
		phase += count >= warm;
		assert_true(count + steps <= MOST_STEPS);
		for (size_t k = 0; k < steps; k++)
			course[count++] = (struct course){.busy = is_calm ? CALM_BUSY : CPUS, .phase = phase};
	}
	return count;
}

/* How many of a step's ticks met a busy CPU. */
static double busy_ticks(struct host *host, double busy, double rate)
{
	double ticks = busy * rate * STEP_SECONDS;
	if (busy >= CPUS)
		return floor(ticks) + (roll(host) < ticks - floor(ticks));
	double found = 0; /* on one CPU, which is busy in small pieces */
	for (double i = 0; i < rate * STEP_SECONDS; i++)
		found += roll(host) < busy;
	return found;
}

/* Rates and weights as the controller sets them. */
static void adapt(struct host *host, struct course *course, size_t count, double start_ns)
{
	for (size_t i = 0; i < count; i++) {
		struct course *step = &course[i];
		step->rate = host->setting.on ? host->setting.frequency : 0;
		step->weight = host->setting.weight;
		double ticks = busy_ticks(host, step->busy, step->rate);
		double tick = ticks * SAMPLE_NS * noise(host, 0.1);
		double own = OWN_NS * STEP_SECONDS * noise(host, 0.5) + (i ? 0 : start_ns) +
			     (i % BURST_STEPS == BURST_STEPS - 1 ? BURST_NS : 0);
		struct budget_reading reading = {.elapsed_ns = BUDGET_STEP_NS,
						 .cpus = CPUS,
						 .cost_ns = (uint64_t)(tick + own),
						 .tick_ns = (uint64_t)tick,
						 .ticks = (uint64_t)ticks};
		host->setting = budget_step(&host->budget, &reading);
	}
}

/* At the rate that has as many ticks on busy CPUs in the phases that count. */
static void fix(const struct course *adaptive, struct course *fixed, size_t count)
{
	double ticks = 0, busy = 0;
	for (size_t i = 0; i < count; i++)
		if (adaptive[i].phase >= 0) {
			ticks += adaptive[i].busy * adaptive[i].rate;
			busy += adaptive[i].busy;
		}
	for (size_t i = 0; i < count; i++) {
		fixed[i] = adaptive[i];
		fixed[i].rate = ticks / busy;
		fixed[i].weight = 1;
	}
}

static double share_of(int function)
{
	double sum = 0;
	for (int k = 0; k < FUNCTIONS; k++)
		sum += 1.0 / (k + 1);
	return 1.0 / (function + 1) / sum;
}

static int draw(struct host *host, const double *shares)
{
	double left = roll(host);
	int k = 0;
	while (k < FUNCTIONS - 1 && (left -= shares[k]) > 0)
		k++;
	return k;
}

static double phase_error(const double *seen, const double *shares)
{
	double sum = 0, off = 0, top = 0;
	for (int k = 0; k < FUNCTIONS; k++)
		sum += seen[k];
	for (int k = 0; k < TOP; k++) {
		off += fabs(seen[k] / (sum > 0 ? sum : 1) - shares[k]);
		top += shares[k];
	}
	return off / top;
}

/* Mean over the phases of what is sampled at these rates. */
static double sampled_error(struct host *host, const struct course *course, size_t count)
{
	double seen[MOST_PHASES][FUNCTIONS] = {{0}}, shares[FUNCTIONS], sum = 0;
	int phases = 0;
	for (int k = 0; k < FUNCTIONS; k++)
		shares[k] = share_of(k);
	for (size_t i = 0; i < count; i++) {
		if (course[i].phase < 0 || course[i].rate <= 0)
			continue;
		phases = course[i].phase + 1;
		double found = busy_ticks(host, course[i].busy, course[i].rate);
		for (double n = 0; n < found; n++)
			seen[course[i].phase][draw(host, shares)] += course[i].weight / course[i].rate;
	}
	for (int i = 0; i < phases; i++)
		sum += phase_error(seen[i], shares);
	return sum / phases;
}

/* Half of what 95 % of all ratios lie in. */
static double interval(double (*errors)[2], double ratio, double fixed)
{
	double spread = 0;
	for (int run = 0; run < RUNS; run++)
		spread += pow((errors[run][0] - ratio * errors[run][1]) / fixed, 2);
	return 1.96 * sqrt(spread / (RUNS - 1));
}

/* Returns the adaptive error over that of the fixed rate, both of all runs. */
static double compare(const struct load *load)
{
	static struct course adaptive[MOST_STEPS], fixed[MOST_STEPS];
	double errors[RUNS][2], sums[2] = {0};
	size_t count = lay_out(load, adaptive);
	for (int run = 0; run < RUNS; run++) {
		struct host host = {.random = (uint64_t)run * 7919 + 5};
		struct budget_options options = {.share = SHARE, .highest_hz = HIGHEST_HZ, .seed = (uint64_t)run};
		budget_init(&host.budget, &options);
		host.setting = host.budget.setting;
		adapt(&host, adaptive, count, load->start_ns);
		fix(adaptive, fixed, count);
		sums[0] += errors[run][0] = sampled_error(&host, adaptive, count);
		sums[1] += errors[run][1] = sampled_error(&host, fixed, count);
	}
	double ratio = sums[0] / sums[1], one = interval(errors, ratio, sums[1] / RUNS);
	print_message("%s: error %.3f adaptive, %.3f fixed, ratio %.3f +- %.3f (95 %%), of one run +- %.2f\n", load->name,
		      sums[0] / RUNS, sums[1] / RUNS, ratio, one / sqrt(RUNS), one);
	return ratio;
}

static void as_good_on_a_steady_load(void **state)
{
	static const struct load from_start = {"steady", 20, 0, 2, START_NS, 0};
	static const struct load dear = {"steady, dear start", 20, 0, 2, DEAR_START_NS, 0};
	static const struct load later = {"steady, a minute later", 20, 0, 2, START_NS, 60};
	assert_true(compare(&from_start) < 1.04);
	assert_true(compare(&dear) < 1.06);
	assert_true(compare(&later) < 1.03);
}

static void better_on_a_changing_load(void **state)
{
	static const struct load short_phases = {"storms of 3 s", 3, 9, 4, START_NS, 0};
	static const struct load from_start = {"storms of 5 s", 5, 15, 4, START_NS, 0};
	static const struct load dear = {"storms of 5 s, dear start", 5, 15, 4, DEAR_START_NS, 0};
	static const struct load later = {"storms of 5 s, a minute later", 5, 15, 4, START_NS, 60};
	static const struct load minutes = {"storms of a minute, a minute later", 60, 60, 4, START_NS, 60};
	assert_true(compare(&short_phases) < 0.88);
	assert_true(compare(&from_start) < 0.83);
	assert_true(compare(&dear) < 0.83);
	assert_true(compare(&later) < 0.85);
	assert_true(compare(&minutes) < 0.7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_good_on_a_steady_load),
		cmocka_unit_test(better_on_a_changing_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
