/* SPDX-License-Identifier: Apache-2.0 */
/* Samples of a heap made to agree with what was counted. */
#include "profile/heap_estimate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_calibrate(void **state)
{
	struct heap_totals totals = {.interval = 1000, .first_interval = 1000};
	struct heap_total exact = {.objects = 10, .bytes = 50000};
	struct heap_total rough = {.objects = 300, .object_variance = 900, .bytes = 3000, .byte_variance = 3e6};
	struct heap_total fine = {.objects = 100, .object_variance = 100, .bytes = 1000, .byte_variance = 1e6};
	assert_int_equal(array_add(&totals.list, exact), 0);
	assert_int_equal(array_add(&totals.list, rough), 0);
	assert_int_equal(array_add(&totals.list, fine), 0);
	heap_calibrate(&totals, 420, 54400);
	/* 400 more bytes, 3 of 4 parts of them to the one with 3 of 4 parts of the variance; 10 objects more. */
	assert_float_equal(totals.list.items[0].bytes, 50000, 1e-9);
	assert_float_equal(totals.list.items[1].bytes, 3300, 1e-9);
	assert_float_equal(totals.list.items[2].bytes, 1100, 1e-9);
	assert_float_equal(totals.list.items[0].objects, 10, 1e-9);
	assert_float_equal(totals.list.items[1].objects, 309, 1e-9);
	assert_float_equal(totals.list.items[1].byte_variance, 3e6 / 4, 1e-6);
	array_free(&totals.list);
}

static void test_error(void **state)
{
	/* Of nothing seen: three samples and a bit, as the rule of three has it. */
	assert_float_equal(heap_error_95(0, 1000), 3842, 5);
	/* Of many: 1.96 standard deviations. */
	assert_float_equal(heap_error_95(1e12, 1), 1.96e6, 10);
}

static void test_method(void **state)
{
	struct heap_totals totals = {.interval = HEAP_EXACT_INTERVAL, .first_interval = HEAP_EXACT_INTERVAL};
	assert_true(heap_is_exact(&totals));
	totals.raised = 1;
	assert_false(heap_is_exact(&totals));
}

static double comment_of(const struct profile *profile, const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < profile->comments.count; i++) {
		const char *text = profile_text(profile, profile->comments.items[i]);
		if (!strncmp(text, name, length) && text[length] == '=')
			return atof(text + length + 1);
	}
	fail_msg("no comment %s", name);
	return 0;
}

/* Bounds of what was seen in windows are wider for what is not known of processes that were left out by chance. */
static void test_bounds(void **state)
{
	struct heap_totals totals = {.interval = 1, .first_interval = 1, .windows = 5, .objects_low = 600,
				     .objects_high = 1600, .bytes_low = 100, .bytes_high = 30000};
	struct heap_told told = {.objects = 1000, .bytes = 10000};
	struct heap_windows_statistics windows = {0};
	struct profile *profile;
	assert_int_equal(profile_new(&profile), 0);
	assert_int_equal(heap_add_comments(&totals, &told, &windows, profile), 0);
	assert_true(comment_of(profile, "windows_objects_low_95") == 600);
	assert_true(comment_of(profile, "windows_objects_high_95") == 1600);
	profile_free(profile);
	/* 300 beside 400 and 600; of bytes more than there are. */
	assert_int_equal(profile_new(&profile), 0);
	told.is_weighed = true;
	told.variances = (struct heap_variances){.objects = pow(300 / 1.96, 2), .bytes = pow(50000 / 1.96, 2)};
	assert_int_equal(heap_add_comments(&totals, &told, &windows, profile), 0);
	assert_true(comment_of(profile, "windows_objects_low_95") == 500);
	assert_float_equal(comment_of(profile, "windows_objects_high_95"), 1000 + hypot(600, 300), 1);
	assert_true(comment_of(profile, "windows_space_low_95_bytes") == 0);
	assert_true(comment_of(profile, "alloc_space_error_95_bytes") == 50000);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calibrate),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_method),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
