/* SPDX-License-Identifier: Apache-2.0 */
/* Lifetimes: what the shares are of, where what is freed is counted, and what a merge makes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "profile/lifetimes.h"
#include "profile/merge.h"
#include "tests/unit/profile/stacks.h"

static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space",
				    "freed_objects", "freed_space", "inuse_watched_samples"};

#define TYPES ARRAY_LENGTH(types)

static struct profile *new_profile(void)
{
	struct profile *p;
	bool failed = false;
	assert_int_equal(profile_new(&p), 0);
	for (size_t i = 0; i < TYPES; i++)
		array_add(&p->sample_types,
			  (struct profile_value_type){profile_string(p, types[i], &failed), 0});
	assert_false(failed);
	return p;
}

/* A sample with those values. */
static void add(struct profile *p, const char *stack, const int64_t values[static TYPES])
{
	test_add_stack(p, &(struct test_stack){stack, 0});
	p->values.count--;
	for (size_t i = 0; i < TYPES; i++)
		array_add(&p->values, values[i]);
}

static void add_place(struct profile *p, const char *stack, int64_t allocated, int64_t held, int64_t watched)
{
	add(p, stack, (int64_t[]){allocated, 10 * allocated, held, 10 * held, 0, 0, watched});
}

static void add_freed(struct profile *p, const char *stack, int64_t lifetime_ms, int64_t objects)
{
	bool failed = false;
	add(p, stack, (int64_t[]){0, 0, 0, 0, objects, 10 * objects, 0});
	struct profile_sample *sample = &p->samples.items[p->samples.count - 1];
	sample->first_label = (uint32_t)p->labels.count;
	sample->label_count = 1;
	array_add(&p->labels, (struct profile_label){.key = profile_string(p, "lifetime", &failed),
						     .number = lifetime_ms,
						     .unit = profile_string(p, "milliseconds", &failed)});
	assert_false(failed);
}

static void find(const struct profile *p, size_t sites, struct lifetimes *ret)
{
	assert_int_equal(profile_check(p), 0);
	assert_int_equal(lifetimes_find(p, ret), 0);
	assert_int_equal(ret->sites.count, sites);
}

static void test_exact(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile();
	_cleanup_(lifetimes_free) struct lifetimes found;
	add_place(p, "main;leak", 50, 50, 0);
	add_place(p, "main;mixed", 100, 10, 0);
	add_freed(p, "main;mixed", 1, 30);
	add_freed(p, "main;mixed", 1024, 25);
	add_freed(p, "main;mixed", 65536, 30);
	add_freed(p, "main;mixed", 262144, 5);
	add_place(p, "main;churn", 1000, 0, 0);
	add_freed(p, "main;churn", 1, 1000);
	find(p, 3, &found);
	assert_int_equal(found.allocated_bytes, 11500);
	assert_int_equal(found.brief_bytes, 10550);
	const struct lifetime_site *churn = &found.sites.items[0], *mixed = churn + 1, *leak = churn + 2;
	assert_int_equal(churn->median, 0);
	assert_float_equal(lifetime_share(churn, LIFETIME_MILLISECOND), 1, 0);
	assert_int_equal(mixed->median, LIFETIME_SECOND);
	assert_float_equal(lifetime_share(mixed, LIFETIME_MILLISECOND), 0.3, 1e-9);
	assert_float_equal(lifetime_share(mixed, LIFETIME_SECOND - 1), 0.3, 1e-9);
	assert_float_equal(lifetime_share(mixed, LIFETIME_SECOND), 0.55, 1e-9);
	assert_float_equal(lifetime_share(mixed, LIFETIME_MINUTE), 0.85, 1e-9);
	assert_float_equal(mixed->held, 0.1, 1e-9);
	assert_int_equal(mixed->freed_bytes[LIFETIME_MINUTE + 1], 50);
	assert_int_equal(leak->median, HEAP_LIFETIMES);
	assert_float_equal(leak->held, 1, 0);
	for (size_t i = 0; i < 3; i++)
		assert_float_equal(found.sites.items[i].unseen, 0, 0);
}

