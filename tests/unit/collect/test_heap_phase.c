/* SPDX-License-Identifier: Apache-2.0 */
/* What windows say of a process, from made-up windows with a known truth. */
#include "collect/heap_phase.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS 1e6

/* Windows of 1 ms, in which the process had the CPU; an allocation each 10 us of its own, of 100 bytes, and a probe
 * took 1 us: of the window, a part of 1 / 11. */
static struct heap_phase even_windows(unsigned count)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < count; i++) {
		struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .cost = MS / 11,
						      .objects = MS / 11000, .bytes = MS / 110};
		heap_phase_add(&phase, &reading, false);
	}
	return phase;
}

/* Of objects. */
static double estimate(const struct heap_phase *phase, const struct heap_phase_scale *scale)
{
	double sum = 0;
	for (unsigned i = 0; i < HEAP_STRATA; i++)
		sum += scale->factors[i] * phase->strata[i].objects.sum;
	return sum;
}

static void test_even(void **state)
{
	struct heap_phase phase = even_windows(20);
	/* 10 s of CPU, nearly all of it its own: a million allocations, if the price is right. */
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 10000 * MS);
	double own = 1 - HEAP_PRICE_FACTOR / 11, right = (10000 - 20 * (1 - own)) * MS / 11000 / own;
	assert_float_equal(estimate(&phase, &scale), right, 1);
	assert_true(scale.objects_low <= 1e6 && scale.objects_high >= 1e6);
	assert_true(scale.bytes_low > 0.85e8 && scale.bytes_high < 1.15e8);
}

static void test_paced(void **state)
{
	/* It idles for half of the time outside of windows: by wall time it is twice as much. */
	struct heap_phase phase = even_windows(20);
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 20000 * MS);
	assert_true(scale.objects_high >= 19999 * MS / 11000);
	/* In windows it uses more CPU time than at other times, by as much as the probes take, or by less. */
	struct heap_phase slowed = {0};
	for (unsigned i = 0; i < 20; i++) {
		struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .cost = MS * 3 / 4, .objects = MS / 4e4,
						      .ticks = 1000, .own_ticks = 250};
		heap_phase_add(&slowed, &reading, false);
	}
	double by_progress = estimate(&slowed, &scale);
	scale = heap_phase_scale(&slowed, 10000 * MS, 0, 10000 * MS);
	by_progress = estimate(&slowed, &scale);
	assert_true(scale.objects_low > 0.8 * by_progress);
	scale = heap_phase_scale(&slowed, 10000 * MS, 0, 20000 * MS);
	assert_true(scale.objects_low < 0.51 * by_progress && scale.objects_low > 0.4 * by_progress);
}

/* What a window's own part is comes from its ticks, whatever the price says. */
static void test_ticks(void **state)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < 40; i++) {
		struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .cost = 1.2 * MS, .tick_cost = 0.2 * MS,
						      .objects = 500, .bytes = 50000, .ticks = 100, .own_ticks = 10};
		heap_phase_add(&phase, &reading, false);
	}
	/* 0.8 ms without ticks, of which a tenth is its own, less what is slower behind probes: 36 us for 500 objects. */
	struct heap_phase_scale scale = heap_phase_scale(&phase, 1e5 * MS, 0, 1e5 * MS);
	double right = 500 * 1e5 / 0.0363, told = estimate(&phase, &scale);
	assert_true(told > 0.97 * right && told < 1.03 * right);
	/* It may have been a tenth. */
	assert_true(scale.objects_low > 0.4 * right && scale.objects_low < 500 * 1e5 / 0.08);
	assert_true(scale.objects_high < 2.2 * right);
}

static void test_saturated(void **state)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < 20; i++) {
		/* Probes took all that there was, and by their price even more. */
		struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .cost = 1.1 * MS, .objects = 800,
						      .bytes = 80000};
		heap_phase_add(&phase, &reading, false);
	}
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 10000 * MS);
	assert_true(scale.factors[HEAP_STRATA - 1] > 0);
	assert_true(scale.objects_high / scale.objects_low > 20);
}

