/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies over made-up loads, with seeds that are written down: the same numbers on every machine. Bounds
 * are of 99.99 %, 3.89 standard deviations of the mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "profile/strategy.h"

#include <math.h>
#include <string.h>

#define BOUND 3.89
#define RUNS 20
#define WEIGHT 10000000 /* ns, of every sample offered */
#define FUNCTIONS 3

/* One load: samples a second by second of the run, spread over processes and functions. */
struct load {
	double seconds;
	double (*rate)(double second);
	unsigned processes;
};

struct outcome {
	double offered[FUNCTIONS], counted[FUNCTIONS];
	double taken;
	double most_in_a_second; /* taken, from the third second on */
};

static double steady(double second)
{
	return 200;
}

/* Idle, then a storm, then little. */
static double changing(double second)
{
	return second < 20 ? 5 : second < 40 ? 2000 : 50;
}

/* Which function is on is a matter of time, as in programs with phases. */
static unsigned function_at(double second, unsigned n)
{
	return n % 4 == 0 ? 2 : fmod(second, 1) < 0.3 ? 0 : 1;
}

static void add_second(struct strategy *strategy, const struct load *load, double second,
		       struct outcome *ret)
{
	double rate = load->rate(second), before = ret->taken;
	for (unsigned n = 0; n < (unsigned)rate; n++) {
		double at = second + n / rate;
		unsigned function = function_at(at, n);
		struct strategy_sample sample = {.time_ns = (uint64_t)((at + 1000) * 1e9),
						 .process = n % load->processes,
						 .service = 1,
						 .weight = WEIGHT};
		double factor = strategy_offer(strategy, &sample);
		assert_true(factor == 0 || factor >= 1);
		ret->offered[function] += WEIGHT;
		ret->counted[function] += factor * WEIGHT;
		ret->taken += factor > 0;
	}
	if (second >= 3)
		ret->most_in_a_second = MAX_OF(ret->most_in_a_second, ret->taken - before);
}

static struct outcome run(const struct strategy_options *options, const struct load *load)
{
	struct strategy strategy;
	struct outcome outcome = {.taken = 0};
	strategy_init(&strategy, options);
	for (double second = 0; second < load->seconds; second++)
		add_second(&strategy, load, second, &outcome);
	double offered = outcome.offered[0] + outcome.offered[1] + outcome.offered[2];
	assert_true(strategy.statistics.offered_weight == (uint64_t)offered);
	assert_true(strategy.statistics.taken == (uint64_t)outcome.taken);
	strategy_deinit(&strategy);
	return outcome;
}

/* Is the mean of `count` values what it should be, by their own scatter? */
static void assert_mean(const double *values, size_t count, double expected)
{
	double sum = 0, squares = 0;
	for (size_t i = 0; i < count; i++)
		sum += values[i];
	double mean = sum / (double)count;
	for (size_t i = 0; i < count; i++)
		squares += (values[i] - mean) * (values[i] - mean);
	double error = sqrt(squares / (double)(count - 1) / (double)count);
	if (fabs(mean - expected) > BOUND * error + 1e-9 * expected)
		fail_msg("mean %g, expected %g, standard error %g", mean, expected, error);
}

/* Each function's sum of weights, over RUNS runs with seeds of their own. */
static void assert_unbiased(struct strategy_options options, const struct load *load)
{
	double counted[FUNCTIONS][RUNS];
	struct outcome outcome = {.taken = 0};
	for (unsigned i = 0; i < RUNS; i++) {
		options.seed = hash_mix(i + 1);
		outcome = run(&options, load);
		for (unsigned f = 0; f < FUNCTIONS; f++)
			counted[f][i] = outcome.counted[f];
	}
	for (unsigned f = 0; f < FUNCTIONS; f++)
		assert_mean(counted[f], RUNS, outcome.offered[f]);
}

static const struct load steady_load = {60, steady, 97}, changing_load = {60, changing, 97};

static void test_all_and_nothing(void **state)
{
	struct strategy_options options = {.kind = STRATEGY_ALWAYS};
	struct outcome all = run(&options, &steady_load);
	options.kind = STRATEGY_NEVER;
	struct outcome nothing = run(&options, &steady_load);
	assert_true(all.taken == 60 * 200);
	assert_true(all.counted[0] == all.offered[0]);
	assert_true(nothing.taken == 0 && nothing.counted[0] == 0);
}

static void test_probabilistic_is_unbiased(void **state)
{
	static const enum strategy_choice choices[] = {STRATEGY_BY_SAMPLE, STRATEGY_BY_PROCESS,
						       STRATEGY_BY_INTERVAL};
	for (size_t i = 0; i < ARRAY_LENGTH(choices); i++) {
		struct strategy_options options = {.kind = STRATEGY_PROBABILISTIC,
						   .by = choices[i],
						   .ratio = 0.25,
						   .interval_ns = NS_PER_SECOND};
		assert_unbiased(options, &steady_load);
	}
}

