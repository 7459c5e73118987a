/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The budget controller over made-up hosts: what a step costs is worked out from the setting the controller
 * chose, and from a load that changes. Looked at: is the budget kept over every minute, does the rate come
 * back, is every total unbiased.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "collect/budget.h"
#include "collect/heap_pace.h"

#define MINUTE BUDGET_WINDOW
#define STEP_SECONDS ((double)BUDGET_STEP_NS / 1e9)

/* What the world costs: nanoseconds a second. */
struct load {
	double busy_cpus;	   /* their ticks become samples */
	double sample_ns;	   /* of a sample, interrupt included */
	double fixed_ns;	   /* whatever the rate: processes that come and go */
	double lines_ns;	   /* of it, saved without source lines */
	double deep_ns;		   /* of a sample's, saved with shallow stacks */
	double windows_ns;	   /* of `fixed_ns`, saved with rarer windows */
	double following_ns;	   /* of it, saved without following processes */
	double noise;		   /* the cost is off by up to so much of itself */
	double new_binaries_ns;	   /* what reading those that come in a step takes */
	bool heap;		   /* looking at allocators takes all that it may */
	double look_ns;		   /* with it, what looking once which processes there are takes */
};

struct world {
	struct budget budget;
	struct budget_setting setting;
	uint32_t cpus;
	uint64_t random;
	double unread_ns;      /* what reading all that waits takes */
	double history[16384]; /* share of each step */
	size_t steps;
	double true_samples, weighed; /* CPU seconds there were, and CPU seconds the samples stand for */
	bool ever_infeasible;
};

static void begin_at(struct world *world, uint32_t cpus, double share, uint32_t highest_hz)
{
	*world = (struct world){.cpus = cpus, .random = 7};
	struct budget_options options = {.share = share, .highest_hz = highest_hz, .seed = 42};
	budget_init(&world->budget, &options);
	world->setting = world->budget.setting;
}

static void begin(struct world *world, uint32_t cpus, double share)
{
	begin_at(world, cpus, share, 99);
}

static double roll(struct world *world)
{
	world->random = world->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (double)(world->random >> 11) / 9007199254740992.0;
}

static bool gives_up(const struct world *world, enum budget_lever lever)
{
	return world->setting.used & BUDGET_LEVER_BIT(lever);
}

static uint64_t ticks(const struct world *world, const struct load *load)
{
	const struct budget_setting *s = &world->setting;
	return s->on ? (uint64_t)(load->busy_cpus * s->frequency * STEP_SECONDS + 0.5) : 0;
}

static double tick_cost(const struct world *world, const struct load *load)
{
	const struct budget_setting *s = &world->setting;
	double sample_ns = load->sample_ns - (gives_up(world, BUDGET_LEVER_DEPTH) ? load->deep_ns : 0);
	return s->on ? load->busy_cpus * s->frequency * sample_ns * STEP_SECONDS : 0;
}

/* Ten times a second, or as often as it may. */
static double looking_cost(const struct world *world, const struct load *load)
{
	double allowed = world->setting.heap_share * world->cpus * 1e9;
	double pause = (double)heap_pace_pause(allowed, (uint64_t)load->look_ns) / 1e9;
	return load->look_ns / MAX_OF(pause, 0.1);
}

static double rest_cost(const struct world *world, const struct load *load)
{
	double saved = (gives_up(world, BUDGET_LEVER_LINES) ? load->lines_ns : 0) +
		       (gives_up(world, BUDGET_LEVER_WINDOWS) ? load->windows_ns : 0) +
		       (gives_up(world, BUDGET_LEVER_FOLLOWING) ? load->following_ns : 0);
	double heap = load->heap ? world->setting.heap_share * world->cpus * 1e9 + looking_cost(world, load) : 0;
	return (load->fixed_ns - saved + heap) * STEP_SECONDS;
}

/* The child is stopped a little after its grant is used up. */
static double read_binaries(struct world *world, const struct load *load)
{
	double granted = (double)world->setting.reading_ns + 0.5e6 * roll(world);
	world->unread_ns += load->new_binaries_ns;
	double read = MIN_OF(world->unread_ns, granted);
	world->unread_ns -= read;
	return read;
}

