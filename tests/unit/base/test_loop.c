/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: what becomes ready is called, what is removed is not, also when that happens in the
 * same round; ends and errors come back as values.
 */
#include "base/loop.h"

#include "base/file.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	struct loop *loop;
	int pipes[2][2];
	struct loop_source *sources[2];
	unsigned calls;
	uint32_t events;
};

static int setup(void **state)
{
	static struct fixture f;
	f = (struct fixture){0};
	assert_int_equal(loop_new(&f.loop), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pipe(f.pipes[i]), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	loop_free(f->loop);
	for (int i = 0; i < 2; i++) {
		/* Descriptors stay the caller's. */
		assert_int_equal(close(f->pipes[i][0]), 0);
		assert_int_equal(close(f->pipes[i][1]), 0);
	}
	return 0;
}

static void make_ready(struct fixture *f, int i)
{
	assert_int_equal(write(f->pipes[i][1], "x", 1), 1);
}

static int count_call(struct loop_source *source, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;
	f->calls++;
	f->events = events;
	return 0;
}

static int stop_at_three(struct loop_source *source, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;
	if (++f->calls == 3)
		loop_stop(f->loop, 42);
	return 0;
}

static int return_error(struct loop_source *source, uint32_t events, void *userdata)
{
	return -EPROTO;
}

/* Whichever of the two is called first removes both. */
static int remove_both(struct loop_source *source, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;
	f->calls++;
	for (int i = 0; i < 2; i++)
		f->sources[i] = loop_remove(f->sources[i]);
	return 0;
}

static void add_pipe(struct fixture *f, int i, loop_callback callback)
{
	assert_int_equal(loop_add_fd(f->loop, f->pipes[i][0], EPOLLIN, callback, f, &f->sources[i]),
			 0);
}

static void test_descriptor(void **state)
{
	struct fixture *f = *state;
	add_pipe(f, 0, count_call);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 0);
	make_ready(f, 0);
	assert_int_equal(loop_run_once(f->loop, -1), 0);
	assert_int_equal(loop_run_once(f->loop, -1), 0); /* level-triggered */
	assert_int_equal(f->calls, 2);
	assert_true(f->events & EPOLLIN);
	assert_null(loop_remove(f->sources[0]));
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 2);
	assert_null(loop_remove(NULL));
	assert_true(loop_add_fd(f->loop, -1, EPOLLIN, count_call, f, NULL) < 0);
}

static void test_removal_in_callback(void **state)
{
	struct fixture *f = *state;
	add_pipe(f, 0, remove_both);
	add_pipe(f, 1, remove_both);
	make_ready(f, 0);
	make_ready(f, 1);
	assert_int_equal(loop_run_once(f->loop, -1), 0);
	assert_int_equal(f->calls, 1);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 1);
}

static void test_timer(void **state)
{
	struct fixture *f = *state;
	struct loop_source *timer;
	assert_int_equal(loop_add_timer(f->loop, 0, 1000, stop_at_three, f, &timer), 0);
	assert_int_equal(loop_run(f->loop), 42);
	assert_int_equal(f->calls, 3);
	/* Once, an hour from now: not in this test. */
	assert_int_equal(loop_set_timer(timer, 3600000000000ULL, 0), 0);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 3);
	assert_int_equal(loop_set_timer(timer, 0, 0), 0);
	assert_int_equal(loop_run_once(f->loop, -1), 0);
	assert_int_equal(f->calls, 4);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 4);
}

static int trigger_again(struct loop_source *source, uint32_t events, void *userdata)
{
	struct fixture *f = userdata;
	if (f->calls++ == 0)
		loop_trigger(source);
	return 0;
}

static void test_trigger(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(loop_add_trigger(f->loop, trigger_again, f, &f->sources[0]), 0);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 0);
	loop_trigger(f->sources[0]);
	loop_trigger(f->sources[0]);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 1); /* the two are one; the callback's own is the next round's */
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 2);
	assert_int_equal(loop_run_once(f->loop, 0), 0);
	assert_int_equal(f->calls, 2);
}

static void test_signal(void **state)
{
	struct fixture *f = *state;
	sigset_t before;
	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(loop_add_signal(f->loop, SIGUSR2, count_call, f, NULL), 0);
	assert_int_equal(kill(getpid(), SIGUSR2), 0); /* would end the process */
	assert_int_equal(loop_run_once(f->loop, -1), 0);
	assert_int_equal(f->calls, 1);
	assert_int_equal(f->events, SIGUSR2);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

static void test_error_ends_the_loop(void **state)
{
	struct fixture *f = *state;
	add_pipe(f, 0, return_error);
	make_ready(f, 0);
	assert_int_equal(loop_run(f->loop), -EPROTO);
}

/* One loop as a source of another. */
static void test_nested(void **state)
{
	struct fixture *f = *state;
	struct loop *outer;
	unsigned calls = f->calls;
	assert_int_equal(loop_new(&outer), 0);
	assert_int_equal(loop_add_fd(outer, loop_fd(f->loop), EPOLLIN, count_call, f, NULL), 0);
	add_pipe(f, 0, count_call);
	assert_int_equal(loop_run_once(outer, 0), 0);
	assert_int_equal(f->calls, calls);
	make_ready(f, 0);
	assert_int_equal(loop_run_once(outer, -1), 0);
	assert_int_equal(f->calls, calls + 1);
	loop_free(outer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removal_in_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trigger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_signal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_ends_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nested, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
