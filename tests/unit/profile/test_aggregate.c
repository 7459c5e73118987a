/* SPDX-License-Identifier: Apache-2.0 */
/* Samples are counted, their times kept in order up to a limit, their CPUs kept apart when asked. */
#include "profile/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct process program = {.references = 1, .pid = 7, .executable_name = "a"};
static const uint64_t frames[] = {FRAME_WORD_FILE(2, 0x1000), FRAME_WORD_END(STACK_END_COMPLETE)};

static void add(struct aggregate *a, uint64_t stack_id, uint64_t time, uint32_t cpu)
{
	struct record_sample sample = {
		.event = EVENT_CPU,
		.header.time = time,
		.weight = 10,
		.stack_id = stack_id,
		.pid = 7,
		.tid = 8,
		.cpu = cpu,
		.user_frames = 2,
		.comm = "thread",
	};
	aggregate_add(a, &sample, frames, NULL, &program);
}

static size_t count_times(const struct aggregate *a, const struct aggregate_entry *entry)
{
	size_t count = 0;
	uint64_t after = UINT64_MAX;
	for (uint32_t i = entry->last_time; i != AGGREGATE_NO_TIME; i = a->current[PROFILE_KIND_CPU].times.items[i].previous) {
		assert_true(a->current[PROFILE_KIND_CPU].times.items[i].time < after);
		after = a->current[PROFILE_KIND_CPU].times.items[i].time;
		count++;
	}
	return count;
}

static void test_no_times(void **state)
{
	struct aggregate a;
	aggregate_init(&a, NULL);
	add(&a, 1, 100, 0);
	add(&a, 1, 200, 1);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.count, 1);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].count, 2);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].weight, 20);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].time, 100);
	assert_int_equal(count_times(&a, &a.current[PROFILE_KIND_CPU].entries.items[0]), 0);
	assert_int_equal(a.untimed, 0);
	aggregate_deinit(&a);
	assert_int_equal(program.references, 1);
}

static void test_times(void **state)
{
	struct aggregate a;
	struct aggregate_limits limits = {.times = 5};
	aggregate_init(&a, &limits);
	for (uint64_t i = 0; i < 4; i++)
		add(&a, 1 + i % 2, 100 * i, 0);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.count, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[i].count, 2);
		assert_int_equal(count_times(&a, &a.current[PROFILE_KIND_CPU].entries.items[i]), 2);
	}
	for (uint64_t i = 4; i < 10; i++)
		add(&a, 1, 100 * i, 0);
	assert_int_equal(a.totals[PROFILE_KIND_CPU].samples, 10);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].count, 8);
	assert_int_equal(count_times(&a, &a.current[PROFILE_KIND_CPU].entries.items[0]), 3);
	assert_int_equal(a.untimed, 5);

	aggregate_next(&a); /* the limit is for one interval */
	add(&a, 1, 2000, 0);
	assert_int_equal(count_times(&a, &a.current[PROFILE_KIND_CPU].entries.items[0]), 1);
	assert_int_equal(a.untimed, 5);
	aggregate_deinit(&a);
}

static void test_cpus(void **state)
{
	struct aggregate a;
	struct aggregate_limits limits = {.cpus = true};
	aggregate_init(&a, &limits);
	add(&a, 1, 100, 0);
	add(&a, 1, 200, 3);
	add(&a, 1, 300, 3);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.count, 2);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[1].cpu, 3);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[1].count, 2);
	aggregate_deinit(&a);
}

/* A span for which there is no memory: each of its samples counts as unlinked. */
static void expect_unlinked(struct aggregate *a, const struct record_sample *sample)
{
	struct aggregate_window *window = &a->current[PROFILE_KIND_CPU];
	const struct record_trace trace = {.span_id = {3}};
	size_t count = window->links.count, capacity = window->links.capacity;
	window->links.count = window->links.capacity = SIZE_MAX / 2 + 1;
	aggregate_add(a, sample, frames, &trace, &program);
	aggregate_add(a, sample, frames, &trace, &program);
	window->links.count = count;
	window->links.capacity = capacity;
	assert_int_equal(window->entries.items[window->entries.count - 1].count, 2);
	assert_int_equal(window->entries.items[window->entries.count - 1].link, 0);
	assert_int_equal(a->unlinked, 2);
}

