/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of requests and the one child that serves them.
 *
 * Up to two requests are with the child: the one it works on and the next, so that it never waits
 * for us. Only the first one can be to blame when the child dies, hangs or lies; it gets the error
 * and the other one goes back to the head of the queue. When a reply names no request of ours, the
 * blame is open (an earlier file may have taken the child over): the request is tried again with a
 * new child, a bounded number of times.
 *
 * All sources live on a loop of the parser's own that is one source of the daemon's loop. So
 * parser_drain() can run the parser's part alone.
 */
#include "binary/parser.h"

#include "base/clock.h"
#include "base/file.h"
#include "binary/parser_process.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_CHILD_MEMORY (1ULL << 30)
#define DEFAULT_REQUEST_CPU_NS (30 * NS_PER_SECOND)
#define DEFAULT_REQUEST_WALL_NS (60 * NS_PER_SECOND)
#define DEFAULT_IDLE_EXIT_NS (2 * NS_PER_SECOND)

/* Pause after the n-th child in a row that ended without one answer: doubled from the first value to
 * the second. */
#define FIRST_BACKOFF_NS (10 * NS_PER_MS)
#define MAX_BACKOFF_NS NS_PER_SECOND

/* After so many children in a row that did not get as far as their sandbox, all requests fail: it is
 * not the files. With the pauses between them that is more than a second. */
#define MAX_FAILED_STARTS 8

/* Times one request is given to a child before it is blamed for what may be another's doing. */
#define MAX_ATTEMPTS 3

/* Killed children that have not ended yet; past it no new one is started. */
#define MAX_DYING 4

#define PIPELINE 2
#define PRIORITY_COUNT 2

struct request {
	struct request *next;
	uint64_t id;
	enum artifact_kind kind;
	enum parser_priority priority;
	int file, second_file;
	struct stat before, second_before;
	uint64_t *addresses;
	size_t address_count;
	bool with_inlines;
	int answer; /* memfd, while with the child */
	unsigned attempts;
	parser_callback callback;
	void *userdata;
};

struct request_queue {
	struct request *first, **last;
};

struct parser {
	struct loop *loop; /* our own */
	struct loop_source *outer_source;
	struct parser_limits limits;
	const char *const *child_argv;
	struct request_queue queues[PRIORITY_COUNT];
	struct request *with_child[PIPELINE]; /* [0] is being worked on */
	size_t with_child_count;
	size_t pending;
	uint64_t next_id;

	struct parser_process *child;
	struct loop_source *socket_source;
	bool child_ready, child_answered;
	struct parser_process *dying;
	size_t dying_count;
	unsigned fruitless_children, failed_starts;
	uint64_t start_not_before;

	struct loop_source *wake_timer;	    /* hands out requests */
	struct loop_source *deadline_timer; /* watchdog, or the end of an idle child */
	bool running; /* inside the loop of our own */
	struct parser_statistics statistics;
};

/* -- requests ------------------------------------------------------------------------------- */

static void request_free(struct request *request)
{
	close_fd(request->file);
	close_fd(request->second_file);
	close_fd(request->answer);
	free(request->addresses);
	free(request);
}

static void queue_add_last(struct request_queue *queue, struct request *request)
{
	request->next = NULL;
	*queue->last = request;
	queue->last = &request->next;
}

static void queue_add_first(struct request_queue *queue, struct request *request)
{
	request->next = queue->first;
	if (!queue->first)
		queue->last = &request->next;
	queue->first = request;
}

static struct request *queue_take(struct request_queue *queue)
{
	struct request *request = queue->first;
	if (!request)
		return NULL;
	queue->first = request->next;
	if (!queue->first)
		queue->last = &queue->first;
	return request;
}

static struct request *next_request(struct parser *parser)
{
	struct request *request = NULL;
	for (size_t i = 0; i < PRIORITY_COUNT && !request; i++)
		request = queue_take(&parser->queues[i]);
	return request;
}

