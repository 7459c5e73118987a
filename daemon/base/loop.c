/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the epoll descriptor and the list of sources. A removed source is only marked and leaves the
 * epoll set; it is freed when no round is being dispatched, so that events already fetched for it
 * are dropped instead of reaching freed memory.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_TRIGGER, SOURCE_SIGNAL };

struct loop_source {
	struct loop *loop;
	struct loop_source *next;
	enum source_kind kind;
	int fd;
	int signal_code; /* of the signal that came last: SI_KERNEL, SI_USER, … */
	bool removed;
	loop_callback callback;
	void *userdata;
};

struct loop {
	int epoll_fd;
	struct loop_source *sources;
	bool dispatching;
	bool have_removed;
	bool stopped;
	int value;
};

int loop_new(struct loop **ret)
{
	_cleanup_free_ struct loop *loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	*ret = take_pointer(loop);
	return 0;
}

static void source_free(struct loop_source *source)
{
	if (source->kind != SOURCE_FD)
		close_fd(source->fd);
	free(source);
}

static void sweep_removed(struct loop *loop)
{
	for (struct loop_source **link = &loop->sources; *link;) {
		struct loop_source *source = *link;
		if (source->removed) {
			*link = source->next;
			source_free(source);
		} else {
			link = &source->next;
		}
	}
	loop->have_removed = false;
}

struct loop *loop_free(struct loop *loop)
{
	if (!loop)
		return NULL;
	while (loop->sources) {
		struct loop_source *source = loop->sources;
		loop->sources = source->next;
		source_free(source);
	}
	close_fd(loop->epoll_fd);
	free(loop);
	return NULL;
}

static int source_add(struct loop *loop, enum source_kind kind, int fd, uint32_t events,
		      loop_callback callback, void *userdata, struct loop_source **ret)
{
	_cleanup_free_ struct loop_source *source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	*source = (struct loop_source){
		.loop = loop,
		.kind = kind,
		.fd = fd,
		.callback = callback,
		.userdata = userdata,
		.next = loop->sources,
	};
	struct epoll_event event = {.events = events, .data.ptr = source};
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	loop->sources = source;
	if (ret)
		*ret = source;
	source = NULL;
	return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_callback callback, void *userdata,
		struct loop_source **ret)
{
	return source_add(loop, SOURCE_FD, fd, events, callback, userdata, ret);
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_SECOND),
				 .tv_nsec = (long)(ns % NS_PER_SECOND)};
}

int loop_set_timer(struct loop_source *source, uint64_t first_ns, uint64_t interval_ns)
{
	/* A zero it_value would disarm; "now" is one nanosecond. */
	struct itimerspec when = {.it_value = to_timespec(MAX_OF(first_ns, 1ULL)),
				  .it_interval = to_timespec(interval_ns)};
	return timerfd_settime(source->fd, 0, &when, NULL) < 0 ? -errno : 0;
}

int loop_add_timer(struct loop *loop, uint64_t first_ns, uint64_t interval_ns,
		   loop_callback callback, void *userdata, struct loop_source **ret)
{
	_cleanup_fd_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct loop_source *source;
	int r = source_add(loop, SOURCE_TIMER, fd, EPOLLIN, callback, userdata, &source);
	if (r < 0)
		return r;
	fd = -1;
	r = loop_set_timer(source, first_ns, interval_ns);
	if (r < 0) {
		loop_remove(source);
		return r;
	}
	if (ret)
		*ret = source;
	return 0;
}

int loop_add_trigger(struct loop *loop, loop_callback callback, void *userdata, struct loop_source **ret)
{
	_cleanup_fd_ int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = source_add(loop, SOURCE_TRIGGER, fd, EPOLLIN, callback, userdata, ret);
	if (r == 0)
		fd = -1;
	return r;
}

void loop_trigger(struct loop_source *source)
{
	eventfd_write(source->fd, 1);
}

int loop_add_signal(struct loop *loop, int signal, loop_callback callback, void *userdata,
		    struct loop_source **ret)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, signal);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	_cleanup_fd_ int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = source_add(loop, SOURCE_SIGNAL, fd, EPOLLIN, callback, userdata, ret);
	if (r == 0)
		fd = -1;
	return r;
}

bool loop_signal_is_from_kernel(const struct loop_source *source)
{
	return source->signal_code == SI_KERNEL;
}

struct loop_source *loop_remove(struct loop_source *source)
{
	if (!source || source->removed)
		return NULL;
	source->removed = true;
	source->loop->have_removed = true;
	epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	if (!source->loop->dispatching)
		sweep_removed(source->loop);
	return NULL;
}

static int source_dispatch(struct loop_source *source, uint32_t events)
{
	if (source->kind == SOURCE_TIMER || source->kind == SOURCE_TRIGGER) {
		uint64_t times;
		if (read(source->fd, &times, sizeof(times)) < 0)
			return errno == EAGAIN ? 0 : -errno;
	} else if (source->kind == SOURCE_SIGNAL) {
		struct signalfd_siginfo info;
		ssize_t n = read(source->fd, &info, sizeof(info));
		if (n != sizeof(info))
			return n < 0 && errno != EAGAIN ? -errno : 0;
		events = info.ssi_signo;
		source->signal_code = info.ssi_code;
	}
	return source->callback(source, events, source->userdata);
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[32];
	int n = epoll_wait(loop->epoll_fd, events, ARRAY_LENGTH(events), timeout_ms);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;

	int r = 0;
	loop->dispatching = true;
	for (int i = 0; i < n && r == 0; i++) {
		struct loop_source *source = events[i].data.ptr;
		if (!source->removed)
			r = source_dispatch(source, events[i].events);
	}
	loop->dispatching = false;
	if (loop->have_removed)
		sweep_removed(loop);
	return r < 0 ? r : 0;
}

int loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		int r = loop_run_once(loop, -1);
		if (r < 0)
			return r;
	}
	return loop->value;
}

void loop_stop(struct loop *loop, int value)
{
	loop->stopped = true;
	loop->value = value;
}

int loop_fd(const struct loop *loop)
{
	return loop->epoll_fd;
}