/* A process is taken whole or not at all, and so is an interval. */
static void test_whole_processes_and_intervals(void **state)
{
	struct strategy_options options = {.kind = STRATEGY_PROBABILISTIC,
					   .by = STRATEGY_BY_PROCESS,
					   .ratio = 0.5,
					   .interval_ns = NS_PER_SECOND,
					   .seed = 3};
	for (int by = STRATEGY_BY_PROCESS; by <= STRATEGY_BY_INTERVAL; by++) {
		struct strategy strategy;
		bool seen[2] = {false, false};
		options.by = (enum strategy_choice)by;
		strategy_init(&strategy, &options);
		for (uint64_t key = 0; key < 40; key++) {
			struct strategy_sample sample = {.time_ns = key * NS_PER_SECOND, .process = key};
			double first = strategy_offer(&strategy, &sample);
			seen[first > 0] = true;
			for (int n = 0; n < 20; n++) {
				if (by == STRATEGY_BY_PROCESS)
					sample.time_ns += NS_PER_SECOND;
				else
					sample.process++;
				assert_true(strategy_offer(&strategy, &sample) == first);
			}
		}
		assert_true(seen[0] && seen[1]);
		strategy_deinit(&strategy);
	}
}

/* The examples are those of the rule itself: at 50 % the threshold is 0x80000000000000, at 25 % 0xc0000000000000. */
static void test_traces_are_taken_consistently(void **state)
{
	static const struct {
		uint8_t last_bytes[7];
		bool at_half, at_quarter;
	} traces[] = {
		{{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false, false},
		{{0x80}, true, false},
		{{0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true, false},
		{{0xc0}, true, true},
		{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true, true},
		{{0}, false, false},
	};
	struct strategy_options options = {.kind = STRATEGY_PROBABILISTIC, .by = STRATEGY_BY_TRACE};
	for (size_t i = 0; i < ARRAY_LENGTH(traces); i++) {
		uint8_t id[16];
		memset(id, 0xff, sizeof(id)); /* the first nine bytes do not count */
		memcpy(id + 9, traces[i].last_bytes, 7);
		struct strategy_sample sample = {.has_trace = true, .trace_randomness = strategy_trace_randomness(id)};
		for (uint64_t seed = 0; seed < 5; seed++) { /* whatever the host */
			struct strategy half, quarter;
			options.seed = seed;
			options.ratio = 0.5;
			strategy_init(&half, &options);
			options.ratio = 0.25;
			strategy_init(&quarter, &options);
			assert_true(strategy_offer(&half, &sample) == (traces[i].at_half ? 2 : 0));
			assert_true(strategy_offer(&quarter, &sample) == (traces[i].at_quarter ? 4 : 0));
			strategy_deinit(&half);
			strategy_deinit(&quarter);
		}
	}
}

/* Sums over random traces, and over samples outside of any, have the mean they have without a strategy. */
static void test_traces_are_unbiased(void **state)
{
	enum { SAMPLES = 40000 };
	struct strategy_options options = {.kind = STRATEGY_PROBABILISTIC, .by = STRATEGY_BY_TRACE, .ratio = 0.25,
					   .seed = 11};
	for (int has_trace = 0; has_trace < 2; has_trace++) {
		struct strategy strategy;
		double sum = 0;
		strategy_init(&strategy, &options);
		for (uint64_t n = 0; n < SAMPLES; n++) {
			struct strategy_sample sample = {.has_trace = has_trace,
							 .trace_randomness = hash_mix(n + 1) >> 8};
			sum += strategy_offer(&strategy, &sample);
		}
		/* A sample counts 4 with the chance 1/4: its variance is 3. */
		assert_true(fabs(sum - SAMPLES) < BOUND * sqrt(3.0 * SAMPLES));
		assert_int_equal(strategy.statistics.offered, SAMPLES);
		assert_true(strategy.statistics.taken * 4 == (uint64_t)sum);
		strategy_deinit(&strategy);
	}
}

static void test_rate_is_kept_and_unbiased(void **state)
{
	struct strategy_options options = {.kind = STRATEGY_RATE, .samples = 20, .seed = 5};
	struct outcome outcome = run(&options, &steady_load);
	/* Of each second but the first, a binomial number around 20. */
	assert_true(fabs(outcome.taken - 60 * 20) < BOUND * sqrt(60 * 20) + 20 * log(10));
	assert_true(outcome.most_in_a_second < 20 + 5 * sqrt(20));
	/* A storm after little: once as many as the theory has it. */
	outcome = run(&options, &changing_load);
	assert_true(outcome.most_in_a_second < 20 * (1 + log(2000 / 20.0)) * 1.5);
	assert_unbiased(options, &steady_load);
	assert_unbiased(options, &changing_load);
	/* What is below the rate is taken as it is. */
	options.samples = 1000;
	outcome = run(&options, &steady_load);
	assert_true(outcome.taken == 60 * 200 && outcome.counted[1] == outcome.offered[1]);
}

/* An hour in which the load changes from minute to minute. */
static double by_minute(double second)
{
	return 20 + 15 * (unsigned)(hash_mix((uint64_t)second / 60 + 1) % 10);
}

static const struct load hour_load = {3600, by_minute, 7};

static void test_adaptive_keeps_its_target(void **state)
{
	struct strategy_options options = {.kind = STRATEGY_ADAPTIVE, .samples = 4000, .seed = 1};
	struct outcome outcome = run(&options, &hour_load);
	assert_true(fabs(outcome.taken - 4000) < 400);
	assert_unbiased(options, &hour_load);
}

/* Each service has its number; those past the limit share one, and stay unbiased. */
static void test_services_are_told_apart(void **state)
{
	struct strategy strategy;
	struct strategy_options options = {.kind = STRATEGY_ADAPTIVE, .samples = 360, .seed = 9};
	double taken[2] = {0, 0};
	strategy_init(&strategy, &options);
	for (uint64_t n = 0; n < 3600 * 100; n++) {
		struct strategy_sample sample = {.time_ns = (n + 1000) * NS_PER_SECOND / 100,
						 .service = n % 10 == 0};
		taken[sample.service] += strategy_offer(&strategy, &sample) > 0;
	}
	assert_true(fabs(taken[0] - 360) < 90 && fabs(taken[1] - 360) < 90);
	for (uint64_t service = 0; service < 2 * STRATEGY_MAX_SERVICES; service++) {
		struct strategy_sample sample = {.time_ns = 4000 * NS_PER_SECOND, .service = service};
		strategy_offer(&strategy, &sample);
	}
	assert_int_equal(strategy.flows.count, STRATEGY_MAX_SERVICES);
	strategy_deinit(&strategy);
}

static double by_minute_slow(double second)
{
	return by_minute(second) / 8;
}

/* Hosts decide by themselves; what is merged has the shares of all, and the number that was asked for. */
static void test_fleet(void **state)
{
	enum { HOSTS = 100 };
	double counted[FUNCTIONS][RUNS] = {{0}}, offered[FUNCTIONS] = {0};
	const struct load load = {1200, by_minute_slow, 7}; /* a third of an hour */
	for (unsigned i = 0; i < RUNS; i++) {
		double taken = 0;
		memset(offered, 0, sizeof(offered));
		for (unsigned host = 0; host < HOSTS; host++) {
			struct strategy_options options = {.kind = STRATEGY_ADAPTIVE,
							   .samples = 30000,
							   .hosts = HOSTS,
							   .seed = hash_mix(1 + i * HOSTS + host)};
			struct outcome outcome = run(&options, &load);
			taken += outcome.taken;
			for (unsigned f = 0; f < FUNCTIONS; f++) {
				counted[f][i] += outcome.counted[f];
				offered[f] += outcome.offered[f];
			}
		}
		if (fabs(taken - 10000) > 1000)
			fail_msg("%g samples instead of 10000", taken);
	}
	for (unsigned f = 0; f < FUNCTIONS; f++)
		assert_mean(counted[f], RUNS, offered[f]);
}

static void test_statistics_begin_anew(void **state)
{
	struct strategy strategy;
	struct strategy_options options = {.kind = STRATEGY_PROBABILISTIC, .ratio = 0.5, .seed = 2};
	struct strategy_sample sample = {.time_ns = NS_PER_SECOND, .weight = 5};
	strategy_init(&strategy, &options);
	for (int i = 0; i < 100; i++)
		strategy_offer(&strategy, &sample);
	assert_int_equal(strategy.statistics.offered, 100);
	assert_int_equal(strategy.statistics.offered_weight, 500);
	assert_in_range(strategy.statistics.taken, 30, 70);
	assert_true(strategy.statistics.counted_weight == 10.0 * (double)strategy.statistics.taken);
	strategy_reset_statistics(&strategy);
	assert_int_equal(strategy.statistics.offered, 0);
	strategy_deinit(&strategy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_and_nothing),
		cmocka_unit_test(test_probabilistic_is_unbiased),
		cmocka_unit_test(test_whole_processes_and_intervals),
		cmocka_unit_test(test_traces_are_taken_consistently),
		cmocka_unit_test(test_traces_are_unbiased),
		cmocka_unit_test(test_rate_is_kept_and_unbiased),
		cmocka_unit_test(test_adaptive_keeps_its_target),
		cmocka_unit_test(test_services_are_told_apart),
		cmocka_unit_test(test_fleet),
		cmocka_unit_test(test_statistics_begin_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