static void test_uneven(void **state)
{
	struct heap_phase even = even_windows(20), uneven = even;
	struct heap_window_reading much = {.weight = 1, .cpu = MS, .wall = MS, .cost = MS / 11, .objects = 2000, .bytes = 2e5};
	heap_phase_add(&uneven, &much, false);
	struct heap_phase_scale narrow = heap_phase_scale(&even, 1000 * MS, 0, 1000 * MS);
	struct heap_phase_scale wide = heap_phase_scale(&uneven, 1000 * MS, 0, 1000 * MS);
	assert_true(wide.objects_high / wide.objects_low > 2 * narrow.objects_high / narrow.objects_low);
}

/* Half of its time it allocates a hundredth as often, and windows are 64 times longer then: they count as much. */
static void test_longer(void **state)
{
	struct heap_phase phase = even_windows(20);
	for (unsigned i = 0; i < 20; i++) {
		struct heap_window_reading quiet = {.weight = 1.0 / 64, .cpu = 64 * MS, .wall = 64 * MS,
						    .objects = 64 * MS / 1e6, .bytes = 64 * MS / 1e4};
		heap_phase_add(&phase, &quiet, false);
	}
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 10000 * MS);
	double right = 10000 * MS * (1 / 1e4 + 1 / 1e6) / 2, told = estimate(&phase, &scale);
	assert_true(told > 0.95 * right && told < 1.05 * right);
	assert_true(scale.objects_low <= right && scale.objects_high >= right);
	/* It cannot have been less than what was seen. */
	scale = heap_phase_scale(&phase, 20 * MS, 0, 20 * MS);
	assert_true(scale.objects_low >= 20 * MS / 11000 + 20 * 64);
}

/* One window met it at work, others waiting: they say nothing of how its work differs. */
static void test_met_once(void **state)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < 20; i++) {
		struct heap_window_reading waiting = {.weight = 1, .wall = MS};
		heap_phase_add(&phase, &waiting, false);
	}
	assert_false(heap_phase_has_met(&phase));
	struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .objects = 100, .bytes = 1e4};
	heap_phase_add(&phase, &reading, false);
	assert_true(heap_phase_has_met(&phase));
	struct heap_phase_scale scale = heap_phase_scale(&phase, 1000 * MS, 0, 20000 * MS);
	assert_true(scale.objects_low <= 1e4 && scale.objects_high >= 1e6);
}

static void test_between(void **state)
{
	/* After 20 windows 100 more: of 12 s of CPU the last 10. */
	struct heap_phase_state none = {0}, then = {even_windows(20), 2000 * MS, 0, 2000 * MS},
				now = {even_windows(120), 12000 * MS, 0, 12000 * MS};
	struct heap_phase_scale scale = heap_phase_scale_between(&then, &now);
	assert_true(scale.objects_low <= 1e6 && scale.objects_high >= 1e6);
	assert_true(scale.bytes_low > 0.85e8 && scale.bytes_high < 1.15e8);
	/* Of all that is known it is as before. */
	struct heap_phase_scale all = heap_phase_scale_between(&none, &now);
	struct heap_phase_scale same = heap_phase_scale(&now.phase, now.cpu, now.cost, now.wall);
	assert_float_equal(all.objects_low, same.objects_low, 0);
	assert_float_equal(all.bytes_high, same.bytes_high, 0);
	/* Nothing happened. */
	scale = heap_phase_scale_between(&now, &now);
	assert_float_equal(scale.objects_low, 0, 0);
	assert_float_equal(scale.objects_high, 0, 1);
	/* Progress without a window: as much as always, to what is known of the price. */
	struct heap_phase_state later = {now.phase, 13000 * MS, 0, 13000 * MS};
	scale = heap_phase_scale_between(&now, &later);
	assert_true(scale.objects_low <= 1e5 && scale.objects_high >= 1e5 && scale.objects_low > 0.8e5);
}

