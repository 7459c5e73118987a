/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines are stored as they are asked for: one entry a binary, which grows with each address that was
 * not in it. With the addresses that programs run through it soon has them all, and the DWARF, which
 * is dear to open, is not opened any more. Until then, DWARF that is compressed is decompressed once, into a file of
 * the cache that the parser reads in its place (dwarf_expand.h).
 */
#include "binary/binary_store_state.h"

#include "base/file.h"
#include "binary/line_merge.h"
#include "binary/parser_protocol.h"

#include <errno.h>
#include <stdlib.h>

/* Past it an entry of lines starts again. */
#define MAX_STORED_ADDRESSES (256U << 10)

int store_request_take_known_lines(struct store_request *request)
{
	if (line_answers_open(&request->entry.artifact, &request->known) < 0)
		return -ENOENT;
	size_t left = 0;
	for (size_t i = 0; i < request->address_count; i++)
		if (!line_answers_know(&request->known, request->addresses[i]))
			request->addresses[left++] = request->addresses[i];
	request->address_count = left;
	if (left == 0)
		return 0;
	request->has_known = true;
	return -ENOENT;
}

static const struct line_answers *known_lines(const struct store_request *request)
{
	return request->has_known ? &request->known : NULL;
}

static int parse_lines(struct store_request *request);

static void release_merged(const struct artifact *artifact)
{
	free((char *)artifact->bytes);
}

/* What was known and what was found together: the answer, and the new entry. Takes over the bytes of `merged`. */
static void answer_merged(struct store_request *request, const struct text *merged)
{
	struct artifact whole = {.bytes = merged->bytes, .size = merged->length};
	if (store_request_may_keep(request, 0, &whole) &&
	    artifact_writing_new(request->store->cache, &request->key, 0, &whole, release_merged,
				 &request->writing) == 0) {
		store_request_keep_and_answer(request);
		return;
	}
	store_request_answer_parsed(request, 0, &whole);
	release_merged(&whole);
}

/* There are no lines, or none more than were known. */
static void answer_without(struct store_request *request, int error)
{
	const struct line_answers *known = known_lines(request);
	if (!known && store_request_may_keep(request, error, NULL) &&
	    artifact_writing_new(request->store->cache, &request->key, error, NULL, NULL, &request->writing) == 0)
		store_request_keep_and_answer(request);
	else
		store_request_answer_parsed(request, error ? error : -EBADMSG, known ? &known->artifact : NULL);
}

static void on_lines(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	const struct line_answers *known = known_lines(request);
	struct line_answers found;
	struct text merged = {0};
	if (error < 0 && request->entry.expanded >= 0) {
		request->entry.expanded = close_fd(request->entry.expanded); /* not to blame the file for the copy */
		if (parse_lines(request) == 0)
			return;
	}
	if (!artifact || line_answers_open(artifact, &found) < 0) {
		answer_without(request, error);
		return;
	}
	if (known && known->answer_count + found.answer_count > MAX_STORED_ADDRESSES)
		known = NULL;
	if (line_answers_merge(known, &found, request->addresses, request->address_count, &merged) == 0) {
		answer_merged(request, &merged);
		return;
	}
	store_request_answer_parsed(request, 0, artifact);
	text_free(&merged);
}

static int parse_lines(struct store_request *request)
{
	int expanded = request->entry.expanded;
	return parser_request_lines(request->store->parser, expanded >= 0 ? expanded : request->file,
				    request->debug_file, request->addresses, request->address_count, true,
				    request->priority, on_lines, request);
}

static void parse_expanded(struct store_request *request)
{
	int r = parse_lines(request);
	if (r < 0)
		store_request_answer_parsed(request, r, NULL);
}

static void on_expanded_written(void *userdata, int error, void *argument)
{
	struct store_request *request = userdata;
	store_count_write(request->store, error);
	if (error == 0)
		request->entry.expanded = take_fd(request->writing->file);
	request->writing = artifact_writing_free(request->writing);
	parse_expanded(request);
}

static void on_expanded(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	struct binary_store *store = request->store;
	if (!store_request_may_keep(request, error, artifact) ||
	    artifact_writing_new(store->cache, &request->expanded_key, error, artifact, parser_unmap_answer,
				 &request->writing) < 0) {
		parse_expanded(request);
		return;
	}
	request->writing->is_file = true;
	if (artifact)
		parser_take_answer(store->parser);
	int r = artifact_writing_start(request->writing, store->offload, on_expanded_written, request);
	if (r < 0)
		on_expanded_written(request, r, NULL);
}

/* Lines of compressed DWARF come from its copy in the cache, which is made with the first question. */
int store_request_parse_lines(struct store_request *request)
{
	if (request->storable && request->entry.expanded_error == -ENOENT &&
	    artifact_cache_takes_writes(request->store->cache))
		return parser_request_dwarf(request->store->parser, request->file, request->priority,
					    on_expanded, request);
	return parse_lines(request);
}
