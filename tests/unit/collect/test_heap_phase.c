/* SPDX-License-Identifier: Apache-2.0 */
/* What windows say of a process, from made-up windows with a known truth. */
#include "collect/heap_phase.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MS 1e6

/* Windows of 1 ms, in which the process had the CPU; an allocation each 10 us of its own, of 100 bytes, and a probe
 * took 1 us: of the window, a part of 1 / 11. */
static struct heap_phase even_windows(unsigned count)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < count; i++) {
		struct heap_window_reading reading = {.cpu = MS, .wall = MS, .cost = MS / 11,
						      .objects = MS / 11000, .bytes = MS / 110};
		heap_phase_add(&phase, &reading);
	}
	return phase;
}

static void test_even(void **state)
{
	struct heap_phase phase = even_windows(20);
	/* 10 s of CPU, nearly all of it its own: a million allocations. */
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 10000 * MS);
	assert_float_equal(scale.factor * phase.objects, 1e6, 1);
	assert_float_equal(scale.factor * phase.bytes, 1e8, 100);
	assert_true(scale.objects_low <= 1e6 && scale.objects_high >= 1e6);
	assert_true(scale.bytes_low > 0.85e8 && scale.bytes_high < 1.15e8);
}

static void test_paced(void **state)
{
	/* It idles for half of the time outside of windows: by wall time it is half as much. */
	struct heap_phase phase = even_windows(20);
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 20000 * MS);
	assert_true(scale.objects_high >= 20000 * phase.objects / 20);
	scale = heap_phase_scale(&phase, 10000 * MS, 0, 5000 * MS);
	assert_true(scale.objects_low <= 5000 * phase.objects / 20);
}

static void test_saturated(void **state)
{
	struct heap_phase phase = {0};
	for (unsigned i = 0; i < 20; i++) {
		/* Probes took all that there was, and by their price even more. */
		struct heap_window_reading reading = {.cpu = MS, .wall = MS, .cost = 1.1 * MS, .objects = 800,
						      .bytes = 80000};
		heap_phase_add(&phase, &reading);
	}
	struct heap_phase_scale scale = heap_phase_scale(&phase, 10000 * MS, 0, 10000 * MS);
	assert_true(scale.factor > 0);
	assert_true(scale.objects_high / scale.objects_low > 100);
}

static void test_uneven(void **state)
{
	struct heap_phase even = even_windows(20), uneven = even;
	struct heap_window_reading much = {.cpu = MS, .wall = MS, .cost = MS / 11, .objects = 2000, .bytes = 2e5};
	heap_phase_add(&uneven, &much);
	struct heap_phase_scale narrow = heap_phase_scale(&even, 1000 * MS, 0, 1000 * MS);
	struct heap_phase_scale wide = heap_phase_scale(&uneven, 1000 * MS, 0, 1000 * MS);
	assert_true(wide.objects_high / wide.objects_low > 2 * narrow.objects_high / narrow.objects_low);
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
			struct heap_window_reading reading = {.cpu = MS, .wall = MS, .objects = much ? 1000 : 100,
							      .bytes = much ? 1e5 : 1e4};
			heap_phase_add(&phase, &reading);
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
	assert_true(heap_phase_scale(&none, MS, 0, MS).factor == 0);
	struct heap_window_reading asleep = {.wall = MS};
	heap_phase_add(&none, &asleep);
	assert_true(heap_phase_scale(&none, MS, 0, MS).factor == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_even),   cmocka_unit_test(test_paced), cmocka_unit_test(test_saturated),
		cmocka_unit_test(test_uneven), cmocka_unit_test(test_between), cmocka_unit_test(test_between_uneven), cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
