/* SPDX-License-Identifier: Apache-2.0 */
/* See background.h. The lock protects the list of finished work and the count of running work. */
#include "service/background.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct job {
	struct background *background;
	background_work work;
	background_done done;
	void *userdata;
	struct job *next; /* finished */
};

struct background {
	unsigned limit, running;
	int event; /* readable while `finished` is not empty */
	struct loop_source *source;
	pthread_mutex_t lock;
	struct job *finished;
};

static void *run(void *argument)
{
	struct job *job = argument;
	struct background *background = job->background;
	job->work(job->userdata);
	pthread_mutex_lock(&background->lock);
	job->next = background->finished;
	background->finished = job;
	eventfd_write(background->event, 1);
	pthread_mutex_unlock(&background->lock);
	return NULL;
}

static void finish_all(struct background *background)
{
	eventfd_t ignored;
	pthread_mutex_lock(&background->lock);
	eventfd_read(background->event, &ignored);
	struct job *job = background->finished;
	background->finished = NULL;
	pthread_mutex_unlock(&background->lock);
	while (job) {
		struct job *next = job->next;
		background->running--;
		job->done(job->userdata);
		free(job);
		job = next;
	}
}

static int on_finished(struct loop_source *source, uint32_t events, void *userdata)
{
	finish_all(userdata);
	return 0;
}

int background_new(struct loop *loop, unsigned limit, struct background **ret)
{
	struct background *background = calloc(1, sizeof(*background));
	if (!background)
		return -ENOMEM;
	background->limit = limit;
	pthread_mutex_init(&background->lock, NULL);
	background->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = background->event < 0 ? -errno
				      : loop_add_fd(loop, background->event, EPOLLIN, on_finished,
						    background, &background->source);
	if (r < 0) {
		background_free(background, 0);
		return r;
	}
	*ret = background;
	return 0;
}

int background_run(struct background *background, background_work work, background_done done,
		   void *userdata)
{
	if (background->running >= background->limit)
		return -EAGAIN;
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	*job = (struct job){background, work, done, userdata, NULL};
	int r = thread_start_detached(THREAD_USUAL_STACK, run, job);
	if (r < 0) {
		free(job);
		return r;
	}
	background->running++;
	return 0;
}

struct background *background_free(struct background *background, uint64_t timeout_ns)
{
	if (!background)
		return NULL;
	uint64_t now, until = monotonic_ns() + timeout_ns;
	while (background->running && (now = monotonic_ns()) < until) {
		struct pollfd event = {.fd = background->event, .events = POLLIN};
		poll(&event, 1, (int)((until - now) / NS_PER_MS + 1));
		finish_all(background);
	}
	loop_remove(background->source);
	if (background->running)
		return NULL;
	/* The last thread may not have left the lock yet. */
	pthread_mutex_lock(&background->lock);
	pthread_mutex_unlock(&background->lock);
	pthread_mutex_destroy(&background->lock);
	close_fd(background->event);
	free(background);
	return NULL;
}
