/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of memory, as text that may be anything. */
#include "process/memory_usage.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

static void status_is_read(void **state)
{
	struct memory_usage usage;
	assert_true(memory_usage_parse("Name:\tcat\nVmRSS:\t 30 kB\nRssAnon:\t      12 kB\nRssFile:\t 8 kB\n"
				       "RssShmem:\t 4 kB\nVmSwap:\t 2 kB\n",
				       &usage));
	assert_int_equal(usage.anonymous, 12 * 1024);
	assert_int_equal(usage.file, 8 * 1024);
	assert_int_equal(usage.shared, 4 * 1024);
	assert_int_equal(usage.swapped, 2 * 1024);
}

static void other_text_is_none(void **state)
{
	static const char *const texts[] = {"", "\n", "RssAnon", "RssAnon 12 kB", "XRssAnon:\t12 kB\n",
					    "Name:\tRssAnon:\n"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct memory_usage usage;
		assert_false(memory_usage_parse(texts[i], &usage));
		assert_int_equal(usage.anonymous, 0);
	}
}

static void meminfo_is_read(void **state)
{
	struct host_memory host;
	host_memory_parse("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\nAnonPages: 300 kB\n"
			  "Shmem: 20 kB\nSwapTotal: 50 kB\nSwapFree: 40 kB\n",
			  &host);
	assert_int_equal(host.total, 1000 * 1024);
	assert_int_equal(host.available, 600 * 1024);
	assert_int_equal(host.anonymous, 300 * 1024);
	assert_int_equal(host.shared, 20 * 1024);
	assert_int_equal(host.swap_used, 10 * 1024);
	host_memory_parse("SwapFree: 40 kB\n", &host);
	assert_int_equal(host.swap_used, 0);
}

static void we_have_memory_ourselves(void **state)
{
	struct memory_usage usage, sum = {0};
	assert_int_equal(memory_usage_read("/proc", (uint32_t)getpid(), &usage), 0);
	assert_true(usage.anonymous > 0);
	memory_usage_add(&sum, &usage);
	memory_usage_add(&sum, &usage);
	assert_int_equal(sum.anonymous, 2 * usage.anonymous);
	assert_int_equal(memory_usage_read("/proc", 0x7fffffff, &usage), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_is_read),
		cmocka_unit_test(other_text_is_none),
		cmocka_unit_test(meminfo_is_read),
		cmocka_unit_test(we_have_memory_ourselves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
