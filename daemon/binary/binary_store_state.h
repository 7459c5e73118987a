/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a binary store. A request's way through the files: binary_store.c (asked, and answered from the cache
 * where it can be), binary_store_identify.c (which file is it?), binary_store_lookup.c (what has the cache?),
 * binary_store_parse.c (on a miss, by the parser, whose answer is stored) and binary_store_lines.c (the same for lines).
 * It is in one of the store's lists all the time. Nobody else includes this.
 */
#pragma once

#include "binary/artifact_writing.h"
#include "binary/binary_store.h"
#include "binary/line_answers.h"

#define PRIORITY_COUNT 3

/* What the cache has. */
struct store_entry {
	int error;   /* 0, -ENOENT: nothing, or what is stored instead of an artifact */
	char *bytes; /* owned; of the artifact */
	struct artifact artifact;
	bool has_index; /* symbols: the entry, to be read where it lies; owned */
	struct symbol_index index;
	int expanded_error; /* lines: the same of the file with its debug sections decompressed */
	int expanded;	    /* owned, or -1 */
};

#define STORE_ENTRY_NONE ((struct store_entry){.error = -ENOENT, .expanded_error = -ENOENT, .expanded = -1})

struct store_request {
	struct store_request *previous, *next; /* in one of the store's lists */
	struct binary_store *store;
	enum artifact_kind kind;
	enum parser_priority priority;
	int file, debug_file;
	int error; /* it has failed before it was looked up */
	bool storable; /* the identities and the key are valid */
	struct file_identity identity, debug_identity;
	struct artifact_key key;
	struct artifact_key expanded_key; /* lines */
	struct store_entry entry;
	uint64_t asked_ns; /* monotonic */
	struct durations *durations; /* the answer counts here; NULL: nowhere */
	uint64_t *addresses; /* lines: those to ask the parser for */
	size_t address_count;
	bool has_known; /* lines: some are in the entry, */
	struct line_answers known;
	struct artifact_writing *writing; /* the parser's answer while it is stored; NULL: it is not */
	parser_callback callback;
	void *userdata;
};

/* Oldest first. Zero-initialised it is empty. */
struct store_list {
	struct store_request *first, *last;
};

struct binary_store {
	struct offload *offload;
	struct parser *parser;
	struct artifact_cache *cache;
	struct loop_source *turn; /* looks up what waits */
	struct store_list identifying;
	struct store_list waiting[PRIORITY_COUNT];
	struct store_list looking_up;
	size_t lookups; /* in it */
	struct store_list parsing; /* and storing */
	bool running; /* inside a callback */
	struct store_request *answering; /* whose callback; NULL: none */
	struct answer_durations durations;
};

/* ---- binary_store_request.c */

/* At its end; a request is in one list at a time. Taking it out does not free it. */
void store_list_add(struct store_list *list, struct store_request *request);
void store_list_remove(struct store_list *list, struct store_request *request);

/* Frees the requests in it; nobody is told. */
void store_list_free(struct store_list *list);

/* Closes its files too. */
void store_request_free(struct store_request *request);

/* Tells the requester, and frees the request, which is in no list any more. */
void store_request_answer(struct store_request *request, int error, const struct artifact *artifact);

/* ---- binary_store.c */

/* The request is served with the loop's next round. */
void binary_store_set_waiting(struct store_request *request);

/* The request's entry is there: it is answered, or parsed. */
void binary_store_looked_up(struct store_request *request);

/* ---- binary_store_identify.c */

/* Has a thread look at the request's files, which are its own meanwhile; then the request is set waiting. Returns 0 or
 * -errno: then it is in no list, and has no file any more. */
int store_request_identify(struct store_request *request);

/* ---- binary_store_lookup.c */

/* Has a thread look what the cache has of a storable request; then binary_store_looked_up() is called. Returns 0 or
 * -errno. */
int store_request_look_up(struct store_request *request);
void store_entry_free(struct store_entry *entry);

/* ---- binary_store_parse.c */

/* Asks the parser; the request is in the list `parsing`. Returns 0 or -errno: then nobody will answer it. */
int store_request_parse(struct store_request *request);

/* May an answer be stored? An artifact, or a failure that will last, of files that are what they were when they were
 * identified. */
bool store_request_may_keep(const struct store_request *request, int error, const struct artifact *artifact);

/* Has request->writing stored, and answers with what is in it: at once, or where the answer may be read in the cache or
 * asked about again, when it is there. */
void store_request_keep_and_answer(struct store_request *request);

/* Tells the requester; the request is out of the list `parsing`, and freed. */
void store_request_answer_parsed(struct store_request *request, int error, const struct artifact *artifact);

/* Counts a write that hangs, which nobody else can; otherwise error is 0. */
void store_count_write(struct binary_store *store, int error);

/* ---- binary_store_lines.c */

/* What store_request_parse() is for lines. */
int store_request_parse_lines(struct store_request *request);

/* With the entry of the cache: leaves the addresses that it does not have. Returns 0 when it has all, or -ENOENT. */
int store_request_take_known_lines(struct store_request *request);