static void run(struct world *world, const struct load *load, size_t steps)
{
	for (size_t i = 0; i < steps; i++) {
		double noise = 1 + load->noise * (2 * roll(world) - 1);
		double tick = tick_cost(world, load) * noise;
		double read = read_binaries(world, load);
		double cost = tick + rest_cost(world, load) * noise + read;
		struct budget_reading reading = {.elapsed_ns = BUDGET_STEP_NS,
						 .cpus = world->cpus,
						 .cost_ns = (uint64_t)cost,
						 .tick_ns = (uint64_t)tick,
						 .ticks = ticks(world, load),
						 .reading_ns = (uint64_t)read};
		struct budget_report report;
		world->history[world->steps++] = cost / (double)BUDGET_STEP_NS / world->cpus;
		world->true_samples += load->busy_cpus;
		if (world->setting.on)
			world->weighed += load->busy_cpus * world->setting.weight;
		world->setting = budget_step(&world->budget, &reading);
		budget_get_report(&world->budget, &report);
		world->ever_infeasible |= report.infeasible;
	}
}

/* The highest share of any `length` steps in a row from `first` on. */
static double highest(const struct world *world, size_t first, size_t length)
{
	double most = 0;
	for (size_t start = first; start + length <= world->steps; start++) {
		double sum = 0;
		for (size_t i = 0; i < length; i++)
			sum += world->history[start + i];
		most = MAX_OF(most, sum / (double)length);
	}
	return most;
}

static const struct load calm = {.busy_cpus = 0.2, .sample_ns = 40e3, .fixed_ns = 1e6};
static const struct load storm = {
	.busy_cpus = 4, .sample_ns = 90e3, .fixed_ns = 9e6, .lines_ns = 4e6, .noise = 0.2};

static void calm_has_the_full_rate(void **state)
{
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &calm, 3 * MINUTE);
	assert_int_equal(world.setting.frequency, 99);
	assert_true(!world.setting.used && world.setting.on);
	assert_true(world.setting.weight == 1);
	assert_false(world.ever_infeasible);
}

/* A second's work of reading at the start, and more with every program that comes: it is spread over the time
 * that the budget has for it, and does not stop. */
static void reading_is_spread(void **state)
{
	static const struct load busy = {.busy_cpus = 2, .sample_ns = 60e3, .fixed_ns = 5e6};
	struct world world;
	begin(&world, 4, 0.005);
	world.unread_ns = 1e9;
	run(&world, &(struct load){.fixed_ns = 400e6}, 1); /* loading the programs */
	double waits = world.unread_ns;
	for (int i = 0; i < 5 * MINUTE; i++) {
		run(&world, &busy, 1);
		assert_true(world.unread_ns < waits || waits <= 0);
		waits = world.unread_ns;
	}
	assert_true(world.unread_ns <= 0);
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(highest(&world, 1, 4) <= 2 * 0.005);
	assert_true(highest(&world, 20, 4) <= 1.1 * 0.005);
	run(&world, &busy, MINUTE);
	assert_int_equal(world.setting.frequency, 99);
	assert_int_equal(world.setting.used, 0);
}

/* A storm in which a large program comes every ten seconds. */
static void reading_in_a_storm(void **state)
{
	struct load with = storm;
	with.new_binaries_ns = 0.5e6;
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &calm, 2 * MINUTE);
	for (int i = 0; i < 30; i++) {
		world.unread_ns += 40e6;
		run(&world, &with, 20);
	}
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(highest(&world, 2 * MINUTE, 4) <= 2 * 0.005);
	assert_true(world.unread_ns < 200e6); /* of 1.5e9 that came */
	assert_true(world.setting.weight == 1);
}

/* What loading costs is paid from what the start may cost: it does not drive the rate to the floor. */
static void start_keeps_the_rate(void **state)
{
	static const struct load start = {.busy_cpus = 1, .sample_ns = 40e3, .fixed_ns = 400e6};
	static const struct load then = {.busy_cpus = 1, .sample_ns = 40e3, .fixed_ns = 1e6};
	struct world world;
	begin(&world, 4, 0.01);
	run(&world, &start, 1);
	for (int i = 0; i < 20; i++) {
		run(&world, &then, 1);
		assert_int_equal(world.setting.frequency, 99);
	}
	assert_true(highest(&world, 0, MINUTE / 8) <= 0.02);
}

