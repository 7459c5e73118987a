/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a backend may answer: the first byte says as what the rest is read. Whatever it says, messages
 * end within their bounds and pauses are at most a day.
 */
#include "base/clock.h"
#include "export/answer.h"
#include "export/http_headers.h"
#include "export/sink_body.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXPAND_LIMIT ((size_t)1 << 20)
#define DAY_NS (24 * 3600 * NS_PER_SECOND)

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void read_status(const struct rpc_status *status)
{
	require(memchr(status->message, '\0', sizeof(status->message)));
	require(status->retry_delay_ns <= DAY_NS);
}

static void read_partial_success(const uint8_t *bytes, size_t size)
{
	struct partial_success partial;
	if (answer_partial_success(bytes, size, &partial) == 0) {
		require(memchr(partial.message, '\0', sizeof(partial.message)));
		require(partial.rejected_profiles <= INT64_MAX);
	}
}

static void read_texts(char *text)
{
	struct rpc_status status;
	uint64_t limit;
	if (answer_status_details(text, &status) == 0)
		read_status(&status);
	require(answer_retry_after_ns(text, NULL) <= DAY_NS);
	require(answer_retry_after_ns(text, "Wed, 25 Nov 2026 19:00:00 GMT") <= DAY_NS);
	require(answer_retry_after_ns("120", text) == 120 * NS_PER_SECOND);
	if (!answer_is_too_large(text, &limit))
		require(limit == 0);
	size_t before = strlen(text);
	answer_percent_decode(text);
	require(strlen(text) <= before);
}

static void read_headers(const char *bytes, size_t size)
{
	struct http_headers headers = {0};
	while (size) {
		const char *end = memchr(bytes, '\n', size);
		size_t line = end ? (size_t)(end - bytes) + 1 : size;
		http_headers_add_line(&headers, bytes, line);
		bytes += line;
		size -= line;
	}
	require(headers.count <= HTTP_HEADERS_MAX && headers.bytes <= HTTP_HEADERS_BYTES);
	http_headers_get(&headers, "retry-after");
	http_headers_free(&headers);
}

static void expand(const char *encoding, const uint8_t *bytes, size_t size)
{
	char *out = NULL;
	size_t out_size;
	if (sink_body_expand(encoding, bytes, size, EXPAND_LIMIT, &out, &out_size) == 0)
		require(out_size <= EXPAND_LIMIT);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_status status;
	if (size == 0)
		return 0;
	const uint8_t *rest = data + 1;
	size_t rest_size = size - 1;
	char *text = strndup((const char *)rest, rest_size);
	require(text);
	switch (data[0] % 6) {
	case 0:
		read_partial_success(rest, rest_size);
		break;
	case 1:
		if (answer_status(rest, rest_size, &status) == 0)
			read_status(&status);
		break;
	case 2:
		read_texts(text);
		break;
	case 3:
		read_headers((const char *)rest, rest_size);
		break;
	case 4:
		expand("gzip", rest, rest_size);
		break;
	default:
		expand("zstd", rest, rest_size);
	}
	free(text);
	return 0;
}
