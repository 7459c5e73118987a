/* SPDX-License-Identifier: Apache-2.0 */
/* A heap told of in one profile after another. */
#include "profile/heap_places.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct world {
	struct aggregate aggregate;
	struct aggregate_window *window;
	struct heap_places places;
	struct process process;
	struct strategies *strategies; /* NULL: none */
};

static void begin(struct world *w)
{
	*w = (struct world){.process = {.references = 1, .pid = 7, .start_time = 70, .exec_id = 1}};
	aggregate_init(&w->aggregate, NULL);
	w->window = &w->aggregate.current[PROFILE_KIND_HEAP];
}

static void end(struct world *w)
{
	heap_places_free(&w->places);
	aggregate_deinit(&w->aggregate);
	assert_int_equal(w->process.references, 1);
}

/* The kernel side tells of a place. */
static void meet(struct world *w, uint64_t stack_id)
{
	uint64_t frame = 1;
	struct record_sample sample = {.event = EVENT_ALLOCATION, .stack_id = stack_id, .pid = 7, .tid = 7,
				       .user_frames = 1};
	aggregate_add(&w->aggregate, &sample, &frame, NULL, &w->process);
}

/* What the table has of a place: in the kernel, of what has ended, alive. */
static struct heap_total total(uint64_t stack_id, double current, double ended, double held)
{
	return (struct heap_total){
		.key = {.stack_id = stack_id, .pid = 7, .process_start = 70, .exec_id = 1},
		.objects = current + ended,
		.bytes = 10 * (current + ended),
		.held_objects = held,
		.held_bytes = 10 * held,
		.current = {.objects = current, .bytes = 10 * current},
		.is_final = current == 0,
	};
}

/* The next profile of these totals; the entries' values go to *ret. */
static void tell(struct world *w, const struct heap_total *of, size_t count, struct heap_told *ret)
{
	struct heap_totals totals = {.interval = 1, .first_interval = 1};
	for (size_t i = 0; i < count; i++)
		assert_int_equal(array_add(&totals.list, of[i]), 0);
	heap_places_subtract(&w->places, &totals);
	assert_int_equal(heap_places_tell(&w->places, &w->aggregate, w->window, &totals, w->strategies, false, ret), 0);
	assert_int_equal(heap_places_next(&w->places, &w->aggregate, w->window, &totals, ret), 0);
	array_free(&totals.list);
}

static void expect_next(struct world *w, struct heap_total of, int64_t objects, int64_t held)
{
	struct heap_told told;
	tell(w, &of, 1, &told);
	assert_int_equal(told.values[0].objects, objects);
	assert_int_equal(told.values[0].bytes, 10 * objects);
	assert_int_equal(told.values[0].held_objects, held);
	assert_int_equal(told.lost_places, 0);
	free(told.values);
}

static void test_differences(void **state)
{
	struct world w;
	begin(&w);
	meet(&w, 5);
	expect_next(&w, total(5, 100, 0, 40), 100, 40);
	expect_next(&w, total(5, 130, 0, 70), 30, 70);
	expect_next(&w, total(5, 130, 0, 70), 0, 70);
	/* What was in the kernel has become final, and is forgotten there; the place begins anew. */
	expect_next(&w, total(5, 0, 150, 0), 20, 0);
	assert_int_equal(w.window->entries.count, 1);
	expect_next(&w, total(5, 3, 0, 3), 3, 3);
	end(&w);
}

static void test_nothing_is_taken_back(void **state)
{
	struct world w;
	begin(&w);
	meet(&w, 5);
	expect_next(&w, total(5, 100, 0, 0), 100, 0);
	expect_next(&w, total(5, 90, 0, 0), 0, 0);
	expect_next(&w, total(5, 95, 0, 0), 0, 0);
	expect_next(&w, total(5, 112, 0, 0), 12, 0);
	end(&w);
}

