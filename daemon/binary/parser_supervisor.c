/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one child at a time: started when there is something to do, given questions, ended when it is
 * late, idle or lies.
 *
 * Two requests are with the child: the one it works on and the next, so that it seldom waits for us;
 * more where we wait for all of them anyway, since on a busy host it is a while until our turn comes.
 * Only the first one can be to blame when the child dies, hangs or lies; it gets the error and the
 * others go back to the head of the queue.
 */
#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_protocol.h"
#include "binary/parser_state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>

/* Pause after the n-th child in a row that ended without one answer: doubled from the first value to
 * the second. */
#define FIRST_BACKOFF_NS (10 * NS_PER_MS)
#define MAX_BACKOFF_NS NS_PER_SECOND

/* After so many children in a row that did not get as far as their sandbox, all requests fail: it is
 * not the files. With the pauses between them that is more than a second. */
#define MAX_FAILED_STARTS 8
/* Killed children that have not ended yet; past it no new one is started. */
#define MAX_DYING 4

#define STOP_CHECK_NS NS_PER_SECOND

void parser_finish(struct parser *parser, struct parser_request *request, int error,
			   const struct artifact *artifact)
{
	parser->pending--;
	request->callback(request->userdata, error, artifact);
	parser_request_free(request);
}

void parser_schedule(struct parser *parser)
{
	uint64_t now = monotonic_ns();
	uint64_t wait = parser->child || parser->start_not_before <= now
				? 0
				: parser->start_not_before - now;
	if (wait)
		loop_set_timer(parser->wake_timer, wait, 0);
	else
		loop_trigger(parser->wake);
}

/* The watchdog looks before the deadline too: a child that somebody stopped never gets there. */
static void set_watchdog(struct parser *parser)
{
	uint64_t now = monotonic_ns();
	uint64_t left = parser->deadline > now ? parser->deadline - now : 1;
	loop_set_timer(parser->deadline_timer, MIN_OF(left, (uint64_t)STOP_CHECK_NS), 0);
}

static void set_deadline(struct parser *parser)
{
	parser->deadline = monotonic_ns() + (parser->with_child_count ? parser->limits.request_wall_ns
								      : parser->limits.idle_exit_ns);
	set_watchdog(parser);
}

/* Its time begins when the child comes to it, and so does the blame. */
static void begin_first(struct parser *parser)
{
	if (parser->with_child_count)
		parser->with_child[0]->attempts++;
	set_deadline(parser);
	parser_pace_watch(parser);
}

struct parser_request *parser_take_first(struct parser *parser)
{
	struct parser_request *request = parser->with_child[0];
	if (!request)
		return NULL;
	size_t left = --parser->with_child_count;
	memmove(parser->with_child, parser->with_child + 1, left * sizeof(parser->with_child[0]));
	parser->with_child[left] = NULL;
	begin_first(parser);
	return request;
}

void parser_requeue(struct parser *parser)
{
	while (parser->with_child_count) {
		size_t last = --parser->with_child_count;
		struct parser_request *request = take_pointer(parser->with_child[last]);
		request->answer = close_fd(request->answer);
		parser_queue_put_back(&parser->queue, request);
	}
}

static void note_end_of_child(struct parser *parser)
{
	if (!parser->child_ready)
		parser->failed_starts++;
	if (parser->child_answered) {
		parser->fruitless_children = 0;
		return;
	}
	unsigned doublings = MIN_OF(parser->fruitless_children, 20U);
	parser->fruitless_children++;
	parser->start_not_before =
		monotonic_ns() + MIN_OF(FIRST_BACKOFF_NS << doublings, MAX_BACKOFF_NS);
}

static void kill_child(struct parser *parser)
{
	struct parser_process *child = take_pointer(parser->child);
	parser->socket_source = loop_remove(parser->socket_source);
	parser->pace.stopped_ns = 0;
	parser_process_kill(child);
	if (child->ended) {
		parser->statistics.child_cpu_ns += child->cpu_ns;
		parser_process_free(child);
		return;
	}
	child->next = parser->dying;
	parser->dying = child;
	parser->dying_count++;
}

void parser_drop_child(struct parser *parser, int error)
{
	struct parser_request *blamed = error ? parser_take_first(parser) : NULL;
	note_end_of_child(parser);
	parser_requeue(parser);
	kill_child(parser);
	parser_schedule(parser);
	if (blamed)
		parser_finish(parser, blamed, error, NULL);
}

static void fail_everything(struct parser *parser, int error)
{
	/* Only what is there now: callbacks may ask again. */
	struct parser_request *first = NULL, **last = &first, *request;
	while ((request = parser_queue_take(&parser->queue))) {
		*last = request;
		last = &request->next;
	}
	*last = NULL;
	while ((request = first)) {
		first = request->next;
		parser_finish(parser, request, error, NULL);
	}
}