/* Of samples the sum of what is freed and held differs from what is counted by chance: nothing is unseen. */
static void test_sampled(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile();
	_cleanup_(lifetimes_free) struct lifetimes found;
	add_place(p, "main;less", 100, 20, 0);
	add_freed(p, "main;less", 4, 60);
	add_place(p, "main;more", 100, 0, 0);
	add_freed(p, "main;more", 16, 130);
	find(p, 2, &found);
	assert_float_equal(lifetime_share(&found.sites.items[0], 2), 1, 0);
	assert_float_equal(lifetime_share(&found.sites.items[1], 1), 0.75, 1e-9);
	assert_float_equal(found.sites.items[1].held, 0.25, 1e-9);
	assert_float_equal(found.sites.items[0].unseen + found.sites.items[1].unseen, 0, 0);
}

/* What no window saw freed is neither freed nor held. */
static void test_windows(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile();
	_cleanup_(lifetimes_free) struct lifetimes found;
	add_place(p, "main;churn", 1000, 0, 70);
	add_freed(p, "main;churn", 1, 700);
	add_place(p, "main;leak", 90, 0, 9);
	add_place(p, "main;unwatched", 80, 0, 0);
	find(p, 3, &found);
	assert_float_equal(lifetime_share(&found.sites.items[0], 0), 0.7, 1e-9);
	assert_float_equal(found.sites.items[0].unseen, 0.3, 1e-9);
	for (size_t i = 1; i < 3; i++) {
		assert_float_equal(found.sites.items[i].unseen, 1, 0);
		assert_float_equal(found.sites.items[i].held, 0, 0);
		assert_int_equal(found.sites.items[i].median, HEAP_LIFETIMES);
	}
}

/* In an interval is freed what came before, and much is held that did not come in it. */
static void test_interval(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile();
	_cleanup_(lifetimes_free) struct lifetimes found;
	add_place(p, "main;cache", 100, 3000, 0);
	add_freed(p, "main;cache", 65536, 100);
	add_place(p, "main;shrinks", 0, 40, 0);
	add_freed(p, "main;shrinks", 262144, 10);
	add_place(p, "main;rests", 0, 40, 0);
	find(p, 3, &found);
	assert_float_equal(lifetime_share(&found.sites.items[0], LIFETIME_MINUTE), 1, 0);
	assert_int_equal(found.sites.items[0].median, LIFETIME_MINUTE);
	for (size_t i = 1; i < 3; i++)
		assert_true(found.sites.items[i].held == (found.sites.items[i].median == HEAP_LIFETIMES));
}

static void test_merge_adds(void **state)
{
	_cleanup_profile_ struct profile *a = new_profile(), *b = new_profile(), *sum = NULL;
	_cleanup_(lifetimes_free) struct lifetimes found;
	add_place(a, "main;x", 10, 4, 0);
	add_freed(a, "main;x", 4, 6);
	add_place(b, "main;x", 5, 0, 0);
	add_freed(b, "main;x", 4, 2);
	add_freed(b, "main;x", 16777216, 7);
	assert_int_equal(profile_merge((const struct profile *[]){a, b}, 2, &sum), 0);
	assert_int_equal(sum->samples.count, 3);
	find(sum, 1, &found);
	assert_int_equal(found.sites.items[0].allocated_objects, 15);
	assert_int_equal(found.sites.items[0].freed_objects[1], 8);
	assert_int_equal(found.sites.items[0].freed_objects[HEAP_LIFETIMES - 1], 7);
}

static void test_other_profiles(void **state)
{
	_cleanup_profile_ struct profile *cpu = TEST_PROFILE({"main", 1});
	_cleanup_(lifetimes_free) struct lifetimes found;
	assert_int_equal(lifetimes_find(cpu, &found), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),	    cmocka_unit_test(test_sampled),
		cmocka_unit_test(test_windows),	    cmocka_unit_test(test_interval),
		cmocka_unit_test(test_merge_adds), cmocka_unit_test(test_other_profiles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