static void test_end(void **state)
{
	struct world w;
	struct heap_told told;
	begin(&w);
	meet(&w, 5);
	meet(&w, 6);
	struct heap_total two[] = {total(5, 8, 0, 8), total(6, 4, 0, 4)};
	tell(&w, two, 2, &told);
	free(told.values);
	w.process.end = 1000;
	/* One is found to have ended, of the other the kernel still knows. */
	struct heap_total last[] = {total(5, 0, 9, 8), total(6, 4, 0, 4)};
	tell(&w, last, 2, &told);
	assert_int_equal(told.values[0].objects, 1);
	assert_int_equal(told.values[0].held_objects, 8);
	free(told.values);
	assert_int_equal(w.window->entries.count, 1);
	expect_next(&w, total(6, 0, 4, 4), 0, 4);
	assert_int_equal(w.window->entries.count, 0);
	assert_int_equal(w.places.list.count, 0);
	assert_int_equal(w.process.references, 1);
	end(&w);
}

/* A place whose stack comes later is told then, in full. */
static void test_unknown_stack(void **state)
{
	struct world w;
	struct heap_told told;
	struct heap_total unknown = total(5, 8, 0, 8);
	begin(&w);
	tell(&w, &unknown, 1, &told);
	assert_int_equal(told.lost_places, 1);
	assert_int_equal(told.lost_bytes, 80);
	free(told.values);
	meet(&w, 5);
	expect_next(&w, total(5, 9, 0, 8), 9, 8);
	end(&w);
}

static void test_in_all(void **state)
{
	struct world w;
	struct heap_told told;
	struct heap_totals totals = {.interval = 1, .first_interval = 1};
	begin(&w);
	meet(&w, 5);
	meet(&w, 6);
	struct heap_total two[] = {total(5, 8, 0, 8), total(6, 4, 0, 4)};
	tell(&w, two, 2, &told);
	free(told.values);
	assert_int_equal(array_add(&totals.list, total(5, 11, 0, 2)), 0);
	heap_places_subtract(&w.places, &totals);
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, w.strategies, true, &told), 0);
	assert_int_equal(told.values[0].objects, 11);
	assert_int_equal(told.values[0].held_objects, 2);
	assert_int_equal(told.values[1].objects, 4);
	assert_int_equal(told.values[1].held_objects, 0);
	free(told.values);
	array_free(&totals.list);
	expect_next(&w, total(5, 11, 0, 2), 3, 2);
	end(&w);
}

/* As total(), where so much was freed after a moment, in the kernel and before. */
static struct heap_total freed(double current, double ended)
{
	struct heap_total of = total(5, current, ended, 0);
	of.freed.objects[2] = current + ended;
	of.freed.bytes[2] = 10 * (current + ended);
	of.current.freed.objects[2] = current;
	of.current.freed.bytes[2] = 10 * current;
	return of;
}

static void expect_freed(struct world *w, struct heap_total of, int64_t objects)
{
	struct heap_told told;
	tell(w, &of, 1, &told);
	assert_int_equal(told.values[0].freed.objects[2], objects);
	assert_int_equal(told.values[0].freed.bytes[2], 10 * objects);
	assert_int_equal(told.values[0].freed.objects[1], 0);
	free(told.values);
}

/* As what is allocated: each profile tells what came since, also where what was in the kernel becomes final, and takes
 * nothing back. */
static void test_freed(void **state)
{
	struct world w;
	struct heap_told told;
	struct heap_totals totals = {.interval = 1, .first_interval = 1};
	begin(&w);
	meet(&w, 5);
	expect_freed(&w, freed(100, 0), 100);
	expect_freed(&w, freed(130, 0), 30);
	expect_freed(&w, freed(0, 150), 20);
	expect_freed(&w, freed(3, 0), 3);
	expect_freed(&w, freed(2, 10), 9);
	expect_freed(&w, freed(1, 0), 0);
	expect_freed(&w, freed(4, 0), 2);
	assert_int_equal(array_add(&totals.list, freed(5, 0)), 0);
	heap_places_subtract(&w.places, &totals);
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, w.strategies, true, &told), 0);
	assert_int_equal(told.values[0].freed.objects[2], 165);
	free(told.values);
	totals.list.count = 0; /* of a place that is quiet, what was told */
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, w.strategies, true, &told), 0);
	assert_int_equal(told.values[0].freed.objects[2], 164);
	free(told.values);
	array_free(&totals.list);
	tell(&w, NULL, 0, &told); /* the kernel has nothing of it any more, unseen */
	free(told.values);
	expect_freed(&w, freed(6, 0), 6);
	end(&w);
}