/* Half a minute's worth is gone before anything is sampled: the rest of the first minute has what is left. */
static void start_that_is_too_dear(void **state)
{
	static const struct load start = {.busy_cpus = 2, .sample_ns = 40e3, .fixed_ns = 600e6};
	static const struct load then = {.busy_cpus = 2, .sample_ns = 40e3, .fixed_ns = 2e6, .noise = 0.2};
	struct world world;
	begin_at(&world, 2, 0.005, 999);
	run(&world, &start, 1);
	world.unread_ns = 1e9;
	run(&world, &then, MINUTE);
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(world.unread_ns < 950e6); /* reading goes on */
	assert_true(highest(&world, 0, MINUTE) > 0.0043);
	run(&world, &then, 2 * MINUTE);
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(highest(&world, 2 * MINUTE, MINUTE) > 0.0043);
}

/* Hundreds of programs that nobody has read before are there or come in the first ten seconds, and allocators are looked
 * at, whose programs and prices make the start twice as dear. */
static void first_minute_with_new_binaries(void **state)
{
	static const double starts_ns[] = {100e6, 200e6, 300e6, 400e6};
	struct load coming = {.busy_cpus = 2, .sample_ns = 25e3, .fixed_ns = 1e6, .noise = 0.2, .new_binaries_ns = 100e6,
			      .heap = true};
	struct load then = coming;
	then.new_binaries_ns = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(starts_ns); i++) {
		struct world world;
		begin_at(&world, 2, 0.005, 999);
		run(&world, &(struct load){.fixed_ns = starts_ns[i] / STEP_SECONDS}, 1);
		run(&world, &coming, 20);
		run(&world, &then, 2 * MINUTE);
		assert_true(highest(&world, 0, MINUTE) <= 0.005);
	}
}

/* The same on a host with so many processes that a look at them, to see whose allocators are to be probed, takes as long as a
 * step may cost. */
static void first_minute_with_many_processes(void **state)
{
	static const struct load host = {.busy_cpus = 2, .sample_ns = 25e3, .fixed_ns = 2e6, .noise = 0.2, .new_binaries_ns = 1e6,
					 .heap = true, .look_ns = 2e6};
	struct world world;
	begin_at(&world, 2, 0.005, 999);
	run(&world, &(struct load){.fixed_ns = 230e6 / STEP_SECONDS}, 1);
	run(&world, &host, 3 * MINUTE);
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(highest(&world, 2 * MINUTE, MINUTE) > 0.0043); /* and what there is is used */
	assert_false(world.ever_infeasible);
}

/* A rate asked for without thought is not tried out at the start; it is come to where there is room. */
static void start_at_a_rate_that_fits(void **state)
{
	assert_int_equal(budget_first_hz(0.005, 99), 99);
	assert_int_equal(budget_first_hz(0.005, 9999), 125);
	assert_int_equal(budget_first_hz(0.00001, 9999), BUDGET_LOWEST_HZ);
	assert_int_equal(budget_first_hz(0.00001, 7), 7);
	struct world world;
	begin_at(&world, 4, 0.005, 999);
	run(&world, &storm, MINUTE);
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	run(&world, &calm, MINUTE);
	assert_true(world.setting.frequency > 300);
}

/* Ticks take as long as in the storm. */
static const struct load before_storm = {.busy_cpus = 0.2, .sample_ns = 90e3, .fixed_ns = 1e6};

/* An hour of nearly nothing with much asked for, then a storm: it meets a rate that costs no more than it may. */
static void storm_after_a_calm_hour(void **state)
{
	struct world world;
	begin_at(&world, 4, 0.005, 9999);
	run(&world, &storm, 2 * MINUTE);
	uint32_t stormy = world.setting.frequency;
	run(&world, &before_storm, 20);
	assert_true(world.setting.frequency > 2 * stormy); /* after ten seconds */
	run(&world, &before_storm, 60 * MINUTE);
	assert_true(world.setting.frequency > 2 * stormy);
	run(&world, &storm, MINUTE);
	assert_true(highest(&world, 62 * MINUTE, 4) <= 2 * 0.005);
	assert_true(highest(&world, 0, MINUTE) <= 0.005 * 1.02);
}

/* Work of its own that comes in bursts (names are looked up, an interval is sent) is paid from the bucket, and
 * nothing is given up for it. */
