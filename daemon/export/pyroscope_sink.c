/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof sent to Pyroscope, in either of its forms: the older one is a multipart form under /ingest with
 * the labels in the query; the newer one a unary call of Connect, whose message (format/pyroscope.h) has
 * series with their labels.
 *
 * Sources: grafana.com/docs/pyroscope/latest/reference-server-api, pyroscope's push/v1/push.proto,
 * connectrpc.com/docs/protocol.
 */
#include "export/sinks.h"

#include "base/clock.h"
#include "export/answer.h"
#include "export/http_outcome.h"
#include "export/http_sink.h"
#include "export/sink_body.h"

#include <ctype.h>
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

#define INGEST_PATH "/ingest"
#define PUSH_PATH "/push.v1.PusherService/Push"
#define DEFAULT_APPLICATION "bolometer"

/* RFC 9562 version 8 (the maker's own content), from the bytes: a batch sent again keeps its id. */
static void format_id(const struct payload *payload, char id[37])
{
	struct sha256_ctx hash;
	uint8_t d[16];
	sha256_init(&hash);
	sha256_update(&hash, payload->size, (const uint8_t *)payload->bytes);
	sha256_digest(&hash, sizeof(d), d);
	d[6] = (d[6] & 0x0f) | 0x80;
	d[8] = (d[8] & 0x3f) | 0x80;
	snprintf(id, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", d[0],
		 d[1], d[2], d[3], d[4], d[5], d[6], d[7], d[8], d[9], d[10], d[11], d[12], d[13],
		 d[14], d[15]);
}

static void add_escaped(struct text *out, const char *string)
{
	for (const char *p = string; *p; p++)
		if (isalnum((unsigned char)*p) || strchr("-._~", *p))
			text_add_char(out, *p);
		else
			text_add(out, "%%%02X", (unsigned char)*p);
}

static const char *application_of(const struct sink_options *options)
{
	return options->application ? options->application : DEFAULT_APPLICATION;
}

/* name=APPLICATION{label=value,…}&from=…&until=…, in seconds; the interval ends after its end. */
static void add_query(struct text *url, const struct sink_options *options,
		      const struct payload *payload)
{
	_cleanup_(text_free) struct text name = {0};
	text_add_string(&name, application_of(options));
	text_add_char(&name, '{');
	for (size_t i = 0; i < options->labels.count; i++)
		text_add(&name, "%s%s=%s", i ? "," : "", options->labels.items[i].name,
			 options->labels.items[i].value);
	text_add_char(&name, '}');
	text_add_string(url, strchr(url->bytes ? url->bytes : "", '?') ? "&name=" : "?name=");
	if (name.failed)
		url->failed = true;
	else
		add_escaped(url, name.bytes);
	int64_t second = (int64_t)NS_PER_SECOND;
	text_add(url, "&from=%lld&until=%lld&format=pprof&spyName=bolometer",
		 (long long)(payload->start_ns / second),
		 (long long)((payload->end_ns + second - 1) / second));
}

static void add_form(struct text *body, const char *id, const struct text *profile)
{
	text_add(body,
		 "--%s\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"profile.pprof\"\r\n"
		 "Content-Type: application/octet-stream\r\n\r\n",
		 id);
	text_add_bytes(body, profile->bytes, profile->length);
	text_add(body, "\r\n--%s--\r\n", id);
}

static void post(struct http_sink *http, const struct http_request *request, struct sink_result *ret)
{
	_cleanup_(http_answer_free) struct http_answer answer = {0};
	char detail[ANSWER_MESSAGE_BYTES];
	http_client_post(http->client, request, &answer);
	http_outcome(http->client, &answer, http_body_excerpt(&answer, detail, sizeof(detail)), ret);
}

static void send_form(struct http_sink *http, const struct payload *payload, uint64_t timeout_ns,
		      struct sink_result *ret)
{
	const struct sink_options *options = http_client_options(http->client);
	_cleanup_(text_free) struct text url = {0};
	_cleanup_(text_free) struct text body = {0};
	_cleanup_(text_free) struct text profile = {0};
	char id[37], type[96];
	if (!payload_is_pprof(payload->kind)) {
		http_sink_refuse(ret, SINK_REJECTED, "/ingest takes pprof alone");
		return;
	}
	format_id(payload, id);
	snprintf(type, sizeof(type), "Content-Type: multipart/form-data; boundary=%s", id);
	/* Pyroscope knows gzip by its first bytes. */
	int r = sink_body_compress(options->compression, payload->bytes, payload->size, &profile);
	text_add_string(&url, http->url);
	add_query(&url, options, payload);
	add_form(&body, id, &profile);
	if (r < 0 || url.failed || body.failed) {
		http_sink_refuse(ret, SINK_RETRY, "out of memory");
		return;
	}
	post(http,
	     &(struct http_request){.url = url.bytes, .headers = (const char *[]){type, NULL},
				    .body = body.bytes, .body_size = body.length,
				    .timeout_ns = timeout_ns},
	     ret);
}

static void send_push(struct http_sink *http, const struct payload *payload, uint64_t timeout_ns,
		      struct sink_result *ret)
{
	enum sink_compression compression = http_client_options(http->client)->compression;
	_cleanup_(text_free) struct text body = {0};
	const char *headers[] = {"Content-Type: application/proto", "Connect-Protocol-Version: 1",
				 compression == SINK_UNCOMPRESSED ? NULL : "Content-Encoding: gzip",
				 NULL};
	struct http_request request = {.url = http->url, .headers = headers, .body = payload->bytes,
				       .body_size = payload->size, .timeout_ns = timeout_ns};
	if (payload->kind != PAYLOAD_PYROSCOPE) {
		http_sink_refuse(ret, SINK_REJECTED, "a push destination takes series alone");
		return;
	}
	if (compression != SINK_UNCOMPRESSED) {
		if (sink_body_compress(compression, payload->bytes, payload->size, &body) < 0) {
			http_sink_refuse(ret, SINK_RETRY, "out of memory");
			return;
		}
		request.body = body.bytes;
		request.body_size = body.length;
	}
	post(http, &request, ret);
}

static void pyroscope_send(struct sink *sink, const struct payload *payload, uint64_t timeout_ns,
			   struct sink_result *ret)
{
	struct http_sink *http = container_of(sink, struct http_sink, sink);
	if (http_client_options(http->client)->protocol == SINK_PYROSCOPE_INGEST)
		send_form(http, payload, timeout_ns, ret);
	else
		send_push(http, payload, timeout_ns, ret);
}

static const struct sink_operations pyroscope_operations = {
	.send = pyroscope_send,
	.cancel = http_sink_cancel,
	.free = http_sink_free,
};

int sink_new_pyroscope(const struct sink_options *options, struct sink **ret, char *problem,
		       size_t size)
{
	const char *path = options->protocol == SINK_PYROSCOPE_INGEST ? INGEST_PATH : PUSH_PATH;
	struct http_sink *sink;
	int r = http_sink_new(sizeof(*sink), &pyroscope_operations, options, path, &sink, problem,
			      size);
	if (r == 0)
		*ret = &sink->sink;
	return r;
}
