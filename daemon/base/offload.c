/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock protects the queues, the list of finished work and every thread's state. A thread that was
 * left behind keeps its job and its own structure, which it frees when it comes back.
 */
#include "base/offload.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define THREADS 2
#define MAX_STUCK_THREADS 16
/* Enough for some paths of PATH_MAX. */
#define STACK_SIZE (128U << 10)
#define END_WAIT_NS ((long)(200 * NS_PER_MS))

struct job {
	struct offload_work work;
	struct job *next; /* in the list it is in */
	int error;
};

/* Zero-initialised it is empty. */
struct job_list {
	struct job *first, *last;
};

struct worker {
	struct offload *offload;
	struct worker *next;
	struct job *job;     /* NULL: idle */
	uint64_t started_ns; /* monotonic, of the job */
	bool left_behind;
};

struct offload {
	uint64_t timeout_ns;
	int event; /* readable while `finished` is not empty */
	struct loop_source *source, *timer;
	bool timer_is_set;
	size_t pending;

	pthread_mutex_t lock;
	pthread_cond_t wake; /* there is work, or the end */
	pthread_cond_t left; /* a thread has gone */
	bool is_ending;
	struct job_list urgent, other, finished;
	struct worker *workers; /* at most THREADS */
	size_t worker_count, idle_count, stuck_count;
	struct hash stuck_keys; /* key -> threads that hang in it */
};

/* ---- Lists ----------------------------------------------------------------------------------- */

static void list_add(struct job_list *list, struct job *job)
{
	job->next = NULL;
	if (list->last)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static void list_unlink(struct job_list *list, struct job *previous, struct job *job)
{
	if (previous)
		previous->next = job->next;
	else
		list->first = job->next;
	if (list->last == job)
		list->last = previous;
}

static struct job *list_take(struct job_list *list)
{
	struct job *job = list->first;
	if (job)
		list_unlink(list, NULL, job);
	return job;
}

static void job_release(struct job *job)
{
	if (job->work.argument)
		job->work.release(job->work.argument);
	free(job);
}

static void list_release(struct job_list *list)
{
	struct job *job;
	while ((job = list_take(list)))
		job_release(job);
}

/* With the lock. */
static void finish(struct offload *offload, struct job *job, int error)
{
	job->error = error;
	list_add(&offload->finished, job);
	eventfd_write(offload->event, 1);
}

/* ---- Keys that hang -------------------------------------------------------------------------- */

static bool key_is_stuck(struct offload *offload, uint64_t key)
{
	return key && hash_get(&offload->stuck_keys, key);
}

static void mark_key(struct offload *offload, uint64_t key)
{
	uint64_t *count = key ? hash_get(&offload->stuck_keys, key) : NULL;
	if (count)
		(*count)++;
	else if (key)
		hash_put(&offload->stuck_keys, key, 1);
}

static void unmark_key(struct offload *offload, uint64_t key)
{
	uint64_t *count = key ? hash_get(&offload->stuck_keys, key) : NULL;
	if (count && --*count == 0)
		hash_remove(&offload->stuck_keys, key, NULL);
}

/* ---- The threads ----------------------------------------------------------------------------- */

/* Does a thread work on something that may hang together with it? With the lock. */
static bool key_is_busy(const struct offload *offload, uint64_t key)
{
	for (const struct worker *worker = offload->workers; key && worker; worker = worker->next)
		if (worker->job && worker->job->work.key == key)
			return true;
	return false;
}

/* Takes out the first job that the other thread's does not hold up; one of a key that hangs fails. With
 * the lock. */
static struct job *take_job(struct offload *offload, struct job_list *list)
{
	struct job *previous = NULL;
	for (struct job *job = list->first, *next; job; job = next) {
		next = job->next;
		bool is_stuck = key_is_stuck(offload, job->work.key);
		if (!is_stuck && key_is_busy(offload, job->work.key)) {
			previous = job;
			continue;
		}
		list_unlink(list, previous, job);
		if (!is_stuck)
			return job;
		finish(offload, job, -ETIMEDOUT);
	}
	return NULL;
}

static struct job *next_job(struct offload *offload)
{
	struct job *job = take_job(offload, &offload->urgent);
	return job ? job : take_job(offload, &offload->other);
}

/* A thread that was left behind has come back. With the lock. */
static void come_back(struct worker *worker)
{
	struct offload *offload = worker->offload;
	unmark_key(offload, worker->job->work.key);
	offload->stuck_count--;
}

static void forget_worker(struct worker *worker)
{
	struct worker **link = &worker->offload->workers;
	while (*link != worker)
		link = &(*link)->next;
	*link = worker->next;
	worker->offload->worker_count--;
}

/* Returns false when the thread was left behind meanwhile. Drops the lock while it works. */
static bool work(struct worker *worker, struct job *job)
{
	struct offload *offload = worker->offload;
	worker->job = job;
	worker->started_ns = monotonic_ns();
	pthread_mutex_unlock(&offload->lock);
	job->work.run(job->work.argument);
	pthread_mutex_lock(&offload->lock);
	if (worker->left_behind) {
		come_back(worker);
		return false;
	}
	worker->job = NULL;
	finish(offload, job, 0);
	return true;
}

static void *run_worker(void *argument)
{
	struct worker *worker = argument;
	struct offload *offload = worker->offload;
	bool belongs = true;
	pthread_mutex_lock(&offload->lock);
	while (belongs && !offload->is_ending) {
		struct job *job = next_job(offload);
		if (job) {
			belongs = work(worker, job);
			continue;
		}
		offload->idle_count++;
		pthread_cond_wait(&offload->wake, &offload->lock);
		offload->idle_count--;
	}
	if (belongs)
		forget_worker(worker);
	struct job *stale = belongs ? NULL : worker->job;
	pthread_cond_signal(&offload->left);
	pthread_mutex_unlock(&offload->lock);
	/* What belongs to `offload` is not touched from here on: it may be gone. */
	if (stale)
		job_release(stale);
	free(worker);
	return NULL;
}

/* With the lock. Returns 0 or -errno. */
static int add_worker(struct offload *offload)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int r = worker ? 0 : -ENOMEM;
	if (r < 0)
		return r;
	worker->offload = offload;
	worker->next = offload->workers;
	offload->workers = worker;
	offload->worker_count++;
	r = thread_start_detached(STACK_SIZE, run_worker, worker);
	if (r < 0) {
		forget_worker(worker);
		free(worker);
	}
	return r;
}