static void bursts_change_nothing(void **state)
{
	static const struct load burst = {.busy_cpus = 0.2, .sample_ns = 40e3, .fixed_ns = 40e6};
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &calm, 2 * MINUTE);
	for (int i = 0; i < 30; i++) {
		run(&world, &burst, 1); /* two budgets */
		run(&world, &calm, 9);
		assert_int_equal(world.setting.frequency, 99);
		assert_int_equal(world.setting.used, 0);
	}
}

/* A start that cost little leaves what it may cost to the rest of the first minute, not to one burst in it. */
static void storm_after_a_cheap_start(void **state)
{
	struct world world;
	begin_at(&world, 4, 0.005, 9999);
	run(&world, &before_storm, MINUTE / 4);
	run(&world, &storm, MINUTE);
	assert_true(highest(&world, 0, 4) <= 2 * 0.005);
	assert_true(highest(&world, 0, 10) <= 1.5 * 0.005);
	assert_true(highest(&world, 0, MINUTE) <= 0.005 * 1.02);
}

/* Storms of half a second and more with as short or longer gaps, so that each may meet a rate that has risen. */
static void storms_that_come_and_go(void **state)
{
	for (size_t on = 1; on <= 16; on++)
		for (size_t off = 1; off <= 16; off++) {
			struct world world;
			begin_at(&world, 4, 0.005, 999);
			run(&world, &before_storm, 2 * MINUTE);
			while (world.steps < 6 * MINUTE) {
				run(&world, &storm, on);
				run(&world, &before_storm, off);
			}
			assert_true(highest(&world, 0, MINUTE) <= 0.005);
			assert_true(highest(&world, 0, 4) <= 2 * 0.005);
		}
}

/* Nobody knows how much of the CPUs the next half second needs. */
static void load_without_pattern(void **state)
{
	struct world world;
	begin_at(&world, 4, 0.005, 999);
	while (world.steps < 60 * MINUTE) {
		struct load load = before_storm;
		load.busy_cpus = 4 * roll(&world);
		run(&world, &load, 1 + (size_t)(8 * roll(&world)));
	}
	assert_true(highest(&world, 0, MINUTE) <= 0.005);
	assert_true(highest(&world, 0, 4) <= 2 * 0.005);
}

/* When a storm is over the rate is there within two seconds, and in few steps: each ends a profile. */
static void calm_is_seen_at_once(void **state)
{
	struct world world;
	begin_at(&world, 4, 0.005, 999);
	run(&world, &storm, 2 * MINUTE);
	run(&world, &before_storm, 4);
	uint32_t soon = world.setting.frequency;
	run(&world, &before_storm, MINUTE / 2);
	assert_true(soon > 0.8 * world.setting.frequency);
}

static void storm_is_kept_and_ends(void **state)
{
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &calm, 2 * MINUTE);
	run(&world, &storm, 5 * MINUTE);
	assert_true(world.setting.frequency < 99);
	assert_true(world.setting.frequency >= BUDGET_LOWEST_HZ);

	assert_true(highest(&world, 0, MINUTE) <= 0.005 * 1.02);
	/* At most twice the budget for at most two seconds. */
	assert_true(highest(&world, 0, 2) <= 2 * 0.005);
	assert_true(highest(&world, 0, 6) <= 1.5 * 0.005);
	/* What is there is used, not just kept under. */
	assert_true(highest(&world, 4 * MINUTE, MINUTE) >= 0.005 * 0.75);
	run(&world, &calm, MINUTE);
	assert_int_equal(world.setting.frequency, 99);
	assert_int_equal(world.setting.used, 0);
}

