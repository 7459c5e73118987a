/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the parser child and the queue they wait in: by priority, then age. A request owns
 * duplicates of the files it is about, and knows whether they changed since it was made.
 */
#pragma once

#include "base/attributes.h"
#include "binary/jit_layout.h"
#include "binary/parser.h"

#include <sys/stat.h>

#define PARSER_PRIORITY_COUNT 3

/* A request whose child went without its fault is tried so often. */
#define PARSER_MAX_ATTEMPTS 3

struct parser_request {
	struct parser_request *next; /* in the queue */
	uint64_t id;
	enum artifact_kind kind;
	enum parser_priority priority;
	int file, second_file;
	struct stat before, second_before;
	uint64_t *addresses;
	size_t address_count;
	bool with_inlines;
	struct jit_source jit;
	int answer; /* memfd, while with the child */
	unsigned attempts;
	parser_callback callback;
	void *userdata;
};

struct parser_request_list {
	struct parser_request *first, **last;
};

struct parser_queue {
	struct parser_request_list lists[PARSER_PRIORITY_COUNT];
};

/* Before any other; an empty one needs no freeing. Requests in it are the queue's. */
void parser_queue_init(struct parser_queue *queue);
bool parser_queue_is_empty(const struct parser_queue *queue);
/* Behind all others of its priority. */
void parser_queue_add(struct parser_queue *queue, struct parser_request *request);

/* Before all others of its priority. */
void parser_queue_put_back(struct parser_queue *queue, struct parser_request *request);

/* The next one, then the caller's; NULL when there is none. */
struct parser_request *parser_queue_take(struct parser_queue *queue);

/* Those with this `userdata` go to the end of the PARSER_SOON ones. */
void parser_queue_hasten(struct parser_queue *queue, const void *userdata);

/* Copies `wanted`, whose addresses become the request's (also on failure), with duplicates of the
 * files; second_file -1: none. Returns 0, -EINVAL when a file is not a regular one open for reading
 * only, or -errno. */
int parser_request_new(const struct parser_request *wanted, int file, int second_file,
		       struct parser_request **ret);
void parser_request_free(struct parser_request *request);

/* Has one of its files changed since? */
bool parser_request_is_stale(const struct parser_request *request);

/* Makes the memfd for the answer and sends the question. Returns 0 or -errno. */
int parser_request_send(struct parser_request *request, int socket);