/* Each interval's bounds hold what it allocated in truth, where windows differ: ten in ten seconds, of which one in the
 * mean has ten times as much as the others. */
static void test_between_uneven(void **state)
{
	struct heap_phase phase = {0};
	struct heap_phase_state told = {0};
	double width = 0, truth = 1e4 * (0.1 * 1000 + 0.9 * 100);
	unsigned inside = 0, intervals = 500, random = 1;
	for (unsigned i = 0; i < intervals; i++) {
		for (unsigned k = 0; k < 10; k++) {
			random = random * 1103515245 + 12345;
			bool much = (random >> 16) % 10 == 0;
			struct heap_window_reading reading = {.weight = 1, .cpu = MS, .wall = MS, .objects = much ? 1000 : 100,
							      .bytes = much ? 1e5 : 1e4};
			heap_phase_add(&phase, &reading, false);
		}
		double cpu = (i + 1) * 1e4 * MS;
		struct heap_phase_state now = {phase, cpu, 0, cpu};
		struct heap_phase_scale scale = heap_phase_scale_between(&told, &now);
		inside += scale.objects_low <= truth && truth <= scale.objects_high;
		width += (scale.objects_high - scale.objects_low) / intervals;
		told = now;
	}
	assert_true(inside >= intervals * 9 / 10);
	assert_true(width < 3 * truth);
}

static void test_nothing(void **state)
{
	struct heap_phase none = {0};
	assert_true(heap_phase_scale(&none, MS, 0, MS).factors[0] == 0);
	struct heap_window_reading asleep = {.weight = 1, .wall = MS};
	heap_phase_add(&none, &asleep, false);
	assert_true(heap_phase_scale(&none, MS, 0, MS).factors[0] == 0);
}

/* ---- Simulation ------------------------------------------------------------------------------ */

/*
 * A program that runs on one CPU, in slots of a millisecond in which it allocates at a rate of its own, or waits for it; a
 * window each second, every tenth of 5 ms with frees, all longer where few allocations would be seen, and where they were not. What a probe costs in truth
 * is drawn anew for each run, and is another at each moment; each tick costs as in a virtual machine.
 */
#define CALL_NS 1000.0
#define RUNS 400
#define SLOTS_PER_SECOND 1000
#define WINDOW_OF_FREES 10
#define TICKS 10 /* in a millisecond */
#define TICK_COST 15e3
#define SPEED_DEVIATION 0.1
#define WAITS (-1.0)
#define TURN 4 /* slots for which a program has the CPU, or waits */
#define MOST_TIMES 16 /* longer than usual */

struct program {
	const char *name;
	double rate;	    /* allocations in a second of its own time, in the mean */
	double deviation;   /* of the logarithm of a slot's rate */
	unsigned slots;	    /* that have the same rate */
	double burst_share; /* of slots that have ten times that rate */
	double waiting;	    /* part of the time in which others have the CPU */
	double widest;	    /* high over low, median of the runs, after a minute */
	unsigned least_seconds; /* in fewer windows some runs see no burst */
};

static uint64_t random_state = 1;

static double uniform(void)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(random_state >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(void)
{
	return sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform());
}

/* The rates of all slots, allocations in a millisecond; WAITS of those in which others have the CPU. Returns their sum. */
static double draw_rates(const struct program *program, unsigned count, double *rates)
{
	double sum = 0, rate = 0;
	bool waits = false;
	for (unsigned i = 0; i < count; i++) {
		if (i % program->slots == 0)
			rate = program->rate / 1000 *
			       exp(program->deviation * normal() - program->deviation * program->deviation / 2) *
			       (uniform() < program->burst_share ? 10 : 1);
		if (i % TURN == 0)
			waits = uniform() < program->waiting;
		rates[i] = waits ? WAITS : rate;
		sum += waits ? 0 : rate;
	}
	return sum;
}

