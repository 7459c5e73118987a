/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On a miss the parser is asked, and its answer is stored: only under an identity that the file had before it was
 * parsed and still has afterwards.
 */
#include "binary/binary_store_state.h"

bool store_request_identities_hold(const struct store_request *request)
{
	return file_identity_holds(&request->identity, request->file) &&
	       (request->debug_file < 0 ||
		file_identity_holds(&request->debug_identity, request->debug_file));
}

/* A failure is the cache's to count; the requester has its answer all the same. */
void store_request_keep(const struct store_request *request, int error,
			const struct artifact *artifact)
{
	if (request->storable && (artifact || artifact_cache_is_lasting(error)) &&
	    store_request_identities_hold(request))
		artifact_cache_write(request->store->cache, &request->key, error, artifact);
}

static void on_parsed(void *userdata, int error, const struct artifact *artifact)
{
	struct store_request *request = userdata;
	store_list_remove(&request->store->parsing, request);
	store_request_keep(request, error, artifact);
	store_request_answer(request, error, artifact);
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
