/* SPDX-License-Identifier: Apache-2.0 */
/* Links are closed at one moment: the closing of one, which waits, keeps none of the others where it is. */
#include "collect/closing_links.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define FIRST 1000 /* no descriptor of ours */
#define TOGETHER_SECONDS 60

int __real_close(int fd);
int __wrap_close(int fd);

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t wanted, inside; /* closings that wait for each other, and those that have begun */
	bool is_alone;	       /* one waited in vain */
	int closed[2 * CLOSING_LINKS]; /* times */
} closings = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* Returns when as many are closing as are to be closed at once. */
int __wrap_close(int fd)
{
	struct timespec until;
	if (fd < FIRST || fd >= FIRST + 2 * CLOSING_LINKS)
		return __real_close(fd);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TOGETHER_SECONDS;
	pthread_mutex_lock(&closings.lock);
	closings.closed[fd - FIRST]++;
	closings.inside++;
	pthread_cond_broadcast(&closings.changed);
	while (closings.inside < closings.wanted && !closings.is_alone)
		closings.is_alone = pthread_cond_timedwait(&closings.changed, &closings.lock, &until) == ETIMEDOUT;
	pthread_mutex_unlock(&closings.lock);
	return 0;
}

static int set_up(void **state)
{
	(void)state;
	closings.wanted = closings.inside = 0;
	closings.is_alone = false;
	memset(closings.closed, 0, sizeof(closings.closed));
	return 0;
}

static void add(struct closing_links *closing, int fd)
{
	closing_links_add(closing, &fd);
	assert_int_equal(fd, -1);
}

static void test_at_once(void **state)
{
	(void)state;
	struct closing_links closing = {0};
	closings.wanted = 5;
	for (int i = 0; i < 5; i++)
		add(&closing, FIRST + i);
	add(&closing, -1); /* none */
	closing_links_close(&closing);
	assert_false(closings.is_alone);
	assert_int_equal(closings.inside, 5);
	closing_links_close(&closing);
	for (int i = 0; i < 5; i++)
		assert_int_equal(closings.closed[i], 1);
}

/* More than there is room for: each is closed, once. */
static void test_many(void **state)
{
	(void)state;
	struct closing_links closing = {0};
	for (int i = 0; i < 2 * CLOSING_LINKS; i++)
		add(&closing, FIRST + i);
	closing_links_close(&closing);
	for (int i = 0; i < 2 * CLOSING_LINKS; i++)
		assert_int_equal(closings.closed[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_at_once, set_up),
		cmocka_unit_test_setup(test_many, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
