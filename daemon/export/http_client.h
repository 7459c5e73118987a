/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP connection to one destination, kept alive between requests: TLS, proxy, credentials,
 * deadline and cancelling, for every protocol that is sent over HTTP. It says how a request ended;
 * what that means is the protocol's business.
 *
 * libcurl never raises or catches a signal here: timeouts are its own, and a SIGPIPE of a write to a
 * closed connection is taken back before the call returns.
 */
#pragma once

#include "base/text.h"
#include "export/http_headers.h"
#include "export/sink_options.h"

#define HTTP_ANSWER_LIMIT ((size_t)4 << 20) /* of an answer's body */

enum http_end {
	HTTP_ANSWERED,	/* whole: status, headers, body, trailers */
	HTTP_CUT,	/* the status came, the rest not whole; or the body passed HTTP_ANSWER_LIMIT */
	HTTP_NO_ANSWER, /* no connection, or it ended before a status came */
	HTTP_TIMED_OUT,
	HTTP_CANCELLED,
	HTTP_NOT_TRIED, /* something here is missing: a credential's file, memory */
};

struct http_request {
	const char *url;
	bool http2; /* and nothing else: gRPC */
	const char *const *headers; /* "Name: value", the last one NULL */
	const void *body;
	size_t body_size;
	uint64_t timeout_ns;
};

/* Zero-initialise; free with http_answer_free(). */
struct http_answer {
	enum http_end end;
	long status;	      /* 0: none came */
	bool request_written; /* the whole body went out */
	uint64_t bytes_sent;  /* of the body */
	struct http_headers headers; /* and trailers */
	struct text body;
	bool body_too_large;
	bool headers_lost; /* HTTP_NO_ANSWER: one came, and libcurl threw it away (see post_once()) */
	char message[256]; /* why it is not HTTP_ANSWERED; no credential in it */
};

struct http_client;

/* Copies the options. Returns 0, -ENOMEM, or -EINVAL with `problem` saying why. */
int http_client_new(const struct sink_options *options, struct http_client **ret, char *problem,
		    size_t size);
struct http_client *http_client_free(struct http_client *client);

const struct sink_options *http_client_options(const struct http_client *client);

/* Posts and waits. From one thread at a time. */
void http_client_post(struct http_client *client, const struct http_request *request,
		      struct http_answer *ret);

/* Ends a post that waits, or else the next one, with HTTP_CANCELLED. From any thread. */
void http_client_cancel(struct http_client *client);

/* Takes credentials and control characters out of a text that a server may have written. */
void http_client_redact(const struct http_client *client, char *message);

void http_answer_free(struct http_answer *answer);
