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

/* A heap profile of one interval: "alloc_space" and "inuse_space" of one stack in one process (0: no label). */
static struct profile *heap_profile(int64_t time_ns, int64_t pid, int64_t allocated, int64_t in_use)
{
	struct profile *p = TEST_PROFILE({"main;work", allocated});
	bool failed = false;
	uint32_t bytes = profile_string(p, "bytes", &failed);
	p->sample_types.items[0] =
		(struct profile_value_type){profile_string(p, "alloc_space", &failed), bytes};
	array_add(&p->sample_types,
		  (struct profile_value_type){profile_string(p, "inuse_space", &failed), bytes});
	array_add(&p->values, in_use);
	p->time_ns = time_ns;
	p->duration_ns = 10;
	if (pid) {
		p->samples.items[0].label_count = 1;
		array_add(&p->labels, (struct profile_label){
					      .key = profile_string(p, "process.pid", &failed),
					      .number = pid});
	}
	assert_false(failed);
	return p;
}

static void expect_heap(const struct profile *const *profiles, size_t count, int64_t allocated,
			int64_t in_use)
{
	struct profile *sum = NULL;
	int64_t seen[2] = {0};
	assert_int_equal(profile_merge(profiles, count, &sum), 0);
	assert_int_equal(profile_check(sum), 0);
	for (size_t i = 0; i < sum->values.count; i++)
		seen[i % 2] += sum->values.items[i];
	assert_int_equal(seen[0], allocated);
	assert_int_equal(seen[1], in_use);
	profile_free(sum);
}

/* What was allocated adds up; what is in use is so at the end of each process's last interval. */
static void test_states_do_not_add(void **state)
{
	_cleanup_profile_ struct profile *first = heap_profile(100, 7, 1000, 400);
	_cleanup_profile_ struct profile *second = heap_profile(110, 7, 50, 300);
	_cleanup_profile_ struct profile *other = heap_profile(100, 8, 6, 5);
	_cleanup_profile_ struct profile *unnamed = heap_profile(90, 0, 20, 10);
	expect_heap((const struct profile *[]){first, second}, 2, 1050, 300);
	expect_heap((const struct profile *[]){second, first}, 2, 1050, 300);
	expect_heap((const struct profile *[]){first, other, second}, 3, 1056, 305);
	expect_heap((const struct profile *[]){first, second, unnamed, unnamed}, 4, 1090, 320);
	/* Merged in steps it is the same. */
	_cleanup_profile_ struct profile *sum = merge_two(first, second);
	_cleanup_profile_ struct profile *third = heap_profile(120, 7, 1, 2);
	expect_heap((const struct profile *[]){sum, third}, 2, 1051, 2);
	expect_heap((const struct profile *[]){third, sum}, 2, 1051, 2);
	/* Of two that end at once, the later in the list. */
	_cleanup_profile_ struct profile *same = heap_profile(110, 7, 0, 299);
	expect_heap((const struct profile *[]){second, same}, 2, 50, 299);
}

/* A sample that was taken out leaves nothing behind; the first mapping stays, it names the program. */
static void test_unused_goes(void **state)
{
	_cleanup_profile_ struct profile *whole = TEST_PROFILE({"main;work", 30}, {"main;rest", 5});
	size_t mappings = whole->mappings.count;
	whole->samples.count = 1;
	whole->values.count = whole->sample_types.count;
	struct profile *part = NULL;
	assert_int_equal(profile_merge((const struct profile *[]){whole}, 1, &part), 0);
	assert_int_equal(profile_check(part), 0);
	assert_int_equal(part->locations.count, 2);
	assert_int_equal(part->functions.count, 2);
	assert_int_equal(part->lines.count, 2);
	assert_int_equal(part->mappings.count, mappings ? 1 : 0);
	assert_int_equal(value_of(part, "main;work"), 30);
	for (uint32_t i = 0; i < part->strings.count; i++)
		assert_string_not_equal(profile_text(part, i), "rest");
	profile_free(part);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_add),    cmocka_unit_test(test_overflow_saturates),
		cmocka_unit_test(test_labels_keep_apart), cmocka_unit_test(test_mappings),
		cmocka_unit_test(test_common_types),  cmocka_unit_test(test_header),
		cmocka_unit_test(test_states_do_not_add), cmocka_unit_test(test_unused_goes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