/* Each load needs one lever more than the one before; no lever is used that is not needed. */
static void levers_in_order(void **state)
{
	/* 20e6 ns a second are the budget of 4 CPUs; 99 Hz of 2 busy ones are 10e6 at 50e3 ns a sample. */
	static const struct load loads[] = {
		{.busy_cpus = 2, .sample_ns = 50e3, .fixed_ns = 14e6, .lines_ns = 7e6},
		{.busy_cpus = 2, .sample_ns = 50e3, .fixed_ns = 15e6, .lines_ns = 1e6, .windows_ns = 7e6},
		{.busy_cpus = 2, .sample_ns = 80e3, .deep_ns = 40e3, .fixed_ns = 9e6, .lines_ns = 1e6},
		{.busy_cpus = 2, .sample_ns = 120e3, .deep_ns = 10e3, .fixed_ns = 9e6, .lines_ns = 1e6},
		{.busy_cpus = 2, .sample_ns = 80e3, .fixed_ns = 24e6, .following_ns = 18e6},
	};
	static const unsigned used[] = {0x1, 0x3, 0x7, 0x7, 0xf}; /* enum budget_lever */
	for (size_t i = 0; i < ARRAY_LENGTH(loads); i++) {
		struct world world;
		begin(&world, 4, 0.005);
		run(&world, &calm, 2 * MINUTE);
		run(&world, &loads[i], MINUTE / 4);
		assert_int_equal(world.setting.used, used[i]);
		assert_true(i < 3 ? world.setting.frequency == 99 : world.setting.frequency < 99);
		assert_true(world.setting.weight == 1); /* none needs chance */
		assert_true(highest(&world, 0, MINUTE) <= 0.005 * 1.02);
		run(&world, &calm, 2 * MINUTE);
		assert_int_equal(world.setting.used, 0);
	}
}

/* Processes that come and go by the hundreds for an hour: they are not followed, the rate comes back meanwhile, and
 * following them is tried again a few times. */
static void fork_storm(void **state)
{
	static const struct load forks = {.busy_cpus = 2, .sample_ns = 60e3, .fixed_ns = 26e6, .following_ns = 24e6};
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &calm, 2 * MINUTE);
	size_t tried = 0, unfollowed = 0;
	for (size_t i = 0; i < 60 * MINUTE; i++) {
		unsigned before = world.setting.used;
		run(&world, &forks, 1);
		tried += before & ~world.setting.used & BUDGET_LEVER_BIT(BUDGET_LEVER_FOLLOWING) ? 1 : 0;
		unfollowed += gives_up(&world, BUDGET_LEVER_FOLLOWING);
	}
	assert_true(tried >= 3 && tried <= 8);
	assert_true(unfollowed > 55 * MINUTE);
	assert_int_equal(world.setting.frequency, 99);
	assert_true(highest(&world, 2 * MINUTE, MINUTE) <= 0.005 * 1.05);
	run(&world, &calm, 20 * MINUTE);
	assert_int_equal(world.setting.used, 0);
}

/* A lever that is not there is passed over; one that is always needed again is tried ever more rarely. */
static void levers_that_cannot_return(void **state)
{
	static const struct load lines = {
		.busy_cpus = 2, .sample_ns = 40e3, .fixed_ns = 20e6, .lines_ns = 16e6};
	struct world world;
	begin(&world, 4, 0.005);
	world.budget.options.without = BUDGET_LEVER_BIT(BUDGET_LEVER_DEPTH);
	size_t changes = 0;
	run(&world, &calm, 2 * MINUTE);
	for (size_t i = 0; i < 60 * MINUTE; i++) {
		unsigned before = world.setting.used;
		run(&world, &lines, 1);
		changes += before != world.setting.used;
		assert_false(gives_up(&world, BUDGET_LEVER_DEPTH));
	}
	/* Without waiting longer each time it would be 300. */
	assert_true(changes >= 4 && changes <= 30);
	assert_true(highest(&world, 2 * MINUTE, MINUTE) <= 0.005 * 1.02);
}

/* After a long time of nothing, and after a storm and then nothing, a burst of a fifth of a second is seen. */
static void spike_after_idle(void **state)
{
	static const struct load nothing = {.fixed_ns = 0.2e6};
	static const struct load heavy = {.busy_cpus = 4, .sample_ns = 900e3, .fixed_ns = 2e6};
	static const struct load *const before[] = {&nothing, &storm, &heavy};
	for (size_t i = 0; i < ARRAY_LENGTH(before); i++) {
		struct world world;
		begin(&world, 4, 0.005);
		run(&world, before[i], 10 * MINUTE);
		run(&world, &nothing, 10 * MINUTE);
		for (size_t k = 0; k < MINUTE; k++) {
			run(&world, &nothing, 1);
			assert_true(world.setting.on && world.setting.weight == 1);
			/* Of one CPU for 0.2 s: two samples at the floor, 19 at the full rate, which is there where
			 * all CPUs becoming busy would not cost too much at it. */
			assert_true(before[i] == &heavy ? world.setting.frequency >= BUDGET_LOWEST_HZ
							: world.setting.frequency == 99);
		}
	}
}

