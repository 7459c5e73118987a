/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser's life, and the requests it takes. Its child is parser_supervisor.c, what the child
 * answers parser_replies.c.
 *
 * All sources live on a loop of the parser's own that is one source of the daemon's loop. So
 * parser_drain() can run the parser's part alone.
 */
#include "base/clock.h"
#include "binary/parser_protocol.h"
#include "binary/parser_state.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define DEFAULT_CHILD_MEMORY (1ULL << 30)
#define DEFAULT_REQUEST_CPU_NS (30 * NS_PER_SECOND)
#define DEFAULT_REQUEST_WALL_NS (60 * NS_PER_SECOND)
/* To start a child takes some 10 ms of CPU time (its page tables, the libraries, the sandbox), to keep it less than
 * 1.5 MB of memory. On a host on which programs come and go there is something to ask every few seconds. */
#define DEFAULT_IDLE_EXIT_NS (20 * NS_PER_SECOND)

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
	r = loop_add_trigger(parser->loop, parser_on_wake, parser, &parser->wake);
	if (r == 0)
		r = loop_add_timer(parser->loop, 0, 0, parser_on_wake, parser, &parser->wake_timer);
	if (r == 0)
		r = loop_add_timer(parser->loop, 0, 0, parser_on_deadline, parser,
				   &parser->deadline_timer);
	if (r == 0)
		r = loop_add_timer(parser->loop, 0, 0, parser_on_pace, parser, &parser->pace.timer);
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
	parser_queue_init(&parser->queue);
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
	struct parser_request *request;
	parser_requeue(parser);
	while ((request = parser_queue_take(&parser->queue)))
		parser_request_free(request);
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

/* Takes `wanted`'s kind, priority, callback and lines' fields; adds the files and queues it. */
static int ask(struct parser *parser, const struct parser_request *wanted, int file,
	       int second_file)
{
	struct parser_request *request;
	int r = parser_request_new(wanted, file, second_file, &request);
	if (r < 0)
		return r;
	request->id = ++parser->next_id;
	parser_queue_add(&parser->queue, request);
	parser->pending++;
	parser->statistics.requests++;
	if (parser->with_child_count < parser_pipeline(parser))
		parser_schedule(parser);
	return 0;
}

int parser_request_unwind(struct parser *parser, int file, enum parser_priority priority,
			  parser_callback callback, void *userdata)
{
	struct parser_request wanted = {.kind = ARTIFACT_UNWIND, .priority = priority,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, file, -1);
}

int parser_request_allocators(struct parser *parser, int file, enum parser_priority priority,
			      parser_callback callback, void *userdata)
{
	struct parser_request wanted = {.kind = ARTIFACT_ALLOCATORS, .priority = priority,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, file, -1);
}

int parser_request_dwarf(struct parser *parser, int file, enum parser_priority priority,
			 parser_callback callback, void *userdata)
{
	struct parser_request wanted = {.kind = ARTIFACT_DWARF, .priority = priority,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, file, -1);
}

int parser_request_symbols(struct parser *parser, int file, int debug_file,
			   enum parser_priority priority, parser_callback callback, void *userdata)
{
	struct parser_request wanted = {.kind = ARTIFACT_SYMBOLS, .priority = priority,
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
	struct parser_request wanted = {.kind = ARTIFACT_LINES, .priority = priority,
				 .addresses = copy, .address_count = count,
				 .with_inlines = with_inlines,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, dwarf_file, supplementary_file);
}

int parser_request_jit(struct parser *parser, int excerpt, const struct jit_source *source,
		       enum parser_priority priority, parser_callback callback, void *userdata)
{
	struct parser_request wanted = {.kind = ARTIFACT_JIT, .priority = priority, .jit = *source,
				 .callback = callback, .userdata = userdata};
	return ask(parser, &wanted, excerpt, -1);
}

void parser_hasten(struct parser *parser, const void *userdata)
{
	parser_queue_hasten(&parser->queue, userdata);
}

void parser_take_answer(struct parser *parser)
{
	parser->answer_taken = true;
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

void parser_set_waited_for(struct parser *parser, bool waited_for)
{
	parser->is_waited_for = waited_for;
	if (waited_for)
		parser_schedule(parser);
}

int parser_fd(const struct parser *parser)
{
	return loop_fd(parser->loop);
}

int parser_run_once(struct parser *parser)
{
	return run_own_loop(parser, 0);
}

bool parser_is_held(const struct parser *parser)
{
	return !parser_may_work(parser);
}

size_t parser_pending(const struct parser *parser)
{
	return parser->pending;
}

void parser_get_statistics(const struct parser *parser, struct parser_statistics *ret)
{
	*ret = parser->statistics;
	if (!parser->child)
		return;
	ret->child_cpu_ns += parser_process_cpu_ns(parser->child);
	ret->child_pid = (uint32_t)parser->child->pid;
}
