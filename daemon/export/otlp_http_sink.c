/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP over HTTP with protobuf bodies.
 *
 * Source: opentelemetry.io/docs/specs/otlp, section OTLP/HTTP.
 */
#include "export/sinks.h"

#include "export/answer.h"
#include "export/http_outcome.h"
#include "export/http_sink.h"
#include "export/sink_body.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PROFILES_PATH "/v1development/profiles"
#define PROTOBUF "application/x-protobuf"

static bool is_protobuf(const struct http_answer *answer)
{
	const char *type = http_headers_get(&answer->headers, "content-type");
	return type && !strncasecmp(type, PROTOBUF, strlen(PROTOBUF));
}

/* Partial success: the backend took the request and left some of it out. Not sent again. */
static void read_success(const struct http_answer *answer, struct sink_result *ret)
{
	struct partial_success partial;
	if (ret->message[0] || answer->body.length == 0)
		return;
	if (!is_protobuf(answer) ||
	    answer_partial_success(answer->body.bytes, answer->body.length, &partial) < 0) {
		snprintf(ret->message, sizeof(ret->message),
			 "accepted, with an answer that is not OTLP's");
		return;
	}
	ret->rejected_profiles = partial.rejected_profiles;
	snprintf(ret->message, sizeof(ret->message), "%s", partial.message);
}

static void interpret(const struct http_client *client, const struct http_answer *answer,
		      struct sink_result *ret)
{
	char detail[ANSWER_MESSAGE_BYTES] = "";
	struct rpc_status status;
	if (answer->status >= 400 && is_protobuf(answer)) {
		if (answer_status(answer->body.bytes, answer->body.length, &status) == 0)
			snprintf(detail, sizeof(detail), "%s", status.message);
	} else if (answer->status >= 400) {
		http_body_excerpt(answer, detail, sizeof(detail));
	}
	http_outcome(client, answer, detail, ret);
	if (ret->outcome == SINK_SENT)
		read_success(answer, ret);
	http_client_redact(client, ret->message);
}

static void otlp_http_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
			   struct sink_result *ret)
{
	struct http_sink *http = container_of(sink, struct http_sink, sink);
	enum sink_compression compression = http_client_options(http->client)->compression;
	_cleanup_(text_free) struct text body = {0};
	_cleanup_(http_answer_free) struct http_answer answer = {0};
	char encoding[64];
	snprintf(encoding, sizeof(encoding), "Content-Encoding: %s",
		 sink_compression_name(compression));
	const char *headers[] = {
		"Content-Type: " PROTOBUF,
		OTLP_VERSION_HEADER,
		compression == SINK_UNCOMPRESSED ? NULL : encoding,
		NULL,
	};
	struct http_request request = {.url = http->url, .headers = headers,
				       .timeout_ns = timeout_ns};
	if (payload->kind != PAYLOAD_OTLP) {
		http_sink_refuse(ret, SINK_REJECTED, "an OTLP destination takes no pprof");
		return;
	}
	if (compression == SINK_UNCOMPRESSED) {
		request.body = payload->bytes;
		request.body_size = payload->size;
	} else if (sink_body_compress(compression, payload->bytes, payload->size, &body) == 0) {
		request.body = body.bytes;
		request.body_size = body.length;
	} else {
		http_sink_refuse(ret, SINK_RETRY, "out of memory");
		return;
	}
	http_client_post(http->client, &request, &answer);
	interpret(http->client, &answer, ret);
}

static const struct sink_operations otlp_http_operations = {
	.send = otlp_http_send,
	.cancel = http_sink_cancel,
	.free = http_sink_free,
};

int sink_new_otlp_http(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size)
{
	struct http_sink *sink;
	int r = http_sink_new(sizeof(*sink), &otlp_http_operations, options, PROFILES_PATH, &sink,
			      problem, size);
	if (r == 0)
		*ret = &sink->sink;
	return r;
}
