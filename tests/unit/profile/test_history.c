/* SPDX-License-Identifier: Apache-2.0 */
/* What was sampled lately: two ages, bounded, the process of a sample found again. */
#include "profile/history.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MINUTE_NS (60 * NS_PER_SECOND)

static struct process first = {.references = 1, .pid = 7, .start_time = 70, .begin = 70, .executable_name = "a"};
static struct process second = {.references = 1, .pid = 7, .start_time = 99, .begin = 99, .executable_name = "b"};
static const uint64_t frames[] = {FRAME_WORD_FILE(2, 0x1000), FRAME_WORD_END(STACK_END_COMPLETE)};

static void add(struct aggregate *a, struct process *process, uint16_t event, uint32_t tid)
{
	struct record_sample sample = {
		.event = event,
		.weight = 4096,
		.stack_id = 1,
		.pid = process->pid,
		.tid = tid,
		.user_frames = 2,
		.comm = "thread",
	};
	aggregate_add(a, &sample, frames, NULL, process);
}

static void ages_follow_each_other(void **state)
{
	struct aggregate a;
	struct history history;
	unsigned kinds = PROFILE_KIND_BIT(PROFILE_KIND_CPU) | PROFILE_KIND_BIT(PROFILE_KIND_GROWTH);
	aggregate_init(&a, NULL);
	assert_int_equal(history_begin(&history, &a, kinds, 0), 0);
	const struct history_kind *cpu = &history.kinds[PROFILE_KIND_CPU];
	add(&a, &first, EVENT_CPU, 1);
	history_turn(&history, MINUTE_NS / 2);
	assert_null(cpu->older);
	history_turn(&history, MINUTE_NS);
	assert_int_equal(cpu->older->entries.count, 1);
	add(&a, &first, EVENT_CPU, 2);
	assert_int_equal(cpu->older->entries.count, 1);
	assert_int_equal(cpu->newer->entries.count, 1);
	assert_int_equal(cpu->begin_ns, 0);
	/* Growth is kept longer. */
	assert_null(history.kinds[PROFILE_KIND_GROWTH].older);
	/* The interval's own windows know nothing of it. */
	aggregate_next(&a);
	assert_int_equal(cpu->older->entries.count, 1);
	history_turn(&history, 2 * MINUTE_NS);
	assert_int_equal(cpu->older->entries.items[0].tid, 2);
	assert_int_equal(cpu->begin_ns, MINUTE_NS);
	history_turn(&history, 3 * MINUTE_NS);
	assert_int_equal(cpu->older->entries.count, 0);
	history_end(&history);
	assert_null(a.opened);
	aggregate_deinit(&a);
}

static void a_full_age_ends_early(void **state)
{
	struct aggregate a;
	struct history history;
	aggregate_init(&a, NULL);
	assert_int_equal(history_begin(&history, &a, PROFILE_KIND_BIT(PROFILE_KIND_GROWTH), 0), 0);
	const struct history_kind *growth = &history.kinds[PROFILE_KIND_GROWTH];
	assert_null(history.kinds[PROFILE_KIND_CPU].newer);
	size_t limit = growth->newer->max_entries;
	for (uint32_t tid = 0; tid <= limit; tid++)
		add(&a, &first, EVENT_GROWTH, tid);
	assert_int_equal(growth->newer->entries.count, limit);
	assert_int_equal(a.current[PROFILE_KIND_GROWTH].entries.count, limit + 1);
	history_turn(&history, NS_PER_SECOND);
	assert_int_equal(growth->older->entries.count, limit);
	assert_int_equal(growth->newer->entries.count, 0);
	history_end(&history);
	aggregate_deinit(&a);
}

static void processes_are_found(void **state)
{
	struct aggregate a;
	struct history history;
	aggregate_init(&a, NULL);
	assert_int_equal(history_begin(&history, &a, PROFILE_KIND_BIT(PROFILE_KIND_GROWTH), 0), 0);
	assert_null(history_find_process(&history, 7, 0));
	add(&a, &second, EVENT_GROWTH, 1);
	history_turn(&history, 60 * MINUTE_NS);
	add(&a, &first, EVENT_GROWTH, 1);
	assert_ptr_equal(history_find_process(&history, 0, 70), &first);
	assert_ptr_equal(history_find_process(&history, 0, 99), &second);
	assert_ptr_equal(history_find_process(&history, 7, 0), &second);
	assert_null(history_find_process(&history, 8, 0));
	assert_null(history_find_process(&history, 7, 71));
	history_end(&history);
	history_end(&history);
	aggregate_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ages_follow_each_other),
		cmocka_unit_test(a_full_age_ends_early),
		cmocka_unit_test(processes_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
