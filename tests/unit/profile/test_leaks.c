/* SPDX-License-Identifier: Apache-2.0 */
/* Leaks: which places keep what they take, how sure that is, and what of that only windows tell. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "profile/leaks.h"
#include "tests/unit/profile/stacks.h"

static const char *const types[] = {"alloc_objects", "alloc_space", "inuse_objects", "inuse_space",
				    "inuse_estimated_space", "inuse_estimated_least_space",
				    "inuse_watched_samples", "inuse_outlived_samples"};

#define EXACT_TYPES 4 /* the first ones, which any heap profile has */

static struct profile *new_profile(size_t type_count, int64_t period)
{
	struct profile *p;
	bool failed = false;
	assert_int_equal(profile_new(&p), 0);
	for (size_t i = 0; i < type_count; i++)
		array_add(&p->sample_types,
			  (struct profile_value_type){profile_string(p, types[i], &failed), 0});
	p->period_type.unit = profile_string(p, "bytes", &failed);
	p->period = period;
	assert_false(failed);
	return p;
}

/* A sample with a value for each type of the profile. */
static void add(struct profile *p, const char *stack, const int64_t *values)
{
	test_add_stack(p, &(struct test_stack){stack, 0});
	p->values.count--;
	for (size_t i = 0; i < p->sample_types.count; i++)
		array_add(&p->values, values[i]);
}

/* Objects of ten bytes. */
static void add_place(struct profile *p, const char *stack, int64_t allocated, int64_t kept)
{
	add(p, stack, (int64_t[]){allocated, 10 * allocated, kept, 10 * kept, 0, 0, 0, 0});
}

static void find(const struct profile *p, size_t sites, struct leaks *ret)
{
	assert_int_equal(profile_check(p), 0);
	assert_int_equal(leaks_find(p, ret), 0);
	assert_int_equal(ret->sites.count, sites);
}

/* 1990 of 2000 say much, 2 of 2 little, and a cache that keeps a tenth is none for certain, however large. */
static void test_how_sure(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(EXACT_TYPES, 1);
	_cleanup_(leaks_free) struct leaks found;
	add_place(p, "main;cache", 100000, 10000);
	add_place(p, "main;few", 2, 2);
	add_place(p, "main;leak", 1000, 995);
	add_place(p, "main;churn", 5000, 0);
	add_place(p, "main;leak", 1000, 995);
	find(p, 3, &found);
	const struct leak_site *leak = &found.sites.items[0];
	assert_int_equal(leak->sample, 2);
	assert_int_equal(leak->allocated_objects, 2000);
	assert_int_equal(leak->kept_bytes, 19900);
	assert_float_equal(leak->survival, 0.995, 1e-9);
	assert_float_equal(leak->survival_low, 0.990820, 1e-6); /* Wilson's, worked out apart */
	assert_true(leak->is_certain);
	const struct leak_site *cache = &found.sites.items[1], *few = &found.sites.items[2];
	assert_int_equal(cache->kept_objects, 10000);
	assert_false(cache->is_certain);
	assert_float_equal(few->survival, 1, 0);
	assert_float_equal(few->survival_low, 0.342372, 1e-6);
	assert_false(few->is_certain);
	assert_int_equal(found.certain, 1);
	assert_int_equal(found.kept_objects, 1990 + 10000 + 2);
	assert_int_equal(found.kept_bytes, 10 * found.kept_objects);
}

/* A sampled object stands for many, which make nothing surer: 20,000 bytes with 1,000 between samples are 20 looks. */
static void test_sampled(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(EXACT_TYPES, 1000);
	_cleanup_(leaks_free) struct leaks found;
	add_place(p, "main;leak", 2000, 1990);
	find(p, 1, &found);
	assert_float_equal(found.sites.items[0].survival, 0.995, 1e-9);
	double sampled = found.sites.items[0].survival_low;
	assert_true(sampled > 0.8 && sampled < 0.85);
}

