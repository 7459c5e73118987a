/* SPDX-License-Identifier: Apache-2.0 */
/* Folded stacks: the lines written, what is read back from them, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "format/folded.h"
#include "tests/unit/profile/stacks.h"

/* Adds a location with one line for each name, innermost first; returns its index. */
static uint32_t add_location(struct profile *p, enum frame_type type, const char *const *names,
			     uint32_t count)
{
	bool failed = false;
	uint32_t first = (uint32_t)p->lines.count;
	for (uint32_t i = 0; i < count; i++) {
		array_add(&p->lines, (struct profile_line){
			.function = (uint32_t)p->functions.count, .line = 7});
		array_add(&p->functions, (struct profile_function){
			.name = profile_string(p, names[i], &failed)});
	}
	array_add(&p->locations, (struct profile_location){.mapping = PROFILE_NONE,
		.first_line = first, .line_count = count, .type = type, .address = 0x10});
	assert_false(failed);
	return (uint32_t)p->locations.count - 1;
}

/* Adds a sample; locations leaf first. */
static void add_sample(struct profile *p, const uint32_t *locations, uint32_t count, int64_t value)
{
	uint32_t first = (uint32_t)p->stack_locations.count;
	for (uint32_t i = 0; i < count; i++)
		array_add(&p->stack_locations, locations[i]);
	array_add(&p->samples, (struct profile_sample){.first_location = first,
		.location_count = count});
	array_add(&p->values, value);
}

static struct profile *mixed(void)
{
	struct profile *p = test_profile(NULL, 0);
	uint32_t main_ = add_location(p, FRAME_TYPE_NATIVE, (const char *[]){"main"}, 1);
	uint32_t work = add_location(p, FRAME_TYPE_NATIVE,
					 (const char *[]){"deep", "mid", "work;x"}, 3);
	uint32_t kernel = add_location(p, FRAME_TYPE_KERNEL, (const char *[]){"sys_read"}, 1);
	uint32_t jit = add_location(p, FRAME_TYPE_JIT, (const char *[]){"a\nb 7"}, 1);
	uint32_t mark = add_location(p, FRAME_TYPE_MARK, (const char *[]){"[cut]"}, 1);
	uint32_t unnamed = add_location(p, FRAME_TYPE_NATIVE, NULL, 0);
	add_sample(p, (uint32_t[]){kernel, work, main_}, 3, 5);
	add_sample(p, (uint32_t[]){work, main_}, 2, 1);
	add_sample(p, (uint32_t[]){kernel, work, main_}, 3, 2);
	add_sample(p, (uint32_t[]){jit, mark}, 2, 9);
	add_sample(p, (uint32_t[]){unnamed}, 1, 4);
	add_sample(p, NULL, 0, 3);
	add_sample(p, (uint32_t[]){main_}, 1, 0);
	return p;
}

static const char mixed_folded[] = "[no stack] 3\n"
				   "[cut];a?b 7_[j] 9\n"
				   "[unknown+0x10] 4\n"
				   "main;work:x;mid_[i];deep_[i] 1\n"
				   "main;work:x;mid_[i];deep_[i];sys_read_[k] 7\n";

static void test_encode(void **state)
{
	_cleanup_profile_ struct profile *p = mixed();
	struct text out = {0};
	assert_int_equal(folded_encode(p, &out), 0);
	assert_string_equal(out.bytes, mixed_folded);
	p->sample_types.count = 0;
	assert_int_equal(folded_encode(p, &out), -EINVAL);
	text_free(&out);
}

static void test_round_trip(void **state)
{
	_cleanup_profile_ struct profile *p = NULL;
	struct folded_failure failure;
	struct text out = {0};
	assert_int_equal(folded_decode(mixed_folded, strlen(mixed_folded), &failure, &p), 0);
	assert_int_equal(profile_check(p), 0);
	assert_int_equal(p->samples.count, 5);
	/* [cut], a b 7, [unknown+0x10], main, work with its two, sys_read */
	assert_int_equal(p->locations.count, 6);
	assert_int_equal(p->locations.items[0].type, FRAME_TYPE_MARK);
	assert_int_equal(p->locations.items[1].type, FRAME_TYPE_JIT);
	assert_int_equal(p->locations.items[2].type, FRAME_TYPE_NATIVE);
	assert_int_equal(p->locations.items[4].line_count, 3);
	assert_int_equal(folded_encode(p, &out), 0);
	assert_string_equal(out.bytes, mixed_folded);
	text_free(&out);
}

static int decode(const char *text, struct folded_failure *failure, int64_t *ret_value)
{
	_cleanup_profile_ struct profile *p = NULL;
	int r = folded_decode(text, strlen(text), failure, &p);
	if (r == 0 && ret_value)
		*ret_value = p->values.items[0];
	return r;
}

static void test_foreign(void **state)
{
	struct folded_failure failure;
	int64_t value;
	assert_int_equal(decode("a;b 7\r\n\r\n", &failure, &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(decode("a;;b -12.75", &failure, &value), 0);
	assert_int_equal(value, -12);
	assert_int_equal(decode("operator new(unsigned long) 3", &failure, &value), 0);
	assert_int_equal(decode("_[i];_[k] 1", &failure, &value), 0);
}

static void test_refused(void **state)
{
	struct folded_failure failure;
	assert_int_equal(decode("a;b 7\nabc\n", &failure, NULL), -EBADMSG);
	assert_int_equal(failure.line, 2);
	assert_non_null(strstr(failure.text, "without a number"));
	assert_int_equal(decode("a 99999999999999999999", &failure, NULL), -EBADMSG);
	assert_int_equal(decode("a 7x", &failure, NULL), -EBADMSG);
	assert_int_equal(decode("a -", &failure, NULL), -EBADMSG);
	assert_int_equal(decode("", &failure, NULL), -EBADMSG);
	assert_non_null(strstr(failure.text, "no stacks"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encode),	cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_foreign), cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