/* In an interval in which a place only frees it is told. */
static void test_only_freed(void **state)
{
	struct heap_values values = {.freed.bytes[12] = 1};
	assert_true(heap_values_any(&values));
	values.freed.bytes[12] = 0;
	assert_false(heap_values_any(&values));
}

/* ---- Processes that stand for others --------------------------------------------------------------- */

static struct strategies *strategies_by_process(double ratio, uint64_t seed)
{
	struct strategies *strategies;
	struct strategy_rule rule = {
		.kind = PROFILE_KIND_HEAP,
		.options = {.kind = STRATEGY_PROBABILISTIC, .by = STRATEGY_BY_PROCESS, .ratio = ratio}};
	rule.name = strdup("some");
	assert_int_equal(strategies_new(&rule, 1, seed, 0, &strategies), 0);
	return strategies;
}

/* One by which the process is looked at. */
static struct strategies *strategies_that_take(const struct process *process, double ratio)
{
	for (uint64_t seed = 1;; seed++) {
		struct strategies *strategies = strategies_by_process(ratio, seed);
		if (strategies_offer_heap(strategies, process, NULL, 1) > 0)
			return strategies;
		strategies_free(strategies);
	}
}

/* Each value is told as often as the process stands for, what is cut off by rounding with the next profile; what was told
 * before the factor changed stays. */
static void test_factor(void **state)
{
	struct world w;
	struct heap_told told;
	int64_t objects = 0, freed_objects = 0;
	begin(&w);
	w.process.life = w.process.number = 1;
	w.process.executable_name = "x";
	meet(&w, 5);
	w.strategies = strategies_that_take(&w.process, 0.3);
	for (int i = 1; i <= 9; i++) {
		struct heap_total of = freed(i, 0);
		of.held_objects = 1;
		tell(&w, &of, 1, &told);
		objects += told.values[0].objects;
		freed_objects += told.values[0].freed.objects[2];
		assert_in_range(told.values[0].held_objects, 3, 4);
		assert_true(told.is_weighed);
		free(told.values);
	}
	assert_int_equal(objects, 30);
	assert_int_equal(freed_objects, 30);
	strategies_free(w.strategies);
	w.strategies = strategies_that_take(&w.process, 0.5);
	struct heap_total more = freed(14, 0);
	tell(&w, &more, 1, &told);
	assert_int_equal(told.values[0].objects, 10);
	assert_int_equal(told.values[0].bytes, 100);
	assert_int_equal(told.values[0].freed.objects[2], 10);
	free(told.values);
	strategies_free(w.strategies);
	w.strategies = NULL;
	expect_freed(&w, freed(15, 0), 1);
	end(&w);
}

/* One object at each of many places is two or three when the process stands for 2.5 of its kind. */
static void test_rounding(void **state)
{
	enum { PLACES = 1000 };
	struct world w;
	struct heap_told told;
	struct heap_total of[PLACES];
	int64_t objects = 0, held = 0;
	begin(&w);
	w.process.life = w.process.number = 1;
	w.process.executable_name = "x";
	w.strategies = strategies_that_take(&w.process, 0.4);
	for (unsigned i = 0; i < PLACES; i++) {
		meet(&w, i + 1);
		of[i] = total(i + 1, 1, 0, 1);
	}
	for (unsigned round = 0; round < 3; round++) {
		tell(&w, of, PLACES, &told);
		held = 0;
		for (unsigned i = 0; i < PLACES; i++) {
			assert_in_range(told.values[i].held_objects, 2, 3);
			objects += told.values[i].objects;
			held += told.values[i].held_objects;
		}
		/* Within 3.89 standard deviations of what is cut off. */
		assert_true(fabs((double)held - 2500) <= 3.89 * 0.5 * sqrt(PLACES));
		assert_int_equal(objects, held);
		free(told.values);
	}
	strategies_free(w.strategies);
	end(&w);
}

