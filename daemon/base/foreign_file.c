/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the threads that close. One is enough while nothing hangs; it goes when it has been idle for a while. Which
 * device a descriptor belongs to is asked when it comes, without asking its file system.
 */
#include "base/foreign_file.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define MAX_CLOSERS 16
#define STACK_BYTES (64U << 10)
#define IDLE_SECONDS 5

struct closing {
	int fd;
	dev_t device;
};

/* Who closes now: a device is closed on by one at a time. */
struct closer {
	bool exists, is_busy;
	dev_t device;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static ARRAY(struct closing) waiting;
static struct closer closers[MAX_CLOSERS];
static size_t idle_count;

/* ---- With the lock --------------------------------------------------------------------------- */

static bool is_closed_on(dev_t device)
{
	for (size_t i = 0; i < MAX_CLOSERS; i++)
		if (closers[i].is_busy && closers[i].device == device)
			return true;
	return false;
}

/* The last that came of a device that nobody closes on. */
static bool take(struct closing *ret)
{
	for (size_t i = waiting.count; i-- > 0;) {
		if (is_closed_on(waiting.items[i].device))
			continue;
		*ret = waiting.items[i];
		waiting.items[i] = waiting.items[--waiting.count];
		return true;
	}
	return false;
}

/* Returns 0 or -errno. */
static int start_closer(struct closer *closer);

/* Sees that somebody closes what waits. Returns whether there is anybody. */
static bool see_to_closing(void)
{
	bool any = false;
	if (idle_count) {
		pthread_cond_signal(&wake);
		return true;
	}
	for (size_t i = 0; i < MAX_CLOSERS; i++) {
		if (!closers[i].exists && start_closer(&closers[i]) == 0)
			return true;
		any |= closers[i].exists;
	}
	return any;
}

static bool can_take(void)
{
	for (size_t i = 0; i < waiting.count; i++)
		if (!is_closed_on(waiting.items[i].device))
			return true;
	return false;
}

/* Drops the lock meanwhile. This one may hang: who is left has to do with the others. */
static void close_one(struct closer *self, const struct closing *closing)
{
	self->is_busy = true;
	self->device = closing->device;
	if (can_take())
		see_to_closing();
	pthread_mutex_unlock(&lock);
	close(closing->fd);
	pthread_mutex_lock(&lock);
	self->is_busy = false;
}

/* Returns false when nothing came for a while. */
static bool wait_for_work(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += IDLE_SECONDS;
	idle_count++;
	int r = pthread_cond_timedwait(&wake, &lock, &until);
	idle_count--;
	return r != ETIMEDOUT || can_take();
}

/* ---- The threads ----------------------------------------------------------------------------- */

static void *run_closer(void *userdata)
{
	struct closer *self = userdata;
	struct closing closing;
	bool goes_on = true;
	pthread_mutex_lock(&lock);
	while (goes_on)
		if (take(&closing))
			close_one(self, &closing);
		else
			goes_on = wait_for_work();
	self->exists = false;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int start_closer(struct closer *closer)
{
	int r = thread_start_detached(STACK_BYTES, run_closer, closer);
	closer->exists = r == 0;
	return r;
}

int close_foreign(int fd)
{
	int saved = errno;
	struct stat st;
	if (fd < 0)
		return -1;
	struct closing closing = {.fd = fd, .device = stat_cached(fd, &st) < 0 ? 0 : st.st_dev};
	pthread_mutex_lock(&lock);
	bool is_kept = array_add(&waiting, closing) == 0;
	if (is_kept && !see_to_closing()) {
		waiting.count--;
		is_kept = false;
	}
	pthread_mutex_unlock(&lock);
	if (!is_kept) /* no memory for that: most files do not hang */
		close(fd);
	errno = saved;
	return -1;
}