/* In windows the share is of the watched samples, and what is kept an estimate, of which a part is certain. */
static void test_windows(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(ARRAY_LENGTH(types), 1000);
	_cleanup_(leaks_free) struct leaks found;
	add(p, "main;leak", (int64_t[]){100, 1000, 0, 0, 800, 500, 40, 36});
	add(p, "main;unsure", (int64_t[]){100, 1000, 0, 0, 900, 0, 40, 40});
	add(p, "main;churn", (int64_t[]){100, 1000, 0, 0, 0, 0, 40, 0});
	find(p, 2, &found);
	const struct leak_site *leak = &found.sites.items[0], *unsure = &found.sites.items[1];
	assert_int_equal(leak->least_bytes, 500);
	assert_float_equal(leak->survival, 0.9, 1e-9);
	assert_true(leak->is_certain);
	assert_int_equal(unsure->estimated_bytes, 900);
	assert_true(unsure->survival_low > leak->survival_low);
	assert_false(unsure->is_certain); /* all of it survives, but none of it is certainly there */
	assert_int_equal(found.estimated_bytes, 1700);
	assert_int_equal(found.least_bytes, 500);
}

/* Nothing that a file may say breaks a share or a sum. */
static void test_nonsense(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(ARRAY_LENGTH(types), INT64_MAX);
	_cleanup_(leaks_free) struct leaks found;
	add(p, "main;huge", (int64_t[]){1, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 1, INT64_MAX});
	add(p, "main;huge", (int64_t[]){1, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, 1, INT64_MAX});
	add(p, "main;less", (int64_t[]){-5, -5, 1, 1, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN});
	find(p, 2, &found);
	assert_int_equal(found.kept_bytes, INT64_MAX);
	for (size_t i = 0; i < 2; i++) {
		assert_true(found.sites.items[i].survival <= 1);
		assert_true(found.sites.items[i].survival_low >= 0 && found.sites.items[i].survival_low <= 1);
	}
}

static void test_no_heap_profile(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(EXACT_TYPES - 1, 1);
	_cleanup_(leaks_free) struct leaks found;
	assert_int_equal(leaks_find(p, &found), -ENODATA);
	assert_int_equal(found.sites.count, 0);
}

/* Several calls of one function in another, as of a loop that was unrolled. */
static void test_calls_at_other_addresses_are_one_place(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(EXACT_TYPES, 1);
	_cleanup_(leaks_free) struct leaks found;
	add_place(p, "main;leak", 10, 10);
	struct profile_location again = p->locations.items[p->stack_locations.items[1]];
	again.address += 100;
	assert_int_equal(array_add(&p->locations, again), 0);
	add_place(p, "main;leak", 20, 20);
	p->stack_locations.items[3] = (uint32_t)p->locations.count - 1;
	add_place(p, "leak;main", 5, 5);
	find(p, 2, &found);
	assert_int_equal(found.sites.items[0].kept_objects, 30);
	assert_int_equal(found.sites.items[0].sample, 0);
	assert_int_equal(found.sites.items[1].kept_objects, 5);
}

/* "go tool pprof -diff_base" writes negative values. */
static void test_what_shrank_keeps_nothing(void **state)
{
	_cleanup_profile_ struct profile *p = new_profile(ARRAY_LENGTH(types), 1);
	_cleanup_(leaks_free) struct leaks found;
	add(p, "main;grew", (int64_t[]){10, 100, 5, 50, 0, 0, 0, 0});
	add(p, "main;shrank", (int64_t[]){10, 100, -5, -50, 700, -5, -3, -9});
	find(p, 2, &found);
	assert_int_equal(found.kept_bytes, 50);
	assert_int_equal(found.kept_objects, 5);
	assert_int_equal(found.least_bytes, 0);
	const struct leak_site *shrank = &found.sites.items[1];
	assert_int_equal(shrank->kept_bytes, 0);
	assert_float_equal(shrank->survival, 0, 1e-9);
	assert_false(shrank->is_certain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_how_sure), cmocka_unit_test(test_sampled), cmocka_unit_test(test_windows),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_no_heap_profile),
		cmocka_unit_test(test_calls_at_other_addresses_are_one_place),
		cmocka_unit_test(test_what_shrank_keeps_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