/* The floor is too much: steps are on by chance, and what they weigh makes up for it. */
static void off_and_on_is_unbiased(void **state)
{
	static const struct load heavy = {
		.busy_cpus = 4, .sample_ns = 900e3, .fixed_ns = 2e6, .noise = 0.2};
	double ratios = 0;
	const size_t runs = 40, steps = 60 * MINUTE;
	for (size_t i = 0; i < runs; i++) {
		struct world world;
		begin(&world, 4, 0.005);
		world.budget.random = i * 1000003;
		run(&world, &heavy, steps);
		assert_int_equal(world.setting.frequency, BUDGET_LOWEST_HZ);
		assert_true(highest(&world, 2 * MINUTE, MINUTE) <= 0.005 * 1.6);
		double sum = 0;
		for (size_t k = 2 * MINUTE; k < steps; k++)
			sum += world.history[k];
		assert_true(sum / (double)(steps - 2 * MINUTE) <= 0.005 * 1.02);
		ratios += world.weighed / world.true_samples;
	}
	/* The chance is about 0.45 over 144,000 steps: a standard deviation of 0.3 %, allowed 4. */
	assert_true(ratios / (double)runs > 1 - 0.012);
	assert_true(ratios / (double)runs < 1 + 0.012);
}

static void floor_that_is_too_high_is_told(void **state)
{
	static const struct load hopeless = {.busy_cpus = 1, .sample_ns = 40e3, .fixed_ns = 60e6};
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &hopeless, 2 * MINUTE);
	assert_true(world.ever_infeasible);
	run(&world, &calm, 3 * MINUTE);
	struct budget_report report;
	budget_get_report(&world.budget, &report);
	assert_false(report.infeasible);
	assert_int_equal(world.setting.frequency, 99);
	assert_true(world.setting.weight == 1);
}

/* Chance cannot help against what is not the ticks' cost: they go on. */
static void other_cost_leaves_ticks_on(void **state)
{
	static const struct load forks = {.busy_cpus = 2, .sample_ns = 40e3, .fixed_ns = 80e6};
	struct world world;
	begin(&world, 4, 0.005);
	run(&world, &forks, 2 * MINUTE);
	assert_int_equal(world.setting.frequency, BUDGET_LOWEST_HZ);
	assert_true(world.setting.weight == 1);
	assert_true(world.ever_infeasible);
}

static void thousand_cpus(void **state)
{
	static const struct load all_busy = {
		.busy_cpus = 1000, .sample_ns = 60e3, .fixed_ns = 500e6, .noise = 0.05};
	struct world world;
	begin(&world, 1000, 0.002);
	run(&world, &all_busy, 10 * MINUTE);

	assert_true(highest(&world, 0, MINUTE) <= 0.002 * 1.02);
	assert_true(world.setting.frequency >= BUDGET_LOWEST_HZ && world.setting.frequency < 99);
}

/* Steps that come late are as long as they are. */
static void uneven_steps(void **state)
{
	struct budget budget;
	struct budget_options options = {.share = 0.01, .highest_hz = 99, .seed = 1};
	budget_init(&budget, &options);
	for (int i = 0; i < 200; i++) {
		uint64_t elapsed = NS_PER_SECOND * (i % 3 ? 1 : 4);
		struct budget_reading reading = {
			.elapsed_ns = elapsed, .cpus = 2, .cost_ns = elapsed / 100};
		budget_step(&budget, &reading); /* half the budget, at any length */
	}
	assert_int_equal(budget.setting.frequency, 99);
	struct budget_reading nothing = {0};
	assert_int_equal(budget_step(&budget, &nothing).frequency, 99);
}

static void change_while_running(void **state)
{
	struct world world;
	begin(&world, 4, 0.5);
	run(&world, &storm, MINUTE);
	assert_int_equal(world.setting.frequency, 99);
	budget_change(&world.budget, 0.5, 499);
	run(&world, &storm, 1);
	assert_int_equal(world.setting.frequency, 499);
	budget_change(&world.budget, 0.005, 499);
	run(&world, &storm, 2 * MINUTE);
	assert_true(world.setting.frequency < 60);
	budget_change(&world.budget, 0.005, 7);
	run(&world, &storm, 1);
	assert_int_equal(world.setting.frequency, 7); /* below the floor only when asked to */
}

