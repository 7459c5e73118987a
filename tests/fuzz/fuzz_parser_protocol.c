/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes the daemon's side of its talk with the parser child. The input is a script for a child that
 * was taken over: it reads questions, writes anything into their memfds, and sends any message at
 * any time. Whatever it does, each request has at most one callback, none is lost, and what is
 * delivered as an artifact is one.
 *
 * No process is started: the child is a socket pair of our own. The loop is not run, so that no real
 * child takes the place of one that was dropped.
 */
#include "base/file.h"
#include "base/loop.h"
#include "base/text.h"
#include "binary/parser_protocol.h"
#include "binary/parser_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS 4

struct script {
	const uint8_t *at, *end;
};

struct stage {
	struct loop *loop;
	struct parser *parser;
	int file;
	int socket;			/* the child's end, -1: it is closed */
	struct parser_question question; /* the latest */
	int answer;			/* its memfd, or -1 */
	unsigned callbacks[REQUESTS];
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static size_t take(struct script *script, void *bytes, size_t size)
{
	size_t n = MIN_OF(size, (size_t)(script->end - script->at));
	memset(bytes, 0, size);
	memcpy(bytes, script->at, n);
	script->at += n;
	return n;
}

static uint8_t take_byte(struct script *script)
{
	uint8_t byte;
	take(script, &byte, 1);
	return byte;
}

static void on_answer(void *userdata, int error, const struct artifact *artifact)
{
	struct artifact again;
	unsigned *callbacks = userdata;
	require(++*callbacks == 1);
	require((error == 0) == (artifact != NULL));
	if (!artifact)
		return;
	const struct artifact_header *header = (const struct artifact_header *)artifact->bytes;
	require(artifact_check(artifact->bytes, artifact->size, header->kind, &again) == 0);
}

/* -- the child ------------------------------------------------------------------------------ */

static void send_reply(const struct stage *stage, uint64_t id, int error, uint64_t size)
{
	struct parser_reply reply = {.id = id, .error = error, .size = size};
	parser_send(stage->socket, &reply, sizeof(reply), NULL, 0);
}

static void read_question(struct stage *stage)
{
	int fds[PARSER_MAX_FDS];
	struct parser_question question;
	fcntl(stage->socket, F_SETFL, O_NONBLOCK);
	int count = parser_receive(stage->socket, &question, sizeof(question), fds);
	if (count < 1)
		return;
	close_fd(stage->answer);
	stage->answer = fds[0];
	stage->question = question;
	while (count > 1)
		close_fd(fds[--count]);
}

/* An artifact that holds what the script says, as the question wants it or not. */
static void write_artifact(struct stage *stage, struct script *script)
{
	struct text text = {0};
	uint8_t bytes[32], kind = take_byte(script);
	size_t size = take(script, bytes, kind % sizeof(bytes));
	artifact_begin(&text, kind & 0x80 ? kind & 3 : stage->question.kind);
	artifact_add_section(&text, SECTION_FACTS, bytes, size);
	if (artifact_finish(&text) == 0 && stage->answer >= 0) {
		write_all(stage->answer, text.bytes, text.length);
		if (kind & 0x40)
			send_reply(stage, stage->question.id, 0, text.length);
	}
	text_free(&text);
}

static void write_anything(struct stage *stage, struct script *script)
{
	uint8_t bytes[255];
	size_t size = take(script, bytes, take_byte(script));
	if (stage->answer >= 0)
		write_all(stage->answer, bytes, size);
}

static void send_anything(struct stage *stage, struct script *script)
{
	uint8_t bytes[64];
	size_t size = take(script, bytes, take_byte(script) % sizeof(bytes));
	parser_send(stage->socket, bytes, size, NULL, 0);
}

static void answer_with_size(struct stage *stage, struct script *script)
{
	static const int errors[] = {0, -EBADMSG, -ENODATA, -E2BIG, 1, -1};
	uint64_t size;
	uint8_t byte = take_byte(script);
	take(script, &size, byte % 9);
	send_reply(stage, stage->question.id + byte / 128, errors[byte % ARRAY_LENGTH(errors)], size);
}

static void play_step(struct stage *stage, struct script *script)
{
	switch (take_byte(script) % 9) {
	case 0:
		send_reply(stage, PARSER_READY_ID, 0, 0);
		break;
	case 1:
		read_question(stage);
		break;
	case 2:
		write_artifact(stage, script);
		break;
	case 3:
		write_anything(stage, script);
		break;
	case 4:
		send_anything(stage, script);
		break;
	case 5:
		answer_with_size(stage, script);
		break;
	case 6:
		if (stage->answer >= 0)
			fcntl(stage->answer, F_ADD_SEALS, 1 << take_byte(script) % 5);
		break;
	case 7:
		if (stage->answer >= 0)
			(void)!ftruncate(stage->answer, take_byte(script) * 64);
		break;
	case 8:
		stage->socket = close_fd(stage->socket);
		break;
	}
}

/* -- the stage ------------------------------------------------------------------------------ */

/* Gives the parser a child whose process has ended already, so that nothing is ever killed. */
static void enter_child(struct stage *stage)
{
	int pair[2];
	struct parser *parser = stage->parser;
	stage->socket = close_fd(stage->socket);
	stage->answer = close_fd(stage->answer);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	parser->child = calloc(1, sizeof(*parser->child));
	require(parser->child != NULL);
	*parser->child = (struct parser_process){.pidfd = -1, .socket = pair[0], .ended = true};
	require(loop_add_fd(parser->loop, pair[0], 0, parser_on_socket, parser,
			    &parser->socket_source) == 0);
	parser->child_ready = parser->child_answered = false;
	stage->socket = pair[1];
	parser_on_wake(NULL, 0, parser);
}

static void begin(struct stage *stage)
{
	char path[64];
	int memfd = memfd_create("file", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	*stage = (struct stage){.socket = -1, .answer = -1, .file = open(path, O_RDONLY | O_CLOEXEC)};
	close_fd(memfd);
	require(stage->file >= 0 && loop_new(&stage->loop) == 0);
	require(parser_new(stage->loop, NULL, &stage->parser) == 0);
	for (size_t i = 0; i < REQUESTS; i++) {
		static const uint64_t address = 1;
		unsigned *callbacks = &stage->callbacks[i];
		static const struct jit_source source = {.format = JIT_PERF_MAP};
		int r = i == 3	     ? parser_request_jit(stage->parser, stage->file, &source, i % 2,
							  on_answer, callbacks)
			: i % 3 == 0   ? parser_request_unwind(stage->parser, stage->file, i % 2,
							     on_answer, callbacks)
			: i % 3 == 1 ? parser_request_symbols(stage->parser, stage->file,
							      stage->file, i % 2, on_answer,
							      callbacks)
				     : parser_request_lines(stage->parser, stage->file, -1,
							    &address, 1, true, i % 2, on_answer,
							    callbacks);
		require(r == 0);
	}
}

static void end(struct stage *stage)
{
	size_t answered = 0;
	for (size_t i = 0; i < REQUESTS; i++)
		answered += stage->callbacks[i];
	require(answered + parser_pending(stage->parser) == REQUESTS);
	parser_free(stage->parser);
	loop_free(stage->loop);
	close_fd(stage->file);
	close_fd(stage->socket);
	close_fd(stage->answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script script = {.at = data, .end = data + MIN_OF(size, (size_t)4096)};
	struct parser_reply reply;
	struct stage stage;
	parser_reply_check(data, size, &reply);
	begin(&stage);
	while (script.at < script.end && parser_pending(stage.parser)) {
		if (!stage.parser->child)
			enter_child(&stage);
		play_step(&stage, &script);
		/* As the loop would: questions first, then what came back. */
		if (stage.parser->child && stage.parser->socket_source) {
			parser_on_wake(NULL, 0, stage.parser);
			parser_read_replies(stage.parser);
		} else if (stage.parser->child) {
			parser_drop_child(stage.parser, -ECHILD); /* its end, told by the pidfd */
		}
	}
	end(&stage);
	return 0;
}
