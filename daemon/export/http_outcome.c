/* SPDX-License-Identifier: Apache-2.0 */
/* See http_outcome.h. */
#include "export/http_outcome.h"

#include "export/answer.h"
#include "export/sink_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define EXCERPT_BYTES 120

bool http_is_web_page(const struct http_answer *answer)
{
	const char *type = http_headers_get(&answer->headers, "content-type");
	return type && !strncasecmp(type, "text/html", 9);
}

const char *http_body_excerpt(const struct http_answer *answer, char *buffer, size_t size)
{
	size_t length = MIN_OF(MIN_OF(answer->body.length, (size_t)EXCERPT_BYTES), size - 1);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)answer->body.bytes[i];
		buffer[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : ' ';
	}
	while (length && buffer[length - 1] == ' ')
		length--;
	buffer[length] = '\0';
	return buffer;
}

static enum sink_outcome outcome_of_status(long status)
{
	switch (status) {
	case 413:
		return SINK_TOO_LARGE;
	case 429:
	case 502:
	case 503:
	case 504:
		return SINK_RETRY;
	default:
		return status / 100 == 2 ? SINK_SENT : SINK_REJECTED;
	}
}

/* What an operator looks at first. */
static const char *hint_for(long status)
{
	switch (status) {
	case 401:
	case 403:
	case 407:
		return " (are the credentials right?)";
	case 404:
	case 405:
	case 501:
		return " (does the backend take profiles, at this endpoint?)";
	default:
		return "";
	}
}

static void describe(const struct http_answer *answer, const char *detail, struct sink_result *ret)
{
	const char *location = http_headers_get(&answer->headers, "location");
	char shown[160];
	if (answer->status / 100 == 3 && location)
		snprintf(ret->message, sizeof(ret->message),
			 "status %ld: redirected to %s: give that as the endpoint", answer->status,
			 sink_url_shown(shown, sizeof(shown), location));
	else if (answer->status / 100 != 2)
		snprintf(ret->message, sizeof(ret->message), "status %ld%s%s%s", answer->status,
			 *detail ? ": " : "", detail, hint_for(answer->status));
	else if (answer->end != HTTP_ANSWERED)
		snprintf(ret->message, sizeof(ret->message), "accepted, but the answer broke off: %.200s",
			 answer->message);
}

static void name_answer(const struct http_answer *answer, char code[SINK_CODE_BYTES])
{
	static const char *const ends[] = {
		[HTTP_ANSWERED] = "no_answer", [HTTP_CUT] = "no_answer",
		[HTTP_NO_ANSWER] = "no_answer", [HTTP_TIMED_OUT] = "timeout",
		[HTTP_CANCELLED] = "cancelled", [HTTP_NOT_TRIED] = "not_tried",
	};
	if (answer->status)
		snprintf(code, SINK_CODE_BYTES, "%ld", answer->status);
	else
		snprintf(code, SINK_CODE_BYTES, "%s", ends[answer->end]);
}

void http_outcome(const struct http_client *client, const struct http_answer *answer,
		  const char *detail, struct sink_result *ret)
{
	*ret = (struct sink_result){.outcome = SINK_RETRY, .bytes_sent = answer->bytes_sent};
	name_answer(answer, ret->code);
	if (!answer->status) {
		ret->maybe_received = answer->request_written && answer->end != HTTP_NOT_TRIED;
		memcpy(ret->message, answer->message, sizeof(ret->message));
		return;
	}
	ret->outcome = outcome_of_status(answer->status);
	/* A gateway that lost its upstream cannot know what that did. */
	ret->maybe_received = answer->status == 502 || answer->status == 504;
	if (ret->outcome == SINK_RETRY)
		ret->retry_after_ns =
			answer_retry_after_ns(http_headers_get(&answer->headers, "retry-after"),
					      http_headers_get(&answer->headers, "date"));
	describe(answer, detail, ret);
	if (ret->outcome == SINK_SENT && http_is_web_page(answer)) {
		ret->outcome = SINK_RETRY;
		snprintf(ret->message, sizeof(ret->message),
			 "a web page answered: is the endpoint that of a backend?");
	}
	http_client_redact(client, ret->message);
}
