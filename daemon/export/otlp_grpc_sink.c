/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OTLP over gRPC: a unary call as one HTTP/2 request, made by libcurl. A call's result stands in the
 * trailers; a server that refuses at once sends them as its only headers.
 *
 * Sources: github.com/grpc/grpc doc/PROTOCOL-HTTP2.md, doc/http-grpc-status-mapping.md,
 * doc/statuscodes.md; opentelemetry.io/docs/specs/otlp, section OTLP/gRPC (what may be retried).
 */
#include "export/sinks.h"

#include "base/clock.h"
#include "export/answer.h"
#include "export/grpc_status.h"
#include "export/http_outcome.h"
#include "export/http_sink.h"
#include "export/sink_body.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXPORT_PATH "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
#define PREFIX_BYTES 5 /* of a message: compressed or not, and its length, big-endian */
#define DEFAULT_TIMEOUT_NS (10 * NS_PER_SECOND)
#define SMALL_PAYLOAD_BYTES (64 << 10) /* any server takes so much */

struct grpc_sink {
	struct http_sink http; /* first */
	uint64_t size_limit;   /* of a payload, as the server once named it; 0: not yet */
};

static int add_message(enum sink_compression compression, const struct payload *payload,
		       struct text *out)
{
	char prefix[PREFIX_BYTES] = {compression != SINK_UNCOMPRESSED};
	text_add_bytes(out, prefix, sizeof(prefix));
	int r = sink_body_compress(compression, payload->bytes, payload->size, out);
	if (r < 0 || out->failed)
		return -ENOMEM;
	uint32_t length = htobe32((uint32_t)(out->length - PREFIX_BYTES));
	memcpy(out->bytes + 1, &length, sizeof(length));
	return 0;
}

static int read_message(const struct http_answer *answer, struct partial_success *ret)
{
	const struct text *body = &answer->body;
	uint32_t length;
	*ret = (struct partial_success){0};
	if (body->length < PREFIX_BYTES)
		return -EBADMSG;
	memcpy(&length, body->bytes + 1, sizeof(length));
	length = be32toh(length);
	if (length != body->length - PREFIX_BYTES || (unsigned char)body->bytes[0] > 1)
		return -EBADMSG;
	if (body->bytes[0] == 0)
		return answer_partial_success(body->bytes + PREFIX_BYTES, length, ret);
	/* A server written in Go answers in the encoding it was asked in. */
	const char *encoding = http_headers_get(&answer->headers, "grpc-encoding");
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	int r = sink_body_expand(encoding ? encoding : "", body->bytes + PREFIX_BYTES, length,
				 HTTP_ANSWER_LIMIT, &bytes, &size);
	return r < 0 ? r : answer_partial_success(bytes, size, ret);
}

static void interpret_success(const struct http_answer *answer, struct sink_result *ret)
{
	struct partial_success partial;
	ret->outcome = SINK_SENT;
	if (read_message(answer, &partial) < 0)
		snprintf(ret->message, sizeof(ret->message),
			 "accepted, with an answer that is not OTLP's");
	else
		snprintf(ret->message, sizeof(ret->message), "%s", partial.message);
	ret->rejected_profiles = partial.rejected_profiles;
}

static void interpret_failure(struct grpc_sink *grpc, const struct http_answer *answer, int code,
			      struct sink_result *ret)
{
	const char *message = http_headers_get(&answer->headers, "grpc-message");
	const char *details = http_headers_get(&answer->headers, "grpc-status-details-bin");
	struct rpc_status status = {0};
	char text[ANSWER_MESSAGE_BYTES];
	snprintf(text, sizeof(text), "%s", message ? message : "");
	answer_percent_decode(text);
	if (details && answer_status_details(details, &status) < 0)
		status = (struct rpc_status){0};
	ret->outcome = grpc_status_outcome(code, status.has_retry_info);
	ret->maybe_received = grpc_status_may_be_received(code);
	ret->retry_after_ns = status.retry_delay_ns;
	if (code == GRPC_RESOURCE_EXHAUSTED && !status.has_retry_info &&
	    answer_is_too_large(text, &ret->size_limit)) {
		ret->outcome = SINK_TOO_LARGE;
		grpc->size_limit = ret->size_limit;
	}
	snprintf(ret->message, sizeof(ret->message), "%s%s%s%s", grpc_status_name(code),
		 *text ? ": " : "", text,
		 code == GRPC_UNIMPLEMENTED	      ? " (does the backend take profiles over gRPC, at this endpoint?)"
		 : grpc_status_is_about_caller(code) ? " (are the credentials right?)"
						     : "");
}

static bool is_grpc(const struct http_answer *answer)
{
	const char *type = http_headers_get(&answer->headers, "content-type");
	return type && !strncasecmp(type, "application/grpc", strlen("application/grpc"));
}

/* An answer without grpc-status: something that does not speak gRPC stands in between, or the
 * connection broke. */
static void interpret_http(const struct http_client *client, const struct http_answer *answer,
			   struct sink_result *ret)
{
	char detail[ANSWER_MESSAGE_BYTES];
	http_outcome(client, answer, http_body_excerpt(answer, detail, sizeof(detail)), ret);
	if (ret->outcome != SINK_SENT)
		return;
	bool whole = answer->end == HTTP_ANSWERED;
	if (answer->body_too_large || (whole && !is_grpc(answer))) {
		ret->outcome = SINK_REJECTED;
		snprintf(ret->message, sizeof(ret->message), "%s",
			 answer->body_too_large ? answer->message : "an answer that is not gRPC's");
		return;
	}
	/* libcurl 7.88 passes over trailers when the server's end of the connection comes with them. */
	ret->outcome = SINK_RETRY;
	ret->maybe_received = answer->request_written;
	snprintf(ret->message, sizeof(ret->message), "%s",
		 whole ? "the answer ended without its status" : answer->message);
}

