/* SPDX-License-Identifier: Apache-2.0 */
/* See sinks.h and http_sink.h. */
#include "export/sinks.h"

#include "export/http_sink.h"
#include "export/sink_url.h"

#include <errno.h>
#include <stdio.h>

int sink_new(const struct sink_options *options, struct sink **ret, char *problem, size_t size)
{
	switch (options->protocol) {
	case SINK_OTLP_GRPC:
		return sink_new_otlp_grpc(options, ret, problem, size);
	case SINK_OTLP_HTTP:
		return sink_new_otlp_http(options, ret, problem, size);
	case SINK_PYROSCOPE_INGEST:
	case SINK_PYROSCOPE_PUSH:
		return sink_new_pyroscope(options, ret, problem, size);
	}
	snprintf(problem, size, "no protocol is given");
	return -EINVAL;
}

int http_sink_new(size_t bytes, const struct sink_operations *operations,
		  const struct sink_options *options, const char *path, struct http_sink **ret,
		  char *problem, size_t size)
{
	struct http_sink *sink = calloc(1, bytes);
	if (!sink)
		return -ENOMEM;
	sink->sink.operations = operations;
	int r = sink_url_make(options, path, &sink->url, problem, size);
	if (r == 0)
		r = http_client_new(options, &sink->client, problem, size);
	if (r < 0) {
		http_sink_free(&sink->sink);
		return r;
	}
	*ret = sink;
	return 0;
}

void http_sink_cancel(struct sink *sink)
{
	http_client_cancel(container_of(sink, struct http_sink, sink)->client);
}

struct sink *http_sink_free(struct sink *sink)
{
	if (!sink)
		return NULL;
	struct http_sink *http = container_of(sink, struct http_sink, sink);
	http_client_free(http->client);
	free(http->url);
	free(http);
	return NULL;
}

void http_sink_refuse(struct sink_result *ret, enum sink_outcome outcome, const char *message)
{
	*ret = (struct sink_result){.outcome = outcome};
	snprintf(ret->message, sizeof(ret->message), "%s", message);
}
