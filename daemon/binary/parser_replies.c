/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the child says, taken as foreign bytes: each reply is for the request the child was working on
 * or it is rejected, and the child with it.
 *
 * When a reply names no request of ours, the blame is open (an earlier file may have taken the child
 * over): the request is tried again with a new child, a bounded number of times.
 */
#include "binary/parser_protocol.h"
#include "binary/parser_state.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>

/* A child has at most so many to give: ready, and one for each question. */
#define MAX_REPLIES (PARSER_PIPELINE + 1)

static void reject_answer(struct parser *parser, int error)
{
	parser->statistics.answers_rejected++;
	parser->statistics.children_killed++;
	parser_drop_child(parser, error);
}

/* A reply to nothing we asked: retry the present request, unless that was tried often enough. */
static void reject_stray_reply(struct parser *parser)
{
	struct parser_request *first = parser->with_child[0];
	reject_answer(parser, first && first->attempts >= PARSER_MAX_ATTEMPTS ? -EPROTO : 0);
}

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
	struct parser_request *request = parser_take_first(parser);
	struct artifact artifact;
	int error = reply->error;
	parser->child_answered = true;
	parser_schedule(parser);
	if (error == 0)
		error = parser_map_answer(request->answer, reply->size, request->kind, &artifact);
	bool mapped = error == 0;
	parser->answer_taken = false;
	if (error == -EPROTO) {
		parser->child_answered = false;
		reject_answer(parser, 0);
	} else if (parser_request_is_stale(request)) {
		error = -ESTALE;
	} else if (error && error != -ENODATA) { /* that a file has none is an answer */
		parser->statistics.failed++;
	} else {
		parser->statistics.answered++;
	}
	parser_finish(parser, request, error, error ? NULL : &artifact);
	if (mapped && !parser->answer_taken)
		parser_unmap_answer(&artifact);
}

static void accept_reply(struct parser *parser, const void *bytes, size_t size)
{
	struct parser_reply reply;
	struct parser_request *first = parser->with_child[0];
	if (parser_reply_check(bytes, size, &reply) < 0)
		reject_answer(parser, first ? -EPROTO : 0);
	else if (reply.id == PARSER_READY_ID)
		accept_ready(parser, &reply);
	else if (!parser->child_ready || !first || reply.id != first->id)
		reject_stray_reply(parser);
	else
		accept_answer(parser, &reply);
}

void parser_read_replies(struct parser *parser)
{
	const struct parser_process *child = parser->child;
	for (int i = 0; i < MAX_REPLIES && parser->child == child && parser->socket_source; i++) {
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
		if (!child->ended)
			kill(child->pid, SIGKILL);
		return;
	}
}

int parser_on_socket(struct loop_source *source, uint32_t events, void *userdata)
{
	parser_read_replies(userdata);
	return 0;
}
