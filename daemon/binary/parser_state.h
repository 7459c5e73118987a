/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser's inside, shared by its parts: parser.c (life and asking), parser_supervisor.c (the child:
 * started, given questions, watched, ended), parser_pace.c (stopped) and parser_replies.c (what it answers). Nobody
 * else includes this.
 */
#pragma once

#include "binary/parser.h"
#include "binary/parser_process.h"
#include "binary/parser_queue.h"

/* Requests that are with the child at most. */
#define PARSER_PIPELINE 8
/* What more urgent ones may come for is handed out no sooner than it must. */
#define PARSER_USUAL_PIPELINE 2

struct parser_pace {
	bool is_limited;
	uint64_t until_ns;   /* of the CPU time of all children */
	uint64_t stopped_ns; /* when the child was stopped, CLOCK_MONOTONIC; 0: it runs */
	struct loop_source *timer; /* looks whether it is to be stopped */
};

struct parser {
	struct loop *loop; /* our own */
	struct loop_source *outer_source;
	struct parser_limits limits;
	const char *const *child_argv;
	struct parser_queue queue;
	struct parser_request *with_child[PARSER_PIPELINE]; /* [0] is being worked on */
	size_t with_child_count;
	size_t pending;
	bool is_waited_for;
	struct parser_pace pace;
	uint64_t next_id;

	struct parser_process *child;
	struct loop_source *socket_source;
	bool child_ready, child_answered;
	struct parser_process *dying;
	size_t dying_count;
	unsigned fruitless_children, failed_starts;
	uint64_t start_not_before;
	uint64_t deadline; /* of the present request, or of an idle child */

	struct loop_source *wake, *wake_timer; /* hand out requests, now or later */
	struct loop_source *deadline_timer; /* watchdog, or the end of an idle child */
	bool running; /* inside the loop of our own */
	bool answer_taken; /* by the callback that runs, or ran last */
	struct parser_statistics statistics;
};

/* -- parser_supervisor.c -------------------------------------------------------------------- */

/* Has requests handed out as soon as a child may be there. */
void parser_schedule(struct parser *parser);

/* How many may be with the child now. */
static inline size_t parser_pipeline(const struct parser *parser)
{
	return parser->is_waited_for ? PARSER_PIPELINE : PARSER_USUAL_PIPELINE;
}

/* The request the child is working on, then the caller's; NULL: none. */
struct parser_request *parser_take_first(struct parser *parser);

/* Everything the child still has goes back to where it came from. */
void parser_requeue(struct parser *parser);

/* Ends the present child and gives the request it was working on this error; 0: that one is tried
 * again too. */
void parser_drop_child(struct parser *parser, int error);

/* Tells the requester and frees the request. */
void parser_finish(struct parser *parser, struct parser_request *request, int error,
		   const struct artifact *artifact);

/* Of trigger and timers: hands out requests; ends a child that is late or idle. */
int parser_on_wake(struct loop_source *source, uint32_t events, void *userdata);
int parser_on_deadline(struct loop_source *source, uint32_t events, void *userdata);

/* -- parser_pace.c -------------------------------------------------------------------------- */

/* Is something left of what was granted? */
bool parser_may_work(const struct parser *parser);

/* Is the present child stopped, because nothing is left? */
bool parser_is_stopped_by_us(const struct parser *parser);

/* To be called when the child begins with a request. */
void parser_pace_watch(struct parser *parser);

/* Of the timer: stops a child for which nothing is left. */
int parser_on_pace(struct loop_source *source, uint32_t events, void *userdata);

/* -- parser_replies.c ----------------------------------------------------------------------- */

/* Reads and acts on what the present child has sent. */
void parser_read_replies(struct parser *parser);

/* Of its socket: the same. */
int parser_on_socket(struct loop_source *source, uint32_t events, void *userdata);
