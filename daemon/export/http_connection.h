/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl's handles for one destination, with everything set that does not change from request to
 * request. The connection lives in them: a new pair means a new connection and files read anew.
 */
#pragma once

#include "export/sink_options.h"

#include <curl/curl.h>

struct http_connection {
	CURL *easy;
	CURLM *multi;
	char error[CURL_ERROR_SIZE]; /* of the request that failed last */
};

/* `http2` says that the server speaks nothing else. The struct must not move while it is open. Returns
 * 0, -ENOMEM, or -ENOTSUP when this libcurl lacks something, which `error` then names. */
int http_connection_open(struct http_connection *connection, const struct sink_options *options,
			 bool http2);

/* Accepts one that is not open. */
void http_connection_close(struct http_connection *connection);