/* What is told in all of a process that has become another program, one place of it quiet, is of one process. */
static void test_variance_of_process(void **state)
{
	struct world w;
	struct heap_told told;
	struct heap_totals totals = {.interval = 1, .first_interval = 1};
	begin(&w);
	struct process after = {.references = 1, .pid = 7, .start_time = 70, .exec_id = 2, .number = 2, .life = 1,
				.executable_name = "x"};
	struct record_sample sample = {.event = EVENT_ALLOCATION, .stack_id = 6, .pid = 7, .tid = 7, .user_frames = 1};
	uint64_t frame = 1;
	w.process.life = w.process.number = 1;
	w.process.executable_name = "x";
	w.strategies = strategies_that_take(&w.process, 0.5);
	meet(&w, 5);
	aggregate_add(&w.aggregate, &sample, &frame, NULL, &after);
	struct heap_total both[] = {total(5, 3, 0, 0), total(6, 4, 0, 4)};
	both[1].key.exec_id = 2;
	tell(&w, both, 2, &told);
	assert_true(told.objects == 14 && told.bytes == 140);
	assert_float_equal(told.variances.objects, 2 * 1 * 7 * 7, 1e-9);
	assert_float_equal(told.variances.held_bytes, 2 * 1 * 40 * 40, 1e-9);
	free(told.values);
	/* Of the first the kernel has nothing any more. */
	assert_int_equal(array_add(&totals.list, both[1]), 0);
	heap_places_subtract(&w.places, &totals);
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, w.strategies, true, &told), 0);
	assert_true(told.objects == 14);
	assert_float_equal(told.variances.objects, 2 * 1 * 7 * 7, 1e-9);
	free(told.values);
	array_free(&totals.list);
	strategies_free(w.strategies);
	end(&w);
}

/* Hosts of processes that are taken with the chance 0.4: sums have the mean of all, within 3.89 standard errors, and are
 * as far off as is told. */
static void test_sums_are_unbiased(void **state)
{
	enum { RUNS = 400, PROCESSES = 60 };
	static struct process processes[PROCESSES];
	double mean = 0, squares = 0, true_sum = 0;
	unsigned covered = 0;
	for (uint32_t i = 0; i < PROCESSES; i++) {
		processes[i] = (struct process){.references = 1, .pid = i + 1, .start_time = 70, .exec_id = 1,
						.number = i + 1, .life = i + 1, .executable_name = "x"};
		true_sum += 100 + 7 * i;
	}
	for (uint64_t run = 1; run <= RUNS; run++) {
		struct world w;
		struct heap_told told;
		struct heap_total of[PROCESSES];
		size_t count = 0;
		int64_t held = 0;
		begin(&w);
		w.strategies = strategies_by_process(0.4, run);
		for (uint32_t i = 0; i < PROCESSES; i++) {
			struct record_sample sample = {.event = EVENT_ALLOCATION, .stack_id = 5, .pid = i + 1,
						       .tid = i + 1, .user_frames = 1};
			uint64_t frame = 1;
			if (strategies_offer_heap(w.strategies, &processes[i], NULL, 1) == 0)
				continue;
			aggregate_add(&w.aggregate, &sample, &frame, NULL, &processes[i]);
			of[count] = total(5, 100 + 7 * i, 0, 100 + 7 * i);
			of[count++].key.pid = i + 1;
		}
		tell(&w, of, count, &told);
		for (size_t i = 0; i < count; i++)
			held += told.values[i].held_objects;
		mean += (double)held / RUNS;
		squares += pow((double)held - true_sum, 2) / RUNS;
		covered += fabs((double)held - true_sum) <= 1.96 * sqrt(told.variances.held_objects);
		assert_true(told.variances.objects == told.variances.held_objects);
		free(told.values);
		strategies_free(w.strategies);
		end(&w);
	}
	if (fabs(mean - true_sum) > 3.89 * sqrt(squares / RUNS) || covered < RUNS * 9 / 10)
		fail_msg("the mean is %g, %g is true; %u of %d within the bound", mean, true_sum, covered, RUNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_differences),
		cmocka_unit_test(test_nothing_is_taken_back),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_unknown_stack),
		cmocka_unit_test(test_in_all),
		cmocka_unit_test(test_freed),
		cmocka_unit_test(test_only_freed),
		cmocka_unit_test(test_factor),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_variance_of_process),
		cmocka_unit_test(test_sums_are_unbiased),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
