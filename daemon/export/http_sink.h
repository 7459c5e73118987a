/* SPDX-License-Identifier: Apache-2.0 */
/* What the sinks over HTTP share: their first member, and the operations that are alike. */
#pragma once

#include "export/http_client.h"
#include "export/sink.h"

struct http_sink {
	struct sink sink; /* first */
	struct http_client *client;
	char *url;
};

/* Allocates `bytes` for a struct that begins with an http_sink, which posts to the endpoint plus
 * `path`. Returns 0, -ENOMEM, or -EINVAL with `problem`. */
int http_sink_new(size_t bytes, const struct sink_operations *operations,
		  const struct sink_options *options, const char *path, struct http_sink **ret,
		  char *problem, size_t size);
void http_sink_cancel(struct sink *sink);
struct sink *http_sink_free(struct sink *sink);

/* Ends a send() that could not begin. */
void http_sink_refuse(struct sink_result *ret, enum sink_outcome outcome, const char *message);
