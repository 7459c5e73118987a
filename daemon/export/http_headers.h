/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header and trailer fields of one answer: a foreign text, kept within bounds. Names compare
 * without case. An answer that repeats a field has its last value, so trailers come before headers.
 */
#pragma once

#include "base/attributes.h"

#define HTTP_HEADERS_MAX 64
#define HTTP_HEADERS_BYTES ((size_t)64 << 10)

/* Zero-initialise; free with http_headers_free(). */
struct http_headers {
	struct http_header {
		char *name, *value;
	} items[HTTP_HEADERS_MAX];
	long status; /* of the last status line; 0: none came, or one without a number */
	size_t count;
	size_t bytes;
	size_t dropped; /* fields past the bounds */
};

/* Takes one line as it came, with or without its end. A status line starts anew: what an interim
 * answer (1xx) brought is forgotten. Anything else that is no field is passed over. */
void http_headers_add_line(struct http_headers *headers, const char *line, size_t size);

/* The value, or NULL. Valid until the next add or free. */
const char *http_headers_get(const struct http_headers *headers, const char *name);

void http_headers_free(struct http_headers *headers);
