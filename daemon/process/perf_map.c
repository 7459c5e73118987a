/* SPDX-License-Identifier: Apache-2.0 */
/* See perf_map.h. */
#include "process/perf_map.h"

#include <string.h>

#define MAX_CODE_SIZE (1ULL << 30)
#define MAX_ADDRESS (1ULL << 56)
#define MAX_NAME 1024 /* longer names are cut */

bool jit_code_is_plausible(uint64_t start, uint64_t size)
{
	return size > 0 && size <= MAX_CODE_SIZE && start < MAX_ADDRESS;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A number with an optional 0x, and the blank behind it. Returns NULL when there is none. */
static const char *take_number(const char *at, const char *end, uint64_t *ret)
{
	uint64_t value = 0;
	if (end - at > 2 && at[0] == '0' && (at[1] | 0x20) == 'x')
		at += 2;
	const char *start = at;
	for (int digit; at < end && (digit = hex_digit(*at)) >= 0; at++) {
		if (value >> 60)
			return NULL;
		value = value << 4 | (uint64_t)digit;
	}
	*ret = value;
	return at > start && at < end && *at == ' ' ? at + 1 : NULL;
}

static bool parse_line(const char *at, const char *end, struct jit_code *ret)
{
	at = take_number(at, end, &ret->start);
	at = at ? take_number(at, end, &ret->size) : NULL;
	if (!at || !jit_code_is_plausible(ret->start, ret->size))
		return false;
	while (end > at && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	ret->name = at;
	ret->name_length = MIN_OF((size_t)(end - at), MAX_NAME);
	return end > at && !memchr(at, '\0', ret->name_length);
}

size_t perf_map_parse(const char *bytes, size_t size, jit_code_callback callback, void *userdata,
		      uint64_t *bad_lines)
{
	const char *at = bytes, *end = bytes + size, *newline;
	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		struct jit_code code;
		if (parse_line(at, newline, &code))
			callback(userdata, &code);
		else
			(*bad_lines)++;
		at = newline + 1;
	}
	return (size_t)(at - bytes);
}
