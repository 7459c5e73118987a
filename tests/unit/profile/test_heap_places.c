/* SPDX-License-Identifier: Apache-2.0 */
/* A heap told of in one profile after another. */
#include "profile/heap_places.h"

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
	assert_int_equal(heap_places_tell(&w->places, &w->aggregate, w->window, &totals, false, ret), 0);
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
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, true, &told), 0);
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
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, true, &told), 0);
	assert_int_equal(told.values[0].freed.objects[2], 165);
	free(told.values);
	totals.list.count = 0; /* of a place that is quiet, what was told */
	assert_int_equal(heap_places_tell(&w.places, &w.aggregate, w.window, &totals, true, &told), 0);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
