/* SPDX-License-Identifier: Apache-2.0 */
/* Merging: what is one afterwards, what stays two, and what the header says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "profile/merge.h"
#include "tests/unit/profile/stacks.h"

/* The value of the sample with this stack, leaf first; -1 when there is none or there are two. */
static int64_t value_of(const struct profile *p, const char *stack)
{
	int64_t value = -1;
	for (size_t i = 0; i < p->samples.count; i++) {
		struct text names = {0};
		const struct profile_sample *sample = &p->samples.items[i];
		for (uint32_t k = sample->location_count; k-- > 0;) {
			char buffer[64];
			uint32_t at = p->stack_locations.items[sample->first_location + k];
			text_add(&names, "%s%s", names.length ? ";" : "",
				 profile_frame_name(p, &p->locations.items[at], 0, buffer,
						    sizeof(buffer)));
		}
		if (!strcmp(names.bytes, stack)) {
			assert_int_equal(value, -1);
			value = p->values.items[i * p->sample_types.count];
		}
		text_free(&names);
	}
	return value;
}

static struct profile *merge_two(const struct profile *a, const struct profile *b)
{
	struct profile *sum = NULL;
	assert_int_equal(profile_merge((const struct profile *[]){a, b}, 2, &sum), 0);
	assert_int_equal(profile_check(sum), 0);
	return sum;
}

static void test_values_add(void **state)
{
	_cleanup_profile_ struct profile *a = TEST_PROFILE({"main;work", 30}, {"main", 5});
	_cleanup_profile_ struct profile *b = TEST_PROFILE({"main;rest", 1}, {"main;work", 12},
							   {"main;work", 100});
	/* The same program: the address of a location must be that of its function. */
	for (size_t i = 0; i < b->locations.count; i++)
		b->locations.items[i].address = i == 0 ? 1 : i == 1 ? 3 : 2;
	_cleanup_profile_ struct profile *sum = merge_two(a, b);
	assert_int_equal(sum->samples.count, 3);
	assert_int_equal(sum->locations.count, 3);
	assert_int_equal(sum->functions.count, 3);
	assert_int_equal(value_of(sum, "main;work"), 142);
	assert_int_equal(value_of(sum, "main;rest"), 1);
	assert_int_equal(value_of(sum, "main"), 5);
}

static void test_overflow_saturates(void **state)
{
	_cleanup_profile_ struct profile *a = TEST_PROFILE({"main", INT64_MAX - 1});
	_cleanup_profile_ struct profile *sum = merge_two(a, a);
	assert_int_equal(value_of(sum, "main"), INT64_MAX);
}

static void add_label(struct profile *p, const char *text, int64_t number)
{
	bool failed = false;
	uint32_t key = profile_string(p, "key", &failed);
	uint32_t string = text ? profile_string(p, text, &failed) : 0;
	assert_false(failed);
	p->samples.items[0].first_label = (uint32_t)p->labels.count;
	p->samples.items[0].label_count = 1;
	array_add(&p->labels, (struct profile_label){.key = key, .text = string, .number = number});
}

static void test_labels_keep_apart(void **state)
{
	static const struct {
		const char *a, *b;
		int64_t a_number, b_number;
		size_t samples;
	} cases[] = {{"x", "x", 0, 0, 1}, {"x", "y", 0, 0, 2}, {NULL, NULL, 7, 7, 1},
		     {NULL, NULL, 7, 7 + (1LL << 32), 2}, {NULL, "x", 0, 0, 2}};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_profile_ struct profile *a = TEST_PROFILE({"main", 1});
		_cleanup_profile_ struct profile *b = TEST_PROFILE({"main", 2});
		add_label(a, cases[i].a, cases[i].a_number);
		add_label(b, cases[i].b, cases[i].b_number);
		_cleanup_profile_ struct profile *sum = merge_two(a, b);
		assert_int_equal(sum->samples.count, cases[i].samples);
	}
}

static struct profile *with_mapping(const char *file, const char *build_id, uint64_t start)
{
	struct profile *p = TEST_PROFILE({"main", 1});
	bool failed = false;
	array_add(&p->mappings, (struct profile_mapping){.start = start, .limit = start + 0x1000,
		.file = profile_string(p, file, &failed),
		.build_id = profile_string(p, build_id, &failed)});
	p->locations.items[0].mapping = 0;
	assert_false(failed);
	return p;
}

static void test_mappings(void **state)
{
	static const struct {
		const char *file, *build_id;
		uint64_t start;
		size_t mappings;
	} cases[] = {{"/moved/a", "abc", 0x1000, 1}, {"/bin/a", "abd", 0x1000, 2},
		     {"/bin/a", "abc", 0x2000, 2}, {"/bin/a", "", 0x1000, 2}};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_profile_ struct profile *a = with_mapping("/bin/a", "abc", 0x1000);
		_cleanup_profile_ struct profile *b = with_mapping(
			cases[i].file, cases[i].build_id, cases[i].start);
		b->mappings.items[0].has_functions = true;
		_cleanup_profile_ struct profile *sum = merge_two(a, b);
		assert_int_equal(sum->mappings.count, cases[i].mappings);
		assert_int_equal(sum->locations.count, cases[i].mappings);
		assert_true(sum->mappings.items[cases[i].mappings - 1].has_functions);
	}
}

static void test_common_types(void **state)
{
	_cleanup_profile_ struct profile *a = TEST_PROFILE({"main", 1});
	_cleanup_profile_ struct profile *b = TEST_PROFILE({"main", 2});
	_cleanup_profile_ struct profile *sum = NULL;
	bool failed = false;
	/* A second type in front of B's: columns are found by name. */
	struct profile_value_type cpu = b->sample_types.items[0];
	array_add(&b->sample_types, cpu);
	b->sample_types.items[0].type = profile_string(b, "wall", &failed);
	b->values.items[0] = 999;
	array_add(&b->values, 2);
	_cleanup_profile_ struct profile *common = merge_two(a, b);
	assert_int_equal(common->sample_types.count, 1);
	assert_int_equal(value_of(common, "main"), 3);
	b->sample_types.items[1].unit = profile_string(b, "bytes", &failed);
	assert_int_equal(profile_merge((const struct profile *[]){a, b}, 2, &sum), -EINVAL);
	assert_int_equal(profile_merge(NULL, 0, &sum), -EINVAL);
	assert_null(sum);
}

static void test_header(void **state)
{
	_cleanup_profile_ struct profile *a = TEST_PROFILE({"main", 1});
	_cleanup_profile_ struct profile *b = TEST_PROFILE({"main", 1});
	a->time_ns = 2000, a->duration_ns = 50, a->period = 10;
	b->time_ns = 1000, b->duration_ns = 70, b->period = 10;
	_cleanup_profile_ struct profile *same = merge_two(a, b);
	assert_int_equal(same->time_ns, 1000);
	assert_int_equal(same->duration_ns, 120);
	assert_int_equal(same->period, 10);
	assert_int_equal(same->comments.count, 0);
	b->period = 11;
	_cleanup_profile_ struct profile *differ = merge_two(a, b);
	assert_int_equal(differ->period, 0);
	assert_int_equal(differ->comments.count, 1);
	assert_non_null(strstr(profile_text(differ, differ->comments.items[0]), "periods"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_add),    cmocka_unit_test(test_overflow_saturates),
		cmocka_unit_test(test_labels_keep_apart), cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_common_types),  cmocka_unit_test(test_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
