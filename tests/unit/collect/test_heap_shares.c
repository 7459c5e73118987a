/* SPDX-License-Identifier: Apache-2.0 */
/* How far off shares are, from made-up windows with a known truth. */
#include "collect/heap_shares.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define RUNS 1000

static double uniform(void)
{
	static uint64_t state = 1;
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((double)(state >> 11) + 0.5) / 9007199254740992.0;
}

static void test_nothing(void **state)
{
	struct heap_share share = {0};
	struct heap_share_sums sums = {0};
	assert_float_equal(heap_share_error_95(&share, &sums), 1, 0);
	heap_share_add(&share, 10, 20);
	heap_share_sums_add(&sums, 20);
	assert_float_equal(heap_share_error_95(&share, &sums), 1, 0);
}

/* Windows that are alike leave no doubt, whether much or little was seen in each; those in which nothing was seen say
 * nothing. */
static void test_alike(void **state)
{
	struct heap_share share = {0};
	struct heap_share_sums sums = {0};
	for (int i = 0; i < 10; i++) {
		heap_share_add(&share, 30.0 * i, 100.0 * i);
		heap_share_sums_add(&sums, 100.0 * i);
	}
	assert_int_equal(sums.opened, 10);
	assert_int_equal(sums.windows, 9);
	assert_float_equal(heap_share_error_95(&share, &sums), 0, 1e-6);
}

/* A window sees allocations of one kind only: as in throwing a coin, the error is that of a binomial share. */
static void test_one_kind(void **state)
{
	struct heap_share share = {0};
	struct heap_share_sums sums = {0};
	for (int i = 0; i < 400; i++) {
		heap_share_add(&share, i % 2 ? 100 : 0, 100);
		heap_share_sums_add(&sums, 100);
	}
	assert_float_equal(heap_share_error_95(&share, &sums), 1.96 * sqrt(0.25 / 400), 0.001);
}

struct run {
	double off, error;
};

/* A place has three tenths of the bytes in the mean, in each window another part, of as many bytes as chance will. */
static struct run simulate(unsigned windows)
{
	struct heap_share share = {0};
	struct heap_share_sums sums = {0};
	for (unsigned i = 0; i < windows; i++) {
		double all = 1000 * (0.5 + uniform());
		heap_share_add(&share, all * 0.6 * uniform(), all);
		heap_share_sums_add(&sums, all);
	}
	return (struct run){fabs(share.bytes / sums.all - 0.3), heap_share_error_95(&share, &sums)};
}

static void test_coverage(void **state)
{
	static const unsigned windows[] = {3, 10, 40};
	for (size_t k = 0; k < sizeof(windows) / sizeof(*windows); k++) {
		unsigned inside = 0;
		double error = 0;
		for (unsigned run = 0; run < RUNS; run++) {
			struct run result = simulate(windows[k]);
			inside += result.off <= result.error;
			error += result.error / RUNS;
		}
		print_message("%u windows: %u of %u within, %.3f in the mean\n", windows[k], inside, RUNS, error);
		assert_true(inside >= RUNS * 92 / 100 && (windows[k] < 10 || inside <= RUNS * 98 / 100));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_one_kind),
		cmocka_unit_test(test_coverage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