static bool have_queued(const struct parser *parser)
{
	for (size_t i = 0; i < PRIORITY_COUNT; i++)
		if (parser->queues[i].first)
			return true;
	return false;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool file_changed(int fd, const struct stat *before)
{
	struct stat now;
	return fd >= 0 && (fstat(fd, &now) < 0 || now.st_size != before->st_size ||
			   !same_time(now.st_mtim, before->st_mtim) ||
			   !same_time(now.st_ctim, before->st_ctim));
}

static bool request_is_stale(const struct request *request)
{
	return file_changed(request->file, &request->before) ||
	       file_changed(request->second_file, &request->second_before);
}

/* Tells the requester and forgets the request. */
static void request_finish(struct parser *parser, struct request *request, int error,
			   const struct artifact *artifact)
{
	parser->pending--;
	request->callback(request->userdata, error, artifact);
	request_free(request);
}

/* -- the child ------------------------------------------------------------------------------ */

static int on_socket(struct loop_source *source, uint32_t events, void *userdata);
static void read_replies(struct parser *parser);

static void schedule(struct parser *parser)
{
	uint64_t now = monotonic_ns();
	uint64_t wait = parser->child || parser->start_not_before <= now
				? 0
				: parser->start_not_before - now;
	loop_set_timer(parser->wake_timer, wait, 0);
}

static void set_deadline(struct parser *parser)
{
	loop_set_timer(parser->deadline_timer,
		       parser->with_child_count ? parser->limits.request_wall_ns
						: parser->limits.idle_exit_ns, 0);
}

static struct request *take_first_with_child(struct parser *parser)
{
	struct request *request = parser->with_child[0];
	if (!request)
		return NULL;
	parser->with_child[0] = parser->with_child[1];
	parser->with_child[1] = NULL;
	parser->with_child_count--;
	set_deadline(parser);
	return request;
}

/* Everything the child still has goes back to where it came from. */
static void requeue_all_with_child(struct parser *parser)
{
	while (parser->with_child_count) {
		size_t last = --parser->with_child_count;
		struct request *request = take_pointer(parser->with_child[last]);
		request->answer = close_fd(request->answer);
		queue_add_first(&parser->queues[request->priority], request);
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

/* Ends the present child and gives the request it was working on this error; 0: that one is tried
 * again too. */
static void drop_child(struct parser *parser, int error)
{
	struct request *blamed = error ? take_first_with_child(parser) : NULL;
	note_end_of_child(parser);
	requeue_all_with_child(parser);
	kill_child(parser);
	schedule(parser);
	if (blamed)
		request_finish(parser, blamed, error, NULL);
}

static void reject_answer(struct parser *parser, int error)
{
	parser->statistics.answers_rejected++;
	parser->statistics.children_killed++;
	drop_child(parser, error);
}

/* A reply to nothing we asked: retry the present request, unless that was tried often enough. */
static void reject_stray_reply(struct parser *parser)
{
	struct request *first = parser->with_child[0];
	reject_answer(parser, first && first->attempts >= MAX_ATTEMPTS ? -EPROTO : 0);
}

static void fail_everything(struct parser *parser, int error)
{
	/* Only what is there now: callbacks may ask again. */
	struct request *first = NULL, **last = &first, *request;
	while ((request = next_request(parser))) {
		*last = request;
		last = &request->next;
	}
	*last = NULL;
	while ((request = first)) {
		first = request->next;
		request_finish(parser, request, error, NULL);
	}
}

/* Which error the request deserves that the child was working on when it ended by itself. */
static int error_of_end(const struct parser *parser, int status)
{
	if (!parser->child_ready || !parser->with_child[0])
		return 0;
	if (request_is_stale(parser->with_child[0]))
		return -ESTALE;
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
	schedule(parser);
}

static void on_child_exit(struct parser_process *process, int status, void *userdata)
{
	struct parser *parser = userdata;
	/* What it answered before its end still counts. */
	if (process == parser->child && parser->socket_source)
		read_replies(parser);
	if (process == parser->child)
		drop_child(parser, error_of_end(parser, status));
	else
		forget_dying(parser, process);
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
	int r = parser_process_start(parser->loop, parser->child_argv, on_child_exit, parser, &child);
	if (r < 0)
		return r;
	parser->statistics.children_started++;
	r = loop_add_fd(parser->loop, child->socket, EPOLLIN, on_socket, parser,
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

/* -- questions ------------------------------------------------------------------------------ */

static int make_address_memfd(const struct request *request)
{
	int fd = parser_make_memfd();
	if (fd < 0)
		return fd;
	int r = write_all(fd, request->addresses, request->address_count * sizeof(uint64_t));
	if (r < 0) {
		close_fd(fd);
		return r;
	}
	return fd;
}

static int send_question(struct parser *parser, struct request *request)
{
	_cleanup_fd_ int addresses = -1;
	struct parser_question question = {
		.id = request->id,
		.kind = request->kind,
		.address_count = request->address_count,
	};
	int fds[PARSER_MAX_FDS];
	size_t count = 0;
	request->answer = parser_make_memfd();
	if (request->answer < 0)
		return request->answer;
	fds[count++] = request->answer;
	fds[count++] = request->file;
	if (request->second_file >= 0) {
		question.flags |= PARSER_SECOND_FILE;
		fds[count++] = request->second_file;
	}
	if (request->kind == ARTIFACT_LINES) {
		question.flags |= request->with_inlines ? PARSER_WITH_INLINES : 0;
		addresses = make_address_memfd(request);
		if (addresses < 0)
			return addresses;
		fds[count++] = addresses;
	}
	return parser_send(parser->child->socket, &question, sizeof(question), fds, count);
}

/* The child went away; that event is on its way to us. */
static bool is_peer_gone(int error)
{
	return error == -EPIPE || error == -ECONNRESET || error == -ENOTCONN;
}

/* Hands the next request to the child. Returns false when there is nothing to hand out now. */
static bool hand_out(struct parser *parser)
{
	struct request *request = next_request(parser);
	if (!request)
		return false;
	int r = send_question(parser, request);
	if (is_peer_gone(r)) {
		request->answer = close_fd(request->answer);
		queue_add_first(&parser->queues[request->priority], request);
		return false;
	}
	if (r < 0) {
		request_finish(parser, request, r, NULL);
		return true;
	}
	request->attempts++;
	parser->with_child[parser->with_child_count++] = request;
	if (parser->with_child_count == 1)
		set_deadline(parser);
	return true;
}

static int on_wake(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser *parser = userdata;
	if (!have_queued(parser))
		return 0;
	if (!parser->child) {
		if (parser->failed_starts >= MAX_FAILED_STARTS) {
			parser->failed_starts = 0;
			fail_everything(parser, -ECHILD);
			return 0;
		}
		if (parser->dying_count >= MAX_DYING)
			return 0; /* on_child_exit() wakes us */
		if (start_child(parser) < 0) {
			parser->child_ready = parser->child_answered = false;
			note_end_of_child(parser);
			schedule(parser);
			return 0;
		}
	}
	while (parser->child && parser->with_child_count < PIPELINE && hand_out(parser))
		;
	return 0;
}

/* -- replies -------------------------------------------------------------------------------- */

static void accept_ready(struct parser *parser, const struct parser_reply *reply)
{
	if (parser->child_ready) {
		reject_stray_reply(parser);
		return;
	}
	parser->child_ready = true;
	parser->failed_starts = 0;
	parser->statistics.child_layers = (uint32_t)reply->size;
}

/* The child already works on the next request while we look at this answer. */
static void accept_answer(struct parser *parser, const struct parser_reply *reply)
{
	struct request *request = take_first_with_child(parser);
	struct artifact artifact;
	int error = reply->error;
	parser->child_answered = true;
	schedule(parser);
	if (error == 0)
		error = parser_map_answer(request->answer, reply->size, request->kind, &artifact);
	bool mapped = error == 0;
	if (error == -EPROTO) {
		parser->child_answered = false;
		reject_answer(parser, 0);
	} else if (request_is_stale(request)) {
		error = -ESTALE;
	} else if (error) {
		parser->statistics.failed++;
	} else {
		parser->statistics.answered++;
	}
	request_finish(parser, request, error, error ? NULL : &artifact);
	if (mapped)
		parser_unmap_answer(&artifact);
}

static void accept_reply(struct parser *parser, const void *bytes, size_t size)
{
	struct parser_reply reply;
	struct request *first = parser->with_child[0];
	if (parser_reply_check(bytes, size, &reply) < 0)
		reject_answer(parser, first ? -EPROTO : 0);
	else if (reply.id == PARSER_READY_ID)
		accept_ready(parser, &reply);
	else if (!parser->child_ready || !first || reply.id != first->id)
		reject_stray_reply(parser);
	else
		accept_answer(parser, &reply);
}

/* Reads what is there; a child has at most this many replies to give. */
static void read_replies(struct parser *parser)
{
	const struct parser_process *child = parser->child;
	for (int i = 0; i < PIPELINE + 1 && parser->child == child && parser->socket_source; i++) {
		struct parser_reply reply;
		ssize_t n = recv(child->socket, &reply, sizeof(reply), MSG_DONTWAIT | MSG_TRUNC);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0) {
			accept_reply(parser, &reply, (size_t)n);
			continue;
		}
		/* It closed its end: what became of it, its exit tells. Until then the watchdog runs. */
		parser->socket_source = loop_remove(parser->socket_source);
		kill(child->pid, SIGKILL);
		return;
	}
}

static int on_socket(struct loop_source *source, uint32_t events, void *userdata)
{
	read_replies(userdata);
	return 0;
}

static int on_deadline(struct loop_source *source, uint32_t events, void *userdata)
{
	struct parser *parser = userdata;
	if (!parser->child)
		return 0;
	if (parser->with_child_count) {
		parser->statistics.children_killed++;
		drop_child(parser, -ETIMEDOUT);
	} else if (!have_queued(parser)) {
		parser->child_answered = true; /* a good end, no reason to back off */
		drop_child(parser, 0);
	}
	return 0;
}

/* -- life ----------------------------------------------------------------------------------- */

/* Runs the loop of our own, where every callback of this file is called from. */
static int run_own_loop(struct parser *parser, int timeout_ms)
{
	if (parser->running)
		return -EBUSY;
	parser->running = true;
	int r = loop_run_once(parser->loop, timeout_ms);
	parser->running = false;
	return r;
}

static int on_own_loop(struct loop_source *source, uint32_t events, void *userdata)
{
	return run_own_loop(userdata, 0);
}

static int add_sources(struct parser *parser, struct loop *outer)
{
	int r = loop_new(&parser->loop);
	if (r < 0)
		return r;
	r = loop_add_timer(parser->loop, 0, 0, on_wake, parser, &parser->wake_timer);
	if (r == 0)
		r = loop_add_timer(parser->loop, 0, 0, on_deadline, parser,
				   &parser->deadline_timer);
	if (r == 0)
		r = loop_add_fd(outer, loop_fd(parser->loop), EPOLLIN, on_own_loop, parser,
				&parser->outer_source);
	return r;
}

static uint64_t or_default(uint64_t value, uint64_t default_value)
{
	return value ? value : default_value;
}

int parser_new(struct loop *loop, const struct parser_limits *limits, struct parser **ret)
{
	static const char *const default_argv[] = {"bolometer", "parser-child", NULL};
	static const struct parser_limits no_limits;
	struct parser *parser = calloc(1, sizeof(*parser));
	if (!parser)
		return -ENOMEM;
	if (!limits)
		limits = &no_limits;
	parser->limits = (struct parser_limits){
		.child_memory = or_default(limits->child_memory, DEFAULT_CHILD_MEMORY),
		.request_cpu_ns = or_default(limits->request_cpu_ns, DEFAULT_REQUEST_CPU_NS),
		.request_wall_ns = or_default(limits->request_wall_ns, DEFAULT_REQUEST_WALL_NS),
		.idle_exit_ns = or_default(limits->idle_exit_ns, DEFAULT_IDLE_EXIT_NS),
	};
	parser->child_argv = default_argv;
	for (size_t i = 0; i < PRIORITY_COUNT; i++)
		parser->queues[i].last = &parser->queues[i].first;
	int r = add_sources(parser, loop);
	if (r < 0) {
		parser_free(parser);
		return r;
	}
	*ret = parser;
	return 0;
}

void parser_set_child_arguments(struct parser *parser, const char *const *argv)
{
	parser->child_argv = argv;
}

struct parser *parser_free(struct parser *parser)
{
	if (!parser)
		return NULL;
	struct request *request;
	requeue_all_with_child(parser);
	while ((request = next_request(parser)))
		request_free(request);
	loop_remove(parser->socket_source);
	parser_process_free(parser->child);
	while (parser->dying) {
		struct parser_process *process = parser->dying;
		parser->dying = process->next;
		parser_process_free(process);
	}
	loop_remove(parser->outer_source);
	loop_free(parser->loop);
	free(parser);
	return NULL;
}

/* -- asking --------------------------------------------------------------------------------- */

static int take_file(int fd, int *ret_fd, struct stat *ret_before)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fstat(fd, ret_before) < 0)
		return -errno;
	if ((flags & (O_ACCMODE | O_PATH)) != O_RDONLY || !S_ISREG(ret_before->st_mode))
		return -EINVAL;
	*ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -errno : 0;
}

/* Takes `request`'s kind, priority, callback and lines' fields; adds the files and queues it. */
static int ask(struct parser *parser, const struct request *wanted, int file, int second_file)
{
	struct request *request = malloc(sizeof(*request));
	if (!request) {
		free(wanted->addresses);
		return -ENOMEM;
	}
	*request = *wanted;
	request->file = request->second_file = request->answer = -1;
	int r = take_file(file, &request->file, &request->before);
	if (r == 0 && second_file >= 0)
		r = take_file(second_file, &request->second_file, &request->second_before);
	if (r < 0) {
		request_free(request);
		return r;
	}
	request->id = ++parser->next_id;
	queue_add_last(&parser->queues[request->priority], request);
	parser->pending++;
	parser->statistics.requests++;
	if (parser->with_child_count < PIPELINE)
		schedule(parser);
	return 0;
}

int parser_request_unwind(struct parser *parser, int file, enum parser_priority priority,
			  parser_callback callback, void *userdata)
{
	struct request wanted = {.kind = ARTIFACT_UNWIND, .priority = priority,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, file, -1);
}

int parser_request_symbols(struct parser *parser, int file, int debug_file,
			   enum parser_priority priority, parser_callback callback, void *userdata)
{
	struct request wanted = {.kind = ARTIFACT_SYMBOLS, .priority = priority,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, file, debug_file);
}

int parser_request_lines(struct parser *parser, int dwarf_file, int supplementary_file,
			 const uint64_t *addresses, size_t count, bool with_inlines,
			 enum parser_priority priority, parser_callback callback, void *userdata)
{
	if (count > PARSER_MAX_ADDRESSES)
		return -E2BIG;
	size_t size = count * sizeof(*addresses);
	uint64_t *copy = malloc(size ? size : 1);
	if (!copy)
		return -ENOMEM;
	if (size)
		memcpy(copy, addresses, size);
	struct request wanted = {.kind = ARTIFACT_LINES, .priority = priority,
				 .addresses = copy, .address_count = count,
				 .with_inlines = with_inlines,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, dwarf_file, supplementary_file);
}

int parser_drain(struct parser *parser, uint64_t timeout_ns)
{
	uint64_t end = monotonic_ns() + timeout_ns;
	while (parser->pending) {
		uint64_t now = monotonic_ns();
		if (now >= end)
			return -ETIMEDOUT;
		uint64_t wait_ms = MIN_OF((end - now + NS_PER_MS - 1) / NS_PER_MS, 60000ULL);
		int r = run_own_loop(parser, (int)wait_ms);
		if (r < 0)
			return r;
	}
	return 0;
}

size_t parser_pending(const struct parser *parser)
{
	return parser->pending;
}

void parser_get_statistics(const struct parser *parser, struct parser_statistics *ret)
{
	*ret = parser->statistics;
	if (parser->child)
		ret->child_cpu_ns += parser_process_cpu_ns(parser->child);
}
