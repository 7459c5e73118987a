/* SPDX-License-Identifier: Apache-2.0 */
/* Pauses between attempts, and what a kill says about itself at the next start. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "export/backoff.h"
#include "export/open_interval.h"
#include "tests/unit/export/scratch.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_pauses_without_jitter(void **state)
{
	struct backoff_options options = {.randomization = -1};
	struct backoff backoff = {0};
	backoff_set_defaults(&options);
	const double seconds[] = {5, 7.5, 11.25, 16.875, 25.3125, 30, 30};
	for (size_t i = 0; i < ARRAY_LENGTH(seconds); i++)
		assert_int_equal(backoff_next(&backoff, &options, 0, hash_mix(i)),
				 (uint64_t)(seconds[i] * 1e9));
	assert_int_equal(backoff_next(&backoff, &options, 31 * NS_PER_SECOND, 0),
			 31 * NS_PER_SECOND);
	assert_int_equal(backoff_next(&backoff, &options, NS_PER_SECOND, 0), 30 * NS_PER_SECOND);
	assert_int_equal(backoff_next(&backoff, &options, UINT64_MAX, 0), 3600 * NS_PER_SECOND);
}

static void test_jitter(void **state)
{
	struct backoff_options options = {0};
	uint64_t low = UINT64_MAX, high = 0;
	double sum = 0;
	backoff_set_defaults(&options);
	for (uint64_t i = 0; i < 10000; i++) {
		struct backoff backoff = {0};
		uint64_t pause = backoff_next(&backoff, &options, 0, hash_mix(i + 1));
		low = MIN_OF(low, pause);
		high = MAX_OF(high, pause);
		sum += (double)pause;
	}
	assert_in_range(low, 2500000000, 2510000000);
	assert_in_range(high, 7490000000, 7500000000);
	/* The mean of 10,000 draws from [2.5, 7.5) strays by 0.014 s; five times that. */
	assert_true(sum / 10000 > 4.93e9 && sum / 10000 < 5.07e9);
}

/* A process that begins an interval, lives until `seen_ns`, and ends in order or not. */
static void run_daemon(const char *directory, int64_t seen_ns, bool in_order)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct open_interval *interval = NULL;
		struct lost_interval lost;
		if (open_interval_take(directory, &interval, &lost) < 0)
			_exit(1);
		open_interval_begin(interval, 1000);
		open_interval_heartbeat(interval, seen_ns);
		if (in_order)
			open_interval_close(interval);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_open_interval(void **state)
{
	char *directory = scratch_make();
	struct open_interval *interval = NULL, *second = NULL;
	struct lost_interval lost = {0};
	run_daemon(directory, 5000, true);
	assert_int_equal(open_interval_take(directory, &interval, &lost), 0);
	assert_int_equal(open_interval_take(directory, &second, &lost), -EBUSY);
	open_interval_close(interval);
	run_daemon(directory, 7000, false);
	assert_int_equal(open_interval_take(directory, &interval, &lost), 1);
	assert_int_equal(lost.start_ns, 1000);
	assert_int_equal(lost.last_seen_ns, 7000);
	open_interval_begin(interval, 8000);
	open_interval_heartbeat(interval, 500); /* the clock was set back */
	open_interval_close(interval);
	assert_int_equal(open_interval_heartbeat(NULL, 1), 0);
	scratch_remove(directory);
}

static void test_damaged_open_interval(void **state)
{
	char *directory = scratch_make();
	_cleanup_free_ char *path = text_format("%s/open-interval", directory);
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	run_daemon(directory, 7000, false);
	assert_int_equal(read_whole_file(path, 4096, &bytes, &size), 0);
	for (size_t i = 0; i < 2 * size; i++) {
		struct open_interval *interval = NULL;
		struct lost_interval lost;
		/* Changed at every byte, then cut at every byte. */
		if (i < size)
			bytes[i] ^= 0x10;
		assert_int_equal(write_file_atomically(path, bytes, i < size ? size : i - size, 0600),
				 0);
		if (i < size)
			bytes[i] ^= 0x10;
		assert_int_equal(open_interval_take(directory, &interval, &lost), 0);
		open_interval_close(interval);
	}
	scratch_remove(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pauses_without_jitter),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_open_interval),
		cmocka_unit_test(test_damaged_open_interval),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