static void interpret(struct grpc_sink *grpc, const struct http_answer *answer,
		      struct sink_result *ret)
{
	const char *status = http_headers_get(&answer->headers, "grpc-status");
	if (!status || answer->end == HTTP_NOT_TRIED) {
		interpret_http(grpc->http.client, answer, ret);
		return;
	}
	*ret = (struct sink_result){.bytes_sent = answer->bytes_sent};
	int code = grpc_status_parse(status);
	snprintf(ret->code, sizeof(ret->code), "%s", grpc_status_name(code));
	if (code == GRPC_OK)
		interpret_success(answer, ret);
	else
		interpret_failure(grpc, answer, code, ret);
	http_client_redact(grpc->http.client, ret->message);
}

/*
 * The server refused the request before it had all of it, and its reason was lost on the way
 * (http_answer.headers_lost). An empty request is whole before a server can refuse it: what it gets
 * holds for the other one too, unless it passes, or fails for being empty. Then size was the reason.
 */
static void ask_for_reason(struct grpc_sink *grpc, const struct http_request *refused,
			   const struct payload *payload, struct sink_result *ret)
{
	static const char empty[PREFIX_BYTES];
	struct http_request request = *refused;
	_cleanup_(http_answer_free) struct http_answer answer = {0};
	request.body = empty;
	request.body_size = sizeof(empty);
	http_client_post(grpc->http.client, &request, &answer);
	const char *status = http_headers_get(&answer.headers, "grpc-status");
	int code = status ? grpc_status_parse(status) : GRPC_UNKNOWN;
	interpret(grpc, &answer, ret);
	ret->maybe_received = false;
	if (!status || ret->outcome == SINK_RETRY || grpc_status_is_about_caller(code))
		return;
	ret->outcome = payload->size > SMALL_PAYLOAD_BYTES ? SINK_TOO_LARGE : SINK_RETRY;
	ret->rejected_profiles = 0;
	snprintf(ret->message, sizeof(ret->message), "refused unread, where an empty request passes");
}

/* At most 8 digits. */
static void format_timeout(char *buffer, size_t size, const struct sink_options *options,
			   uint64_t timeout_ns)
{
	uint64_t ns = timeout_ns;
	if (options->timeout_ns && (!ns || options->timeout_ns < ns))
		ns = options->timeout_ns;
	uint64_t ms = (ns ? ns : DEFAULT_TIMEOUT_NS) / NS_PER_MS;
	snprintf(buffer, size, "Grpc-Timeout: %um", (unsigned)MIN_OF(MAX_OF(ms, 1UL), 99999999UL));
}

static void otlp_grpc_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
			   struct sink_result *ret)
{
	struct grpc_sink *grpc = container_of(sink, struct grpc_sink, http.sink);
	const struct sink_options *options = http_client_options(grpc->http.client);
	_cleanup_(text_free) struct text body = {0};
	_cleanup_(http_answer_free) struct http_answer answer = {0};
	char timeout[64], encoding[64];
	if (payload->kind != PAYLOAD_OTLP) {
		http_sink_refuse(ret, SINK_REJECTED, "an OTLP destination takes no pprof");
		return;
	}
	if (grpc->size_limit && payload->size > grpc->size_limit) {
		http_sink_refuse(ret, SINK_TOO_LARGE, "larger than the server said it takes");
		ret->size_limit = grpc->size_limit;
		return;
	}
	if (payload->size > UINT32_MAX - PREFIX_BYTES ||
	    add_message(options->compression, payload, &body) < 0) {
		http_sink_refuse(ret, SINK_RETRY, "out of memory");
		return;
	}
	format_timeout(timeout, sizeof(timeout), options, timeout_ns);
	snprintf(encoding, sizeof(encoding), "Grpc-Encoding: %s",
		 sink_compression_name(options->compression));
	const char *headers[] = {
		"Content-Type: application/grpc",
		"TE: trailers",
		"Grpc-Accept-Encoding: identity,gzip,zstd",
		OTLP_VERSION_HEADER,
		timeout,
		encoding,
		NULL,
	};
	struct http_request request = {.url = grpc->http.url, .http2 = true, .headers = headers,
				       .body = body.bytes, .body_size = body.length,
				       .timeout_ns = timeout_ns};
	http_client_post(grpc->http.client, &request, &answer);
	if (answer.headers_lost)
		ask_for_reason(grpc, &request, payload, ret);
	else
		interpret(grpc, &answer, ret);
}

static const struct sink_operations otlp_grpc_operations = {
	.send = otlp_grpc_send,
	.cancel = http_sink_cancel,
	.free = http_sink_free,
};

int sink_new_otlp_grpc(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size)
{
	struct http_sink *sink;
	int r = http_sink_new(sizeof(struct grpc_sink), &otlp_grpc_operations, options, EXPORT_PATH,
			      &sink, problem, size);
	if (r == 0)
		*ret = &sink->sink;
	return r;
}
