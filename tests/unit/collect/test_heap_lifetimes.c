/* SPDX-License-Identifier: Apache-2.0 */
/* Classes of lifetimes, and what the watched samples of windows say of all. */
#include "collect/heap_lifetimes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_classes(void **state)
{
	assert_int_equal(heap_lifetime_class(0), 0);
	assert_int_equal(heap_lifetime_class(999999), 0);
	assert_int_equal(heap_lifetime_class(1000000), 1);
	assert_int_equal(heap_lifetime_class(3999999), 1);
	assert_int_equal(heap_lifetime_class(4000000), 2);
	assert_int_equal(heap_lifetime_class(2000000000), 6);
	assert_int_equal(heap_lifetime_class(4194303999999), 11); /* 70 minutes */
	assert_int_equal(heap_lifetime_class(4194304000000), 12);
	assert_int_equal(heap_lifetime_class(UINT64_MAX), 12);
}

static struct heap_site site_of(uint64_t first, uint64_t last)
{
	struct heap_site site = {0};
	site.freed[0] = (struct heap_sum){first * HEAP_WEIGHT_ONE, 10 * first};
	site.freed[HEAP_LIFETIMES - 1] = (struct heap_sum){last * HEAP_WEIGHT_ONE, 20 * last};
	return site;
}

static void test_sums(void **state)
{
	struct heap_site site = site_of(3, 5);
	struct heap_lifetimes sum = heap_lifetimes_read(&site), more = sum;
	assert_float_equal(sum.objects[0], 3, 0);
	assert_float_equal(sum.bytes[HEAP_LIFETIMES - 1], 100, 0);
	assert_float_equal(sum.objects[1], 0, 0);
	heap_lifetimes_add(&sum, &more);
	assert_float_equal(sum.objects[HEAP_LIFETIMES - 1], 10, 0);
	heap_lifetimes_subtract(&sum, &more);
	heap_lifetimes_subtract(&sum, &more);
	assert_float_equal(sum.bytes[0], 0, 0);
	assert_float_equal(sum.objects[HEAP_LIFETIMES - 1], 0, 0);
}

/* Of 20 objects that were watched, 100 bytes each in the mean, 8 were seen to be freed: of 1000, 400. */
static void test_scale(void **state)
{
	struct heap_site site = site_of(3, 5);
	struct heap_sum watched = {20 * HEAP_WEIGHT_ONE, 2000};
	struct heap_lifetimes scaled = heap_lifetimes_read(&site);
	heap_lifetimes_scale(&scaled, &watched, 1000, 50000);
	assert_float_equal(scaled.objects[0], 150, 1e-9);
	assert_float_equal(scaled.objects[HEAP_LIFETIMES - 1], 250, 1e-9);
	assert_float_equal(scaled.bytes[0], 30 * 25, 1e-9);
	assert_float_equal(scaled.bytes[HEAP_LIFETIMES - 1], 100 * 25, 1e-9);
}

/* More is freed than was watched lately: all of it is. Of what was not watched nothing is known. */
static void test_scale_ends(void **state)
{
	struct heap_site site = site_of(3, 5);
	struct heap_sum watched = {4 * HEAP_WEIGHT_ONE, 65};
	struct heap_lifetimes scaled = heap_lifetimes_read(&site), none = {0};
	heap_lifetimes_scale(&scaled, &watched, 80, 1300);
	assert_float_equal(scaled.objects[0] + scaled.objects[HEAP_LIFETIMES - 1], 80, 1e-9);
	assert_float_equal(scaled.bytes[0] + scaled.bytes[HEAP_LIFETIMES - 1], 1300, 1e-9);
	heap_lifetimes_scale(&none, &(struct heap_sum){0}, 80, 1300);
	assert_float_equal(none.objects[0], 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_scale),
		cmocka_unit_test(test_scale_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