static double working_slots(const double *rates, unsigned count)
{
	double sum = 0;
	for (unsigned i = 0; i < count; i++)
		sum += rates[i] != WAITS;
	return sum;
}

static double poisson(double mean)
{
	if (mean > 50)
		return round(mean + sqrt(mean) * normal());
	double events = 0;
	for (double left = exp(-mean), chance = uniform(); chance > left; chance *= uniform())
		events++;
	return events;
}

/* Of objects of 16 to 800 bytes, 200 in the mean. */
static double draw_bytes(double objects)
{
	double large = 0;
	for (double i = 0; i < objects && objects <= 50; i++)
		large += uniform() < 184.0 / 784;
	if (objects > 50)
		large = objects * 184 / 784 + sqrt(objects * 184 / 784 * 600 / 784) * normal();
	return 16 * objects + 784 * large;
}

static double binomial(double count, double chance)
{
	double hits = 0;
	for (double i = 0; i < count; i++)
		hits += uniform() < chance;
	return hits;
}

/* Own time, probes and ticks fill the window; what is counted is as random as events are. */
static struct heap_window_reading look(const double *rates, unsigned slots, bool with_frees, double price)
{
	struct heap_window_reading reading = {.weight = 1};
	price *= exp(SPEED_DEVIATION * normal()); /* of the host, at that moment */
	for (unsigned i = 0; i < slots; i++) {
		reading.wall += MS;
		if (rates[i] == WAITS)
			continue;
		double calls = with_frees ? 2 : 1, timed = TICKS * TICK_COST;
		double own = (MS - timed) / (1 + rates[i] / MS * price * CALL_NS * calls);
		double objects = poisson(rates[i] * own / MS), probes = objects * price * CALL_NS * calls;
		double behind = 0.12 * uniform() * probes;
		reading.cpu += own + probes + timed;
		reading.cost += objects * CALL_NS * calls;
		reading.objects += objects;
		reading.bytes += draw_bytes(objects);
		reading.ticks += TICKS;
		reading.tick_cost += timed;
		reading.own_ticks += binomial(TICKS, (own + behind) / (own + probes));
	}
	return reading;
}

struct outcome {
	bool objects, bytes;
	double width, estimate; /* over the truth */
};