/* Which error the request deserves that the child was working on when it ended by itself. */
static int error_of_end(const struct parser *parser, int status)
{
	if (!parser->child_ready || !parser->with_child[0])
		return 0;
	if (parser_request_is_stale(parser->with_child[0]))
		return -ESTALE;
	/* No file brings that about: somebody else did, or memory was short. */
	if (status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return parser->with_child[0]->attempts < PARSER_MAX_ATTEMPTS ? 0 : -EINTR;
	return status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU ? -ETIMEDOUT
										  : -ECHILD;
}

static void forget_dying(struct parser *parser, struct parser_process *process)
{
	struct parser_process **link = &parser->dying;
	while (*link && *link != process)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = process->next;
	parser->dying_count--;
	parser->statistics.child_cpu_ns += process->cpu_ns;
	parser_process_free(process);
	parser_schedule(parser);
}

static void on_child_exit(struct parser_process *process, int status, void *userdata)
{
	struct parser *parser = userdata;
	/* What it answered before its end still counts. */
	if (process == parser->child && parser->socket_source)
		parser_read_replies(parser);
	if (process != parser->child) {
		forget_dying(parser, process);
		return;
	}
	parser->statistics.children_lost++;
	parser_drop_child(parser, error_of_end(parser, status));
}

static int send_setup(const struct parser *parser, const struct parser_process *child)
{
	struct parser_setup setup = {
		.magic = PARSER_PROTOCOL_MAGIC,
		.memory = parser->limits.child_memory,
		.request_cpu_ns = parser->limits.request_cpu_ns,
	};
	return parser_send(child->socket, &setup, sizeof(setup), NULL, 0);
}

static int start_child(struct parser *parser)
{
	struct parser_process *child;
	int r = parser_process_start(parser->loop, parser->child_argv, on_child_exit, parser,
				     &child);
	if (r < 0)
		return r;
	parser->statistics.children_started++;
	r = loop_add_fd(parser->loop, child->socket, EPOLLIN, parser_on_socket, parser,
			&parser->socket_source);
	if (r < 0) {
		parser_process_free(child);
		return r;
	}
	parser->child = child;
	parser->child_ready = false;
	parser->child_answered = false;
	set_deadline(parser);
	send_setup(parser, child); /* if it fails, the child ends, and that is seen */
	return 0;
}

/* -- handing out ---------------------------------------------------------------------------- */

/* The child went away; that event is on its way to us. */
static bool is_peer_gone(int error)
{
	return error == -EPIPE || error == -ECONNRESET || error == -ENOTCONN;
}

/* Hands the next request to the child. Returns false when there is nothing to hand out now. */
static bool hand_out(struct parser *parser)
{
	struct parser_request *request = parser_queue_take(&parser->queue);
	if (!request)
		return false;
	int r = parser_request_send(request, parser->child->socket);
	if (is_peer_gone(r)) {
		request->answer = close_fd(request->answer);
		parser_queue_put_back(&parser->queue, request);
		return false;
	}
	if (r < 0) {
		parser_finish(parser, request, r, NULL);
		return true;
	}
	parser->with_child[parser->with_child_count++] = request;
	if (parser->with_child_count == 1)
		begin_first(parser);
	return true;
}

int parser_on_wake(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser *parser = userdata;
	if (!parser_may_work(parser) || parser_queue_is_empty(&parser->queue))
		return 0;
	if (!parser->child) {
		if (parser->failed_starts >= MAX_FAILED_STARTS) {
			parser->failed_starts = 0;
			fail_everything(parser, -EINTR);
			return 0;
		}
		if (parser->dying_count >= MAX_DYING)
			return 0; /* on_child_exit() wakes us */
		if (start_child(parser) < 0) {
			parser->child_ready = parser->child_answered = false;
			note_end_of_child(parser);
			parser_schedule(parser);
			return 0;
		}
	}
	while (parser->child && parser->with_child_count < parser_pipeline(parser) && hand_out(parser))
		;
	return 0;
}

int parser_on_deadline(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser *parser = userdata;
	if (!parser->child)
		return 0;
	if (parser->with_child_count && parser_is_stopped_by_us(parser)) {
		loop_set_timer(parser->deadline_timer, STOP_CHECK_NS, 0);
		return 0;
	}
	bool stopped = parser_process_is_stopped(parser->child);
	if (!stopped && monotonic_ns() < parser->deadline) {
		set_watchdog(parser);
		return 0;
	}
	struct parser_request *first = parser->with_child[0];
	if (first) {
		parser->statistics.children_killed++;
		parser_drop_child(parser, stopped && first->attempts < PARSER_MAX_ATTEMPTS ? 0
											   : -ETIMEDOUT);
	} else if (parser_queue_is_empty(&parser->queue)) {
		parser->child_answered = true; /* a good end, no reason to back off */
		parser_drop_child(parser, 0);
	}
	return 0;
}
