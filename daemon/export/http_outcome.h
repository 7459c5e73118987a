/* SPDX-License-Identifier: Apache-2.0 */
/* What the end of an HTTP request means for the batch in it, by OTLP's rules, which suit the others. */
#pragma once

#include "export/http_client.h"
#include "export/sink.h"

/* Fills all of *ret but rejected_profiles. `detail`: what the body says of a failure, or "". */
void http_outcome(const struct http_client *client, const struct http_answer *answer,
		  const char *detail, struct sink_result *ret);

/* Is a success said in a web page? Then a portal or another server stands at this address. */
bool http_is_web_page(const struct http_answer *answer);

/* A text that is no protobuf: the first printable part of the body, into a caller's buffer. */
const char *http_body_excerpt(const struct http_answer *answer, char *buffer, size_t size);
