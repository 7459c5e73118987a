/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work in threads: done on the loop, urgent work first; work that hangs (on an empty pipe) fails after
 * the timeout and takes only work with the same key with it, and its argument is released when it ends.
 */
#include "base/offload.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define TIMEOUT_NS (100 * NS_PER_MS)
#define HANGING 40

static struct loop *loop;
static struct offload *offload;
static int hole[2]; /* a pipe: reading it hangs */
static atomic_int released;

struct task {
	int read_from; /* -1: nothing */
	bool ran;
};

struct outcome {
	unsigned calls, place;
	int error;
	bool ran;
};

static unsigned places;

static void run(void *argument)
{
	struct task *task = argument;
	char byte;
	if (task->read_from >= 0 && read(task->read_from, &byte, 1) < 0)
		return;
	task->ran = true;
}

static void done(void *userdata, int error, void *argument)
{
	struct outcome *outcome = userdata;
	const struct task *task = argument;
	assert_true(!error == !!task);
	outcome->calls++;
	outcome->place = places++;
	outcome->error = error;
	outcome->ran = task && task->ran;
}

static void release(void *argument)
{
	free(argument);
	released++;
}

static void submit_for(int read_from, uint64_t key, bool urgent, uint64_t timeout_ns, struct outcome *outcome)
{
	struct task *task = calloc(1, sizeof(*task));
	task->read_from = read_from;
	struct offload_work work = {.key = key, .urgent = urgent, .timeout_ns = timeout_ns, .run = run, .done = done,
				    .release = release, .argument = task, .userdata = outcome};
	assert_int_equal(offload_submit(offload, &work), 0);
}

static void submit(int read_from, uint64_t key, bool urgent, struct outcome *outcome)
{
	submit_for(read_from, key, urgent, 0, outcome);
}

static void finish(void)
{
	while (offload_pending(offload))
		assert_int_equal(loop_run_once(loop, 1000), 0);
}

static int setup(void **state)
{
	released = 0;
	places = 0;
	assert_int_equal(pipe(hole), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(offload_new(loop, TIMEOUT_NS, &offload), 0);
	return 0;
}

static int teardown(void **state)
{
	offload_free(offload);
	loop_free(loop);
	close_fd(hole[0]);
	close_fd(hole[1]);
	return 0;
}

static void wait_until_none_is_stuck(void)
{
	while (offload_stuck(offload))
		usleep(1000);
}

static void test_done_on_the_loop(void **state)
{
	struct outcome outcomes[100] = {{0}};
	for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++)
		submit(-1, i, i % 2, &outcomes[i]);
	assert_int_equal(outcomes[0].calls, 0); /* not from within */
	finish();
	for (size_t i = 0; i < ARRAY_LENGTH(outcomes); i++)
		assert_true(outcomes[i].calls == 1 && outcomes[i].error == 0 && outcomes[i].ran);
	assert_int_equal(released, ARRAY_LENGTH(outcomes));
}

static void test_urgent_first(void **state)
{
	struct outcome hanging[2] = {{0}}, late = {0}, soon = {0};
	submit(hole[0], 1, false, &hanging[0]);
	submit(hole[0], 2, false, &hanging[1]);
	submit(-1, 0, false, &late);
	submit(-1, 0, true, &soon);
	assert_int_equal(write(hole[1], "x", 1), 1); /* one thread goes on */
	while (!late.calls)
		offload_run_once(offload, -1, TIMEOUT_NS);
	assert_true(soon.calls == 1 && soon.place < late.place);
	assert_int_equal(write(hole[1], "x", 1), 1);
	finish();
	wait_until_none_is_stuck();
}

/* The others' work is done all the same and at once; that of the same key fails. */
static void test_what_hangs_fails(void **state)
{
	struct outcome hanging[HANGING] = {{0}}, other = {0}, again = {0}, after = {0};
	for (size_t i = 0; i < HANGING; i++)
		submit(hole[0], 7, true, &hanging[i]);
	submit(-1, 8, false, &other);
	finish();
	for (size_t i = 0; i < HANGING; i++)
		assert_true(hanging[i].calls == 1 && hanging[i].error == -ETIMEDOUT);
	assert_true(other.error == 0 && other.ran);
	assert_true(other.place == 0);
	assert_int_equal(offload_stuck(offload), 1);
	assert_int_equal(released, HANGING - 1 + 1);
	submit(-1, 7, true, &again);
	finish();
	assert_int_equal(again.error, -ETIMEDOUT);
	/* What hung comes back, and its key is good again. */
	assert_int_equal(write(hole[1], "x", 1), 1);
	wait_until_none_is_stuck();
	submit(-1, 7, true, &after);
	finish();
	assert_true(after.error == 0 && after.ran);
	assert_int_equal(hanging[0].calls, 1);
}

/* When each thread that may be had hangs, work fails and does not wait for ever. */
/* What may take long is waited for when others would have failed. */
static void test_a_longer_timeout(void **state)
{
	struct outcome slow = {0}, late = {0};
	uint64_t start = monotonic_ns();
	submit_for(hole[0], 1, false, 1000 * NS_PER_SECOND, &slow);
	submit(hole[0], 2, false, &late);
	while (!late.calls)
		assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(late.error, -ETIMEDOUT);
	while (monotonic_ns() - start < 3 * TIMEOUT_NS)
		assert_int_equal(loop_run_once(loop, 10), 0);
	assert_int_equal(slow.calls, 0);
	assert_int_equal(write(hole[1], "xx", 2), 2);
	finish();
	assert_true(slow.ran);
	assert_int_equal(slow.error, 0);
	wait_until_none_is_stuck();
}

static void test_threads_are_bounded(void **state)
{
	struct outcome hanging[HANGING] = {{0}}, after = {0};
	for (size_t i = 0; i < HANGING; i++)
		submit(hole[0], i + 1, true, &hanging[i]);
	finish();
	size_t stuck = offload_stuck(offload);
	assert_true(stuck >= 2 && stuck <= 16);
	for (size_t i = 0; i < HANGING; i++)
		assert_int_equal(hanging[i].error, -ETIMEDOUT);
	for (size_t i = 0; i < stuck; i++)
		assert_int_equal(write(hole[1], "x", 1), 1);
	wait_until_none_is_stuck();
	submit(-1, 1, true, &after);
	finish();
	assert_true(after.error == 0 && after.ran);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_done_on_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_urgent_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_hangs_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_longer_timeout, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads_are_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
