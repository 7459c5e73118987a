/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes the kernel side would find left out, and that what it counts is summed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "collect/left_out.h"

#include <stdlib.h>

#define CPUS 3

static int set_up(void **state)
{
	struct left_out *left_out = calloc(1, sizeof(*left_out));
	left_out->sets = calloc(LEFT_OUT_SETS, sizeof(*left_out->sets));
	left_out->counts = calloc(CPUS, sizeof(*left_out->counts));
	left_out->cpus = CPUS;
	*state = left_out;
	return 0;
}

static int tear_down(void **state)
{
	struct left_out *left_out = *state;
	free(left_out->sets);
	free(left_out->counts);
	free(left_out);
	return 0;
}

static struct record_sample sample_of(uint32_t pid, uint64_t start, uint32_t exec_id, uint64_t time)
{
	return (struct record_sample){
		.header.time = time, .pid = pid, .process_start = start, .exec_id = exec_id, .event = EVENT_CPU};
}

/* As the kernel side looks for it: the reason, -1: none. */
static int find(const struct left_out *left_out, const struct record_sample *sample)
{
	const struct left_out_set *set = &left_out->sets[sample->pid & (LEFT_OUT_SETS - 1)];
	for (size_t i = 0; i < ARRAY_LENGTH(set->processes); i++)
		if ((uint32_t)set->processes[i].pid_and_reason == sample->pid)
			return set->processes[i].process_start == sample->process_start &&
					       set->processes[i].exec_id == sample->exec_id
				       ? (int)(set->processes[i].pid_and_reason >> 32)
				       : -1;
	return -1;
}

/* One is left out and no more; another of its number, and what it execs, are not meant until they are judged. */
static void test_judgement(void **state)
{
	struct left_out *left_out = *state;
	struct record_sample first = sample_of(77, 1000, 2, 1), reused = sample_of(77, 2000, 2, 2),
			     other_program = sample_of(77, 1000, 3, 3);
	left_out_judge(left_out, &first, -1);
	assert_int_equal(find(left_out, &first), -1);
	left_out_judge(left_out, &first, 5);
	assert_int_equal(find(left_out, &first), 5);
	assert_int_equal(find(left_out, &reused), -1);
	assert_int_equal(find(left_out, &other_program), -1);
	left_out_judge(left_out, &first, 6);
	assert_int_equal(find(left_out, &first), 6);
	left_out_judge(left_out, &reused, 7);
	assert_int_equal(find(left_out, &reused), 7);
	left_out_judge(left_out, &other_program, 0);
	assert_int_equal(find(left_out, &other_program), 0);
	assert_int_equal(find(left_out, &reused), -1);
	left_out_judge(left_out, &other_program, -1);
	assert_int_equal(find(left_out, &other_program), -1);
}

/* The kernel side has it looked at again by and by: a sample that says the same does not put that off. */
static void test_next_look(void **state)
{
	struct left_out *left_out = *state;
	struct record_sample sample = sample_of(9, 1000, 0, 500);
	const struct left_out_process *place = &left_out->sets[9].processes[0];
	left_out_judge(left_out, &sample, 1);
	assert_int_equal(place->look_at, 500 + LEFT_OUT_LOOK_NS);
	sample.header.time = 600;
	left_out_judge(left_out, &sample, 1);
	assert_int_equal(place->look_at, 500 + LEFT_OUT_LOOK_NS);
	left_out_judge(left_out, &sample, 2);
	assert_int_equal(place->look_at, 600 + LEFT_OUT_LOOK_NS);
}

/* Of three with the same low bits the one goes that was looked at the longest ago; -1 is nobody else's verdict. */
static void test_displaced(void **state)
{
	struct left_out *left_out = *state;
	struct record_sample samples[3];
	for (uint32_t i = 0; i < 3; i++)
		samples[i] = sample_of(5 + i * LEFT_OUT_SETS, 1000, 0, 100 - i);
	left_out_judge(left_out, &samples[0], 0);
	left_out_judge(left_out, &samples[1], 1);
	left_out_judge(left_out, &samples[2], -1);
	assert_int_equal(find(left_out, &samples[0]), 0);
	assert_int_equal(find(left_out, &samples[1]), 1);
	left_out_judge(left_out, &samples[2], 2);
	assert_int_equal(find(left_out, &samples[0]), 0);
	assert_int_equal(find(left_out, &samples[1]), -1);
	assert_int_equal(find(left_out, &samples[2]), 2);
	left_out_clear(left_out);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(find(left_out, &samples[i]), -1);
}

static void test_sums(void **state)
{
	struct left_out *left_out = *state;
	struct left_out_counts sum;
	uint64_t counters[COUNTER_MAX] = {[COUNTER_NOT_TAKEN] = 1000};
	for (uint32_t cpu = 0; cpu < CPUS; cpu++) {
		left_out->counts[cpu].by_reason[0].ticks = 1UL << cpu;
		left_out->counts[cpu].by_reason[LEFT_OUT_REASONS - 1].ticks = 10UL << cpu;
		left_out->counts[cpu].by_reason[LEFT_OUT_REASONS - 1].ns = 100UL << cpu;
	}
	left_out_read(left_out, &sum);
	assert_int_equal(sum.by_reason[0].ticks, 7);
	assert_int_equal(sum.by_reason[LEFT_OUT_REASONS - 1].ticks, 70);
	assert_int_equal(sum.by_reason[LEFT_OUT_REASONS - 1].ns, 700);
	left_out_add_counters(left_out, 1, counters);
	assert_int_equal(counters[COUNTER_NOT_TAKEN], 1022);
	assert_int_equal(counters[COUNTER_NOT_TAKEN_NS], 200);
	left_out_add_counters(left_out, CPUS, counters);
	assert_int_equal(counters[COUNTER_NOT_TAKEN], 1022);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_judgement, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_next_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_displaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sums, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
