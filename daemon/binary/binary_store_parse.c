/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On a miss the parser is asked, and its answer is stored: only under an identity that the file had before it was
 * parsed and still has afterwards. A thread writes it (artifact_writing.h). An unwind table is waited for by every sample
 * of its binary and goes on at once; symbols are wanted where they lie in the cache, and lines are added to what it has,
 * so these go on when they are there.
 */
#include "binary/binary_store_state.h"

#include "binary/parser_protocol.h"

bool store_request_may_keep(const struct store_request *request, int error, const struct artifact *artifact)
{
	return request->storable && (artifact || artifact_cache_is_lasting(error)) &&
	       artifact_cache_takes_writes(request->store->cache) &&
	       file_identity_holds(&request->identity, request->file) &&
	       (request->debug_file < 0 || file_identity_holds(&request->debug_identity, request->debug_file));
}

void store_request_answer_parsed(struct store_request *request, int error, const struct artifact *artifact)
{
	store_list_remove(&request->store->parsing, request);
	store_request_answer(request, error, artifact);
}

static void answer_written(struct store_request *request)
{
	const struct artifact_writing *writing = request->writing;
	store_request_answer_parsed(request, writing->error, writing->artifact.bytes ? &writing->artifact : NULL);
}

void store_count_write(struct binary_store *store, int error)
{
	if (error < 0)
		artifact_cache_count_write(store->cache, error);
}

static void on_written(void *userdata, int error, void *argument)
{
	struct store_request *request = userdata;
	store_count_write(request->store, error);
	if (error == 0 && request->writing->has_index) {
		request->entry.has_index = true;
		request->entry.index = request->writing->index;
		request->writing->index = (struct symbol_index){.symbols = NULL};
	}
	answer_written(request);
}

static void on_written_behind(void *userdata, int error, void *argument)
{
	store_count_write(userdata, error);
}

void store_request_keep_and_answer(struct store_request *request)
{
	struct binary_store *store = request->store;
	request->writing->wants_index = request->kind == ARTIFACT_SYMBOLS;
	bool is_awaited = request->kind == ARTIFACT_SYMBOLS || request->kind == ARTIFACT_LINES;
	int r = is_awaited ? artifact_writing_start(request->writing, store->offload, on_written, request)
			   : artifact_writing_start(request->writing, store->offload, on_written_behind, store);
	store_count_write(store, r);
	if (r < 0 || !is_awaited)
		answer_written(request);
}

static void on_parsed(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	struct binary_store *store = request->store;
	if (!store_request_may_keep(request, error, artifact) ||
	    artifact_writing_new(store->cache, &request->key, error, artifact, parser_unmap_answer,
				 &request->writing) < 0) {
		store_request_answer_parsed(request, error, artifact);
		return;
	}
	if (artifact)
		parser_take_answer(store->parser);
	store_request_keep_and_answer(request);
}

int store_request_parse(struct store_request *request)
{
	struct parser *parser = request->store->parser;
	switch (request->kind) {
	case ARTIFACT_UNWIND:
		return parser_request_unwind(parser, request->file, request->priority, on_parsed,
					     request);
	case ARTIFACT_ALLOCATORS:
		return parser_request_allocators(parser, request->file, request->priority, on_parsed,
						 request);
	case ARTIFACT_LINES:
		return store_request_parse_lines(request);
	default:
		return parser_request_symbols(parser, request->file, request->debug_file,
					      request->priority, on_parsed, request);
	}
}
