/* SPDX-License-Identifier: Apache-2.0 */
/* Words of the kinds of profile, and to which kind a sample belongs. */
#include "profile/profile_kind.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void lists_are_sets(void **state)
{
	unsigned kinds = 0;
	assert_int_equal(profile_kinds_parse("cpu", &kinds), 0);
	assert_int_equal(kinds, PROFILE_KIND_BIT(PROFILE_KIND_CPU));
	assert_int_equal(profile_kinds_parse("growth,cpu", &kinds), 0);
	assert_int_equal(kinds, PROFILE_KIND_BIT(PROFILE_KIND_CPU) |
					PROFILE_KIND_BIT(PROFILE_KIND_GROWTH));
	assert_int_equal(profile_kinds_parse("growth,growth", &kinds), 0);
	assert_int_equal(kinds, PROFILE_KIND_BIT(PROFILE_KIND_GROWTH));
}

static void other_words_are_refused(void **state)
{
	static const char *const bad[] = {"", ",", "cpu,", "cpus", "cp", "CPU", "cpu growth"};
	unsigned kinds = 42;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(profile_kinds_parse(bad[i], &kinds), -EINVAL);
	assert_int_equal(kinds, 42);
}

static void words_round_trip(void **state)
{
	for (int kind = 0; kind < PROFILE_KIND_COUNT; kind++) {
		unsigned kinds;
		assert_int_equal(profile_kinds_parse(profile_kind_word((enum profile_kind)kind), &kinds),
				 0);
		assert_int_equal(kinds, PROFILE_KIND_BIT(kind));
	}
}

static void events_have_a_kind(void **state)
{
	assert_int_equal(profile_kind_of_event(EVENT_CPU), PROFILE_KIND_CPU);
	assert_int_equal(profile_kind_of_event(EVENT_GROWTH), PROFILE_KIND_GROWTH);
	assert_int_equal(profile_kind_of_event(EVENT_COPIED), PROFILE_KIND_GROWTH);
	assert_int_equal(profile_kind_of_event(0), -1);
	assert_int_equal(profile_kind_of_event(UINT16_MAX), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_are_sets),
		cmocka_unit_test(other_words_are_refused),
		cmocka_unit_test(words_round_trip),
		cmocka_unit_test(events_have_a_kind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
