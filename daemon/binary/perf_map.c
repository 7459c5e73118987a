/* SPDX-License-Identifier: Apache-2.0 */
/* See perf_map.h. */
#include "binary/perf_map.h"

#include <string.h>

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

static bool parse_line(const char *at, const char *end, struct jit_output *output)
{
	uint64_t start, size;
	at = take_number(at, end, &start);
	at = at ? take_number(at, end, &size) : NULL;
	if (!at || !jit_code_is_plausible(start, size))
		return false;
	while (end > at && (end[-1] == '\r' || end[-1] == ' '))
		end--;
	size_t length = MIN_OF((size_t)(end - at), (size_t)JIT_MAX_NAME);
	if (length == 0 || memchr(at, '\0', length))
		return false;
	jit_output_add_code(output, (struct jit_entry){.start = start, .size = (uint32_t)size}, at, length);
	return true;
}

void perf_map_parse(const char *bytes, size_t size, struct jit_output *output)
{
	struct jit_summary *summary = &output->summary;
	const char *at = bytes, *end = bytes + size, *newline;
	while ((newline = memchr(at, '\n', (size_t)(end - at)))) {
		if (summary->state & JIT_IN_LONG_LINE)
			summary->state &= ~(uint32_t)JIT_IN_LONG_LINE;
		else if (!parse_line(at, newline, output))
			summary->bad++;
		at = newline + 1;
	}
	if ((size_t)(end - at) >= JIT_WINDOW && !(summary->state & JIT_IN_LONG_LINE)) {
		summary->bad++;
		summary->state |= JIT_IN_LONG_LINE;
	}
	if (summary->state & JIT_IN_LONG_LINE)
		at = end;
	summary->used = (uint64_t)(at - bytes);
}