/* Of a host whose first minute was dear: until there is a minute all of it counts, then the dearest one, until an interval
 * ends. Steps that come late make the same minute. */
static void dearest_minute(void **state)
{
	struct budget budget;
	struct budget_report report;
	struct budget_options options = {.share = 0.01, .highest_hz = 99, .seed = 1};
	struct budget_reading dear = {.elapsed_ns = BUDGET_STEP_NS, .cpus = 2, .cost_ns = BUDGET_STEP_NS};
	struct budget_reading cheap = {.elapsed_ns = 4 * BUDGET_STEP_NS, .cpus = 2};
	budget_init(&budget, &options);
	budget_step(&budget, &dear);
	budget_get_report(&budget, &report);
	assert_true(report.dearest_cost > 0.4 && !report.is_minute);
	for (int i = 0; i < 29; i++)
		budget_step(&budget, &cheap);
	budget_end(&budget, &(struct budget_reading){.elapsed_ns = 3 * BUDGET_STEP_NS, .cpus = 2});
	budget_get_report(&budget, &report);
	assert_true(report.is_minute);
	assert_float_equal(report.dearest_cost, 0.5 / 120, 1e-6);
	for (int i = 0; i < 30; i++)
		budget_step(&budget, &cheap);
	budget_get_report(&budget, &report);
	assert_float_equal(report.window_cost, 0, 1e-9);
	assert_float_equal(report.dearest_cost, 0.5 / 120, 1e-6);
	budget_begin_interval(&budget);
	budget_get_report(&budget, &report);
	assert_float_equal(report.dearest_cost, 0, 1e-9);
}

static enum budget_rate_limit limit_of(const struct world *world)
{
	struct budget_report report;
	budget_get_report(&world->budget, &report);
	return report.rate_limit;
}

static void why_the_rate_is_no_higher(void **state)
{
	struct world world;
	begin_at(&world, 4, 0.005, 9999);
	assert_int_equal(limit_of(&world), BUDGET_RATE_LIMIT_ONSET);
	run(&world, &(struct load){.fixed_ns = 1200e6}, 1); /* half a minute's worth */
	run(&world, &storm, MINUTE / 2);
	assert_int_equal(limit_of(&world), BUDGET_RATE_LIMIT_START);
	run(&world, &storm, 2 * MINUTE);
	assert_int_equal(limit_of(&world), BUDGET_RATE_LIMIT_COST);
	run(&world, &before_storm, 2 * MINUTE);
	assert_int_equal(limit_of(&world), BUDGET_RATE_LIMIT_ONSET);
	begin(&world, 4, 0.005);
	run(&world, &calm, MINUTE);
	assert_int_equal(limit_of(&world), BUDGET_RATE_LIMIT_ASKED);
	assert_string_equal(budget_rate_limit_name(BUDGET_RATE_LIMIT_ASKED), "asked");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calm_has_the_full_rate),
		cmocka_unit_test(reading_is_spread),
		cmocka_unit_test(reading_in_a_storm),
		cmocka_unit_test(start_keeps_the_rate),
		cmocka_unit_test(start_that_is_too_dear),
		cmocka_unit_test(first_minute_with_new_binaries),
		cmocka_unit_test(first_minute_with_many_processes),
		cmocka_unit_test(start_at_a_rate_that_fits),
		cmocka_unit_test(storm_after_a_calm_hour),
		cmocka_unit_test(bursts_change_nothing),
		cmocka_unit_test(storm_after_a_cheap_start),
		cmocka_unit_test(storms_that_come_and_go),
		cmocka_unit_test(load_without_pattern),
		cmocka_unit_test(calm_is_seen_at_once),
		cmocka_unit_test(storm_is_kept_and_ends),
		cmocka_unit_test(levers_in_order),
		cmocka_unit_test(fork_storm),
		cmocka_unit_test(levers_that_cannot_return),
		cmocka_unit_test(spike_after_idle),
		cmocka_unit_test(off_and_on_is_unbiased),
		cmocka_unit_test(floor_that_is_too_high_is_told),
		cmocka_unit_test(other_cost_leaves_ticks_on),
		cmocka_unit_test(thousand_cpus),
		cmocka_unit_test(uneven_steps),
		cmocka_unit_test(change_while_running),
		cmocka_unit_test(dearest_minute),
		cmocka_unit_test(why_the_rate_is_no_higher),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
