/* SPDX-License-Identifier: Apache-2.0 */
#include "collect/held_stacks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct record_sample sample_of(uint64_t stack, uint16_t kernel, uint16_t user)
{
	return (struct record_sample){
		.stack_id = stack, .kernel_frames = kernel, .user_frames = user};
}

static void test_given_back_once(void **state)
{
	static const uint64_t frames[] = {11, 22, 33};
	struct held_stacks held = {0};
	struct record_sample sample = sample_of(7, 1, 2), other = sample_of(8, 1, 2);
	assert_int_equal(held_stacks_keep(&held, &sample, frames), 0);
	assert_int_equal(held_stacks_keep(&held, &sample, frames), 0);
	assert_null(held_stacks_take(&held, &other));
	uint64_t *kept = held_stacks_take(&held, &sample);
	assert_non_null(kept);
	assert_memory_equal(kept, frames, sizeof(frames));
	free(kept);
	assert_null(held_stacks_take(&held, &sample));
	assert_int_equal(held.words, 0);
	held_stacks_clear(&held);
}

static void test_limit(void **state)
{
	static const uint64_t frames[1024];
	struct held_stacks held = {0};
	uint64_t stack = 0;
	int r = 0;
	while (r == 0 && stack < 1000) {
		struct record_sample sample = sample_of(++stack, 0, 1024);
		r = held_stacks_keep(&held, &sample, frames);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(stack, 129);
	held_stacks_clear(&held);
	struct record_sample sample = sample_of(stack, 0, 1024);
	assert_int_equal(held_stacks_keep(&held, &sample, frames), 0);
	held_stacks_clear(&held);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_given_back_once),
		cmocka_unit_test(test_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