/* With the lock. Is there nobody who could do more work, now or later? */
static bool is_exhausted(const struct offload *offload)
{
	return offload->worker_count == 0 && offload->stuck_count >= MAX_STUCK_THREADS;
}

/* With the lock. Sees that somebody does what waits; without any thread it fails. */
static void see_to_work(struct offload *offload)
{
	struct job *job;
	pthread_cond_signal(&offload->wake);
	if (offload->idle_count == 0 && offload->worker_count < THREADS &&
	    offload->worker_count + offload->stuck_count < MAX_STUCK_THREADS)
		add_worker(offload);
	if (offload->worker_count)
		return;
	while ((job = list_take(&offload->urgent)) || (job = list_take(&offload->other)))
		finish(offload, job, is_exhausted(offload) ? -ETIMEDOUT : -EAGAIN);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static bool is_late(const struct offload *offload, const struct worker *worker, uint64_t now)
{
	return worker->job && now - worker->started_ns >= MAX_OF(offload->timeout_ns, worker->job->work.timeout_ns);
}

/* With the lock: the thread is left alone with its job; whoever waits is answered by another one. */
static void leave_behind(struct offload *offload, struct worker *worker)
{
	struct job *answer = calloc(1, sizeof(*answer));
	if (!answer)
		return; /* tried again with the next tick */
	answer->work = worker->job->work;
	answer->work.argument = NULL;
	worker->left_behind = true;
	forget_worker(worker);
	offload->stuck_count++;
	mark_key(offload, worker->job->work.key);
	finish(offload, answer, -ETIMEDOUT);
}

static void leave_late_workers(struct offload *offload)
{
	pthread_mutex_lock(&offload->lock);
	uint64_t now = monotonic_ns(); /* with the lock: no thread has started later */
	for (struct worker *worker = offload->workers, *next; worker; worker = next) {
		next = worker->next;
		if (is_late(offload, worker, now))
			leave_behind(offload, worker);
	}
	if (offload->urgent.first || offload->other.first)
		see_to_work(offload);
	pthread_mutex_unlock(&offload->lock);
}

static void set_timer(struct offload *offload)
{
	uint64_t tick = offload->timeout_ns / 4;
	offload->timer_is_set = loop_set_timer(offload->timer, tick, 0) == 0;
}

static int on_tick(struct loop_source *source, uint32_t events, void *userdata)
{
	struct offload *offload = userdata;
	offload->timer_is_set = false;
	leave_late_workers(offload);
	if (offload->pending)
		set_timer(offload);
	return 0;
}

/* ---- The loop's side ------------------------------------------------------------------------- */

static void answer_finished(struct offload *offload)
{
	struct job *job;
	eventfd_t ignored;
	pthread_mutex_lock(&offload->lock);
	eventfd_read(offload->event, &ignored);
	struct job_list finished = offload->finished;
	offload->finished = (struct job_list){0};
	pthread_mutex_unlock(&offload->lock);
	while ((job = list_take(&finished))) {
		offload->pending--;
		job->work.done(job->work.userdata, job->error, job->error ? NULL : job->work.argument);
		job_release(job);
	}
}

static int on_event(struct loop_source *source, uint32_t events, void *userdata)
{
	answer_finished(userdata);
	return 0;
}

void offload_run_once(struct offload *offload, int other_fd, uint64_t wait_ns)
{
	struct pollfd events[] = {{.fd = offload->event, .events = POLLIN},
				  {.fd = other_fd, .events = POLLIN}};
	uint64_t wait = MIN_OF(wait_ns, offload->timeout_ns / 4);
	poll(events, ARRAY_LENGTH(events), wait ? (int)(wait / NS_PER_MS + 1) : 0);
	leave_late_workers(offload);
	answer_finished(offload);
}

int offload_submit(struct offload *offload, const struct offload_work *wanted)
{
	struct job *job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->work = *wanted;
	offload->pending++;
	pthread_mutex_lock(&offload->lock);
	list_add(wanted->urgent ? &offload->urgent : &offload->other, job);
	see_to_work(offload);
	pthread_mutex_unlock(&offload->lock);
	if (!offload->timer_is_set)
		set_timer(offload);
	return 0;
}

size_t offload_pending(const struct offload *offload)
{
	return offload->pending;
}

size_t offload_stuck(struct offload *offload)
{
	pthread_mutex_lock(&offload->lock);
	size_t count = offload->stuck_count;
	pthread_mutex_unlock(&offload->lock);
	return count;
}

int offload_new(struct loop *loop, uint64_t timeout_ns, struct offload **ret)
{
	struct offload *offload = calloc(1, sizeof(*offload));
	if (!offload)
		return -ENOMEM;
	offload->timeout_ns = timeout_ns;
	pthread_mutex_init(&offload->lock, NULL);
	pthread_cond_init(&offload->wake, NULL);
	pthread_cond_init(&offload->left, NULL);
	offload->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r = offload->event < 0 ? -errno
				   : loop_add_fd(loop, offload->event, EPOLLIN, on_event, offload,
						 &offload->source);
	if (r == 0)
		r = loop_add_timer(loop, timeout_ns, 0, on_tick, offload, &offload->timer);
	if (r < 0) {
		offload_free(offload);
		return r;
	}
	*ret = offload;
	return 0;
}

/* Gives the threads a moment to leave. */
static void end_threads(struct offload *offload)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += END_WAIT_NS;
	if (until.tv_nsec >= (long)NS_PER_SECOND) {
		until.tv_nsec -= NS_PER_SECOND;
		until.tv_sec++;
	}
	offload->is_ending = true;
	pthread_cond_broadcast(&offload->wake);
	while (offload->worker_count &&
	       pthread_cond_timedwait(&offload->left, &offload->lock, &until) == 0)
		;
}

struct offload *offload_free(struct offload *offload)
{
	if (!offload)
		return NULL;
	loop_remove(offload->source);
	loop_remove(offload->timer);
	pthread_mutex_lock(&offload->lock);
	end_threads(offload);
	list_release(&offload->urgent);
	list_release(&offload->other);
	list_release(&offload->finished);
	bool in_use = offload->worker_count || offload->stuck_count;
	pthread_mutex_unlock(&offload->lock);
	if (in_use)
		return NULL; /* what hangs may come back and look at it */
	hash_free(&offload->stuck_keys);
	pthread_cond_destroy(&offload->left);
	pthread_cond_destroy(&offload->wake);
	pthread_mutex_destroy(&offload->lock);
	close_fd(offload->event);
	free(offload);
	return NULL;
}