static struct outcome simulate(const struct program *program, unsigned seconds, double *rates)
{
	double truth = draw_rates(program, seconds * SLOTS_PER_SECOND, rates);
	double price = fmin(fmax(HEAP_PRICE_FACTOR + HEAP_PRICE_FACTOR_DEVIATION * normal(), 0.5), 2);
	struct heap_phase phase = {0};
	double cost = 0, cpu = working_slots(rates, seconds * SLOTS_PER_SECOND) * MS, wall = seconds * SLOTS_PER_SECOND * MS;
	unsigned times = 1;
	for (unsigned i = 0; i < seconds; i++) {
		bool with_frees = i % WINDOW_OF_FREES == WINDOW_OF_FREES / 2 - 1;
		unsigned least = with_frees ? 5 : 1, usual = (unsigned)fmax(least, 50e3 / program->rate);
		unsigned slots = usual * times;
		unsigned at = i * SLOTS_PER_SECOND + (unsigned)(uniform() * (SLOTS_PER_SECOND - slots));
		struct heap_window_reading reading = look(rates + at, slots, with_frees, price);
		reading.weight = 1.0 / times;
		heap_phase_add(&phase, &reading, with_frees);
		cost += reading.cost;
		times = reading.cpu > 0 ? 1 : times == MOST_TIMES ? times : 4 * times;
	}
	/* The probes' time comes on top of its own. */
	struct heap_phase_scale scale = heap_phase_scale(&phase, cpu + cost * price, cost, wall + cost * price);
	return (struct outcome){scale.objects_low <= truth && truth <= scale.objects_high,
				scale.bytes_low <= 200 * truth && 200 * truth <= scale.bytes_high,
				scale.objects_high / scale.objects_low,
				estimate(&phase, &scale) / truth};
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* The printed bounds hold the truth in at least nine runs of ten. */
static void test_coverage(void **state)
{
	static const struct program programs[] = {
		{"1,000 a second", 1e3, 0.1, 20, 0, 0, 1.5, 3},
		{"100,000 a second", 1e5, 0.1, 20, 0, 0, 1.5, 3},
		{"1,000,000 a second", 1e6, 0.1, 20, 0, 0, 4, 3},
		{"uneven", 1e5, 0.7, 4, 0, 0, 2, 3},
		{"in phases of 50 ms", 1e5, 0.7, 50, 0, 0, 2.5, 3},
		{"in phases of 3 s", 1e5, 0.7, 3000, 0, 0, 2.5, 3},
		{"in bursts", 3e4, 0.1, 7, 0.1, 0, 3, 60},
		{"that waits", 1e5, 0.1, 20, 0, 0.8, 2.5, 12},
		{"uneven that waits", 1e5, 0.7, 4, 0, 0.8, 6, 12},
		{"in phases, waits", 1e5, 0.7, 3000, 0, 0.8, 6, 12},
	};
	static const unsigned lengths[] = {3, 12, 60};
	static double rates[60 * SLOTS_PER_SECOND];
	double widths[RUNS];
	for (size_t p = 0; p < sizeof(programs) / sizeof(*programs); p++) {
		for (size_t l = 0; l < sizeof(lengths) / sizeof(*lengths); l++) {
			unsigned objects = 0, bytes = 0;
			for (unsigned run = 0; run < RUNS; run++) {
				struct outcome outcome = simulate(&programs[p], lengths[l], rates);
				objects += outcome.objects;
				bytes += outcome.bytes;
				widths[run] = outcome.width;
			}
			qsort(widths, RUNS, sizeof(*widths), compare_doubles);
			print_message("%-22s %2u s: objects %5.1f %%, bytes %5.1f %%; high over low %.2f\n",
				      programs[p].name, lengths[l], objects * 100.0 / RUNS, bytes * 100.0 / RUNS,
				      widths[RUNS / 2]);
			assert_true(lengths[l] < programs[p].least_seconds ||
				    (objects >= RUNS * 9 / 10 && bytes >= RUNS * 9 / 10));
			assert_true(lengths[l] < 60 || widths[RUNS / 2] < programs[p].widest);
		}
	}
}

/* Moments in which probes leave little progress count as much as others: a third of the time has nine tenths of the
 * allocations, three millions in a second of it. */
static void test_dense(void **state)
{
	static const struct program dense = {"dense for a third", 3e5, 0.1, 50, 1.0 / 3, 0, 0, 0};
	static double rates[60 * SLOTS_PER_SECOND];
	double estimates[RUNS];
	unsigned inside = 0;
	for (unsigned run = 0; run < RUNS; run++) {
		struct outcome outcome = simulate(&dense, 60, rates);
		inside += outcome.objects && outcome.bytes;
		estimates[run] = outcome.estimate;
	}
	qsort(estimates, RUNS, sizeof(*estimates), compare_doubles);
	print_message("%s: %.2f of the truth in the median, %.2f to %.2f in nine runs of ten; %u of %u inside\n", dense.name,
		      estimates[RUNS / 2], estimates[RUNS / 20], estimates[RUNS - RUNS / 20], inside, RUNS);
	assert_true(estimates[RUNS / 2] > 0.8 && estimates[RUNS / 2] < 1.2);
	assert_true(inside >= RUNS * 9 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even),   cmocka_unit_test(test_paced), cmocka_unit_test(test_saturated),
		cmocka_unit_test(test_ticks),
		cmocka_unit_test(test_uneven), cmocka_unit_test(test_longer), cmocka_unit_test(test_met_once),
		cmocka_unit_test(test_between), cmocka_unit_test(test_between_uneven), cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_coverage), cmocka_unit_test(test_dense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
