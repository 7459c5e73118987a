/* SPDX-License-Identifier: Apache-2.0 */
/* See http_headers.h. */
#include "export/http_headers.h"

#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "HTTP/1.1 200 OK", "HTTP/2 200": the three digits behind the first space. */
static long parse_status(const char *line, size_t size)
{
	long status = 0;
	const char *digit = memchr(line, ' ', size);
	if (!digit || line + size - digit < 4)
		return 0;
	for (int i = 1; i <= 3; i++) {
		if (digit[i] < '0' || digit[i] > '9')
			return 0;
		status = status * 10 + (digit[i] - '0');
	}
	return status;
}

void http_headers_add_line(struct http_headers *headers, const char *line, size_t size)
{
	while (size && is_blank(line[size - 1]))
		size--;
	if (size >= 5 && !memcmp(line, "HTTP/", 5)) {
		http_headers_free(headers);
		headers->status = parse_status(line, size);
		return;
	}
	const char *colon = memchr(line, ':', size);
	if (!colon || colon == line)
		return;
	const char *value = colon + 1, *end = line + size;
	while (value < end && is_blank(*value))
		value++;
	if (headers->count == HTTP_HEADERS_MAX || headers->bytes + size > HTTP_HEADERS_BYTES) {
		headers->dropped++;
		return;
	}
	struct http_header field = {.name = strndup(line, (size_t)(colon - line)),
				    .value = strndup(value, (size_t)(end - value))};
	if (!field.name || !field.value) {
		free(field.name);
		free(field.value);
		headers->dropped++;
		return;
	}
	headers->items[headers->count++] = field;
	headers->bytes += size;
}

const char *http_headers_get(const struct http_headers *headers, const char *name)
{
	for (size_t i = headers->count; i-- > 0;)
		if (!strcasecmp(headers->items[i].name, name))
			return headers->items[i].value;
	return NULL;
}

void http_headers_free(struct http_headers *headers)
{
	for (size_t i = 0; i < headers->count; i++) {
		free(headers->items[i].name);
		free(headers->items[i].value);
	}
	*headers = (struct http_headers){0};
}