/* Spans stand apart from when that is asked for. */
static void test_links(void **state)
{
	struct aggregate a;
	struct record_sample sample = {.event = EVENT_CPU, .stack_id = 1, .pid = 7, .tid = 8, .user_frames = 2};
	struct record_trace traces[] = {{.span_id = {1}}, {.span_id = {2}}};
	aggregate_init(&a, NULL);
	const struct aggregate_window *window = &a.current[PROFILE_KIND_CPU];
	for (int links = 0; links < 2; links++) {
		aggregate_keep_links(&a, links);
		for (size_t i = 0; i < 4; i++)
			aggregate_add(&a, &sample, frames, &traces[i % 2], &program);
	}
	assert_int_equal(window->entries.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(window->entries.items[i].count, i == 0 ? 4 : 2);
		assert_int_equal(window->entries.items[i].link, i);
	}
	assert_int_equal(a.unlinked, 0);
	expect_unlinked(&a, &sample);
	aggregate_deinit(&a);
}

/* A window beside the current one has its own beginning and end, and its own choice. */
/* Other code at an address of the kernel: what comes afterwards is counted by itself, in stacks through it alone. */
static void test_kernel_code_replaced(void **state)
{
	static const uint64_t kernel[] = {0xffffffffc0001010, 0xffffffff81000000, FRAME_WORD_FILE(2, 0x1000),
					  FRAME_WORD_END(STACK_END_COMPLETE)};
	struct record_sample sample = {.event = EVENT_CPU, .weight = 10, .pid = 7, .tid = 8, .kernel_frames = 2,
				       .user_frames = 2, .comm = "thread"};
	struct aggregate a;
	aggregate_init(&a, NULL);
	for (int replaced = 0; replaced < 3; replaced++) {
		for (uint64_t i = 0; i < 4; i++) {
			sample.header.time = 1000 * (uint64_t)replaced + i;
			sample.stack_id = 5;
			aggregate_add(&a, &sample, kernel, NULL, &program);
			add(&a, 6, sample.header.time, 0);
		}
		aggregate_part_kernel_code(&a, 0xffffffffc0001000, 17);
	}
	const struct aggregate_window *window = &a.current[PROFILE_KIND_CPU];
	assert_int_equal(window->entries.count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(window->entries.items[i].count, window->entries.items[i].stack == 0 ? 4 : 12);
	uint16_t part = a.stacks.items[0].part;
	aggregate_part_kernel_code(&a, 0xffffffffc0001000, 16); /* ends before it */
	aggregate_part_kernel_code(&a, 0xffffffffc0001011, 16);
	assert_int_equal(a.stacks.items[0].part, part);
	aggregate_deinit(&a);
}

static void test_windows(void **state)
{
	struct aggregate a;
	struct aggregate_window all = {0}, none = {.pid = 1234};
	aggregate_init(&a, NULL);
	add(&a, 1, 100, 0);
	aggregate_open(&a, &all);
	aggregate_open(&a, &none);
	add(&a, 1, 200, 0);
	aggregate_next(&a);
	add(&a, 2, 300, 0);
	assert_int_equal(all.entries.count, 2);
	assert_int_equal(all.entries.items[0].count, 1);
	assert_int_equal(none.entries.count, 0);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.count, 1);
	aggregate_close(&a, &all);
	add(&a, 2, 400, 0);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].count, 2);
	assert_int_equal(a.totals[PROFILE_KIND_CPU].samples, 4);
	aggregate_deinit(&a);
	assert_int_equal(program.references, 1);
}

/* Stacks that nobody uses any more go, those that a window or a recent sample needs stay as they are. */
static void test_forget_old(void **state)
{
	struct aggregate a;
	struct aggregate_limits limits = {.frames = 8};
	struct aggregate_window window = {0};
	aggregate_init(&a, &limits);
	add(&a, 1, 100, 0);
	aggregate_open(&a, &window);
	add(&a, 2, 200, 0);
	assert_false(aggregate_is_crowded(&a));
	add(&a, 3, 300, 0);
	assert_true(aggregate_is_crowded(&a));
	aggregate_next(&a);
	add(&a, 3, 400, 0);
	aggregate_next(&a);
	assert_int_equal(aggregate_forget_old(&a), 0);
	/* 1 is in no window and was not sampled lately; 2 is in a window; 3 was sampled */
	assert_int_equal(a.stacks.count, 2);
	assert_int_equal(a.stacks.items[window.entries.items[0].stack].id, 2);
	assert_int_equal(a.stacks.items[window.entries.items[1].stack].id, 3);
	for (size_t i = 0; i < 2; i++)
		assert_memory_equal(a.frames.items + a.stacks.items[i].first_frame, frames,
				    sizeof(frames));
	/* the same stack goes on being the same entry */
	add(&a, 3, 500, 0);
	assert_int_equal(window.entries.count, 2);
	assert_int_equal(window.entries.items[1].count, 3);
	aggregate_close(&a, &window);
	aggregate_next(&a);
	aggregate_next(&a);
	assert_int_equal(aggregate_forget_old(&a), 0);
	assert_int_equal(a.stacks.count, 0);
	assert_int_equal(a.frames.count, 0);
	add(&a, 1, 600, 0);
	assert_int_equal(a.totals[PROFILE_KIND_CPU].samples, 6);
	assert_int_equal(a.totals[PROFILE_KIND_CPU].dropped, 0);
	aggregate_deinit(&a);
	assert_int_equal(program.references, 1);
}

