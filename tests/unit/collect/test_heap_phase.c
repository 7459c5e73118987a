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
		cmocka_unit_test(test_uneven), cmocka_unit_test(test_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
