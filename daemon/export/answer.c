/* SPDX-License-Identifier: Apache-2.0 */
/* See answer.h. Sizes are checked first: a repeated field of nothing costs the sender two bytes and
 * the reader a struct. */
#include "export/answer.h"

#include "base/clock.h"
#include "base/text.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

#include "otlp.pb-c.h"
#include "rpc.pb-c.h"

#define STATUS_LIMIT ((size_t)64 << 10)
#define PARTIAL_SUCCESS_LIMIT ((size_t)1 << 20)
#define LONGEST_PAUSE_NS (24 * 3600 * NS_PER_SECOND)
#define RETRY_INFO "google.rpc.RetryInfo"

int answer_partial_success(const void *bytes, size_t size, struct partial_success *ret)
{
	*ret = (struct partial_success){0};
	if (size > PARTIAL_SUCCESS_LIMIT)
		return -EFBIG;
	Otlp__ExportProfilesServiceResponse *response =
		otlp__export_profiles_service_response__unpack(NULL, size, bytes);
	if (!response)
		return -EBADMSG;
	const Otlp__ExportProfilesPartialSuccess *partial = response->partial_success;
	if (partial) {
		ret->rejected_profiles = (uint64_t)MAX_OF(partial->rejected_profiles, (int64_t)0);
		snprintf(ret->message, sizeof(ret->message), "%s", partial->error_message);
	}
	otlp__export_profiles_service_response__free_unpacked(response, NULL);
	return 0;
}

static uint64_t delay_ns(const Rpc__Duration *delay)
{
	if (!delay || delay->seconds < 0 || delay->nanos < 0)
		return 0;
	if ((uint64_t)delay->seconds >= LONGEST_PAUSE_NS / NS_PER_SECOND)
		return LONGEST_PAUSE_NS;
	return MIN_OF((uint64_t)delay->seconds * NS_PER_SECOND + (uint64_t)delay->nanos,
		      LONGEST_PAUSE_NS);
}

static void take_retry_info(const Rpc__Any *detail, struct rpc_status *ret)
{
	const char *slash = strrchr(detail->type_url, '/');
	if (strcmp(slash ? slash + 1 : detail->type_url, RETRY_INFO) != 0)
		return;
	Rpc__RetryInfo *info = rpc__retry_info__unpack(NULL, detail->value.len, detail->value.data);
	if (!info)
		return;
	ret->has_retry_info = true;
	ret->retry_delay_ns = delay_ns(info->retry_delay);
	rpc__retry_info__free_unpacked(info, NULL);
}

int answer_status(const void *bytes, size_t size, struct rpc_status *ret)
{
	*ret = (struct rpc_status){0};
	if (size > STATUS_LIMIT)
		return -EFBIG;
	Rpc__Status *status = rpc__status__unpack(NULL, size, bytes);
	if (!status)
		return -EBADMSG;
	ret->code = status->code;
	snprintf(ret->message, sizeof(ret->message), "%s", status->message);
	for (size_t i = 0; i < status->n_details && !ret->has_retry_info; i++)
		take_retry_info(status->details[i], ret);
	rpc__status__free_unpacked(status, NULL);
	return 0;
}

int answer_status_details(const char *base64, struct rpc_status *ret)
{
	static const char padding[] = "===";
	struct base64_decode_ctx decoder;
	size_t length = strlen(base64), size, more;
	*ret = (struct rpc_status){0};
	if (length > STATUS_LIMIT)
		return -EFBIG;
	_cleanup_free_ uint8_t *bytes = malloc(BASE64_DECODE_LENGTH(length) + 3);
	if (!bytes)
		return -ENOMEM;
	while (length && base64[length - 1] == '=')
		length--;
	size = BASE64_DECODE_LENGTH(length) + 3;
	base64_decode_init(&decoder);
	if (!base64_decode_update(&decoder, &size, bytes, length, base64))
		return -EBADMSG;
	more = BASE64_DECODE_LENGTH(sizeof(padding));
	if (!base64_decode_update(&decoder, &more, bytes + size, (4 - length % 4) % 4, padding) ||
	    !base64_decode_final(&decoder))
		return -EBADMSG;
	return answer_status(bytes, size + more, ret);
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

void answer_percent_decode(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		int high = *from == '%' ? hex_digit(from[1]) : -1;
		int low = high >= 0 ? hex_digit(from[2]) : -1;
		if (low >= 0 && (high || low)) {
			*to++ = (char)(high << 4 | low);
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

uint64_t answer_retry_after_ns(const char *retry_after, const char *date)
{
	uint64_t seconds;
	if (!retry_after || strlen(retry_after) > 64)
		return 0;
	if (isdigit((unsigned char)*retry_after) &&
	    retry_after[strspn(retry_after, "0123456789")] == '\0') {
		if (text_parse_u64(retry_after, 0, LONGEST_PAUSE_NS / NS_PER_SECOND, &seconds) < 0)
			return LONGEST_PAUSE_NS;
		return seconds * NS_PER_SECOND;
	}
	time_t until = curl_getdate(retry_after, NULL);
	time_t now = date && strlen(date) <= 64 ? curl_getdate(date, NULL) : -1;
	if (now < 0)
		now = (time_t)(realtime_ns() / NS_PER_SECOND);
	if (until < 0 || until <= now)
		return 0;
	return (uint64_t)MIN_OF(until - now, (time_t)(LONGEST_PAUSE_NS / NS_PER_SECOND)) *
	       NS_PER_SECOND;
}

bool answer_is_too_large(const char *message, uint64_t *ret_limit)
{
	static const char *const wordings[] = {"larger than max", "exceeds maximum size"};
	const char *found = NULL;
	*ret_limit = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(wordings) && !found; i++) {
		found = strcasestr(message, wordings[i]);
		if (found)
			found += strlen(wordings[i]);
	}
	if (!found)
		return false;
	/* "(5000000 vs. 4194304)" or " 4194304" */
	const char *versus = strstr(found, "vs.");
	const char *number = (versus ? versus + 3 : found);
	number += strcspn(number, "0123456789");
	char digits[20] = "";
	snprintf(digits, sizeof(digits), "%.*s", (int)MIN_OF(strspn(number, "0123456789"), (size_t)19),
		 number);
	text_parse_u64(digits, 1, INT64_MAX, ret_limit);
	return true;
}