/* What is kept has room for as much as there was between the last two times, not for what there was once. */
static void room_follows_stacks(void **state)
{
	struct aggregate a;
	aggregate_init(&a, NULL);
	for (uint64_t id = 1; id <= 5000; id++)
		add(&a, id, 100 * id, 0);
	aggregate_next(&a);
	aggregate_next(&a);
	assert_int_equal(aggregate_forget_old(&a), 0);
	assert_int_equal(a.stacks.capacity, 8192);
	assert_int_equal(a.frames.capacity, 16384);
	for (uint64_t id = 1; id <= 100; id++)
		add(&a, id, 100 * id, 0);
	aggregate_next(&a);
	assert_int_equal(aggregate_forget_old(&a), 0);
	assert_int_equal(a.stacks.count, 100);
	assert_int_equal(a.stacks.capacity, 128);
	assert_int_equal(a.frames.capacity, 256);
	assert_true(a.stacks_by_id.capacity <= 256);
	for (int i = 0; i < 10; i++)
		aggregate_next(&a);
	assert_true(a.current[PROFILE_KIND_CPU].entries.capacity <= 8);
	assert_true(a.current[PROFILE_KIND_CPU].entries_by_key.capacity <= 16);
	aggregate_deinit(&a);
	assert_int_equal(program.references, 1);
}

static void add_event(struct aggregate *a, uint16_t event, uint64_t weight)
{
	struct record_sample sample = {
		.event = event,
		.header.time = 100,
		.weight = weight,
		.stack_id = 1,
		.pid = 7,
		.tid = 8,
		.user_frames = 2,
		.comm = "thread",
	};
	aggregate_add(a, &sample, frames, NULL, &program);
}

static void kinds_are_kept_apart(void **state)
{
	struct aggregate a;
	struct aggregate_window opened = {.kind = PROFILE_KIND_GROWTH};
	aggregate_init(&a, NULL);
	aggregate_open(&a, &opened);
	add_event(&a, EVENT_CPU, 10);
	add_event(&a, EVENT_GROWTH, 4096);
	add_event(&a, EVENT_GROWTH, 8192);
	add_event(&a, EVENT_COPIED, 4096);
	add_event(&a, UINT16_MAX, 1);
	assert_int_equal(a.stacks.count, 1);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.count, 1);
	assert_int_equal(a.current[PROFILE_KIND_CPU].entries.items[0].weight, 10);
	const struct aggregate_window *growth = &a.current[PROFILE_KIND_GROWTH];
	assert_int_equal(growth->entries.count, 2);
	assert_int_equal(growth->entries.items[0].event, EVENT_GROWTH);
	assert_int_equal(growth->entries.items[0].weight, 12288);
	assert_true(growth->growth_squares == 4096.0 * 4096 + 8192.0 * 8192);
	assert_int_equal(growth->entries.items[1].event, EVENT_COPIED);
	assert_int_equal(growth->entries.items[1].weight, 4096);
	assert_int_equal(opened.entries.count, 2);
	assert_int_equal(a.totals[PROFILE_KIND_CPU].samples, 1);
	assert_int_equal(a.totals[PROFILE_KIND_GROWTH].samples, 3);
	aggregate_next(&a);
	assert_int_equal(growth->entries.count, 0);
	assert_true(growth->growth_squares == 0);
	aggregate_deinit(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_times),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_kernel_code_replaced),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_forget_old),
		cmocka_unit_test(room_follows_stacks),
		cmocka_unit_test(kinds_are_kept_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
