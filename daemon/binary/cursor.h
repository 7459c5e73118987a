/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded reading position in foreign bytes. Reading past the end yields zero and sets `failed`,
 * once and for all, so that a decoder may check at its end instead of after every field.
 */
#pragma once

#include "base/attributes.h"

#include <string.h>

struct cursor {
	const unsigned char *at;
	const unsigned char *end;
	bool failed;
};

static inline struct cursor cursor_over(const void *bytes, size_t size)
{
	const unsigned char *start = bytes;
	return (struct cursor){start, start + size, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->end - c->at;
}

/* The next `size` bytes, or NULL when fewer are left. */
static inline const unsigned char *cursor_take(struct cursor *c, uint64_t size)
{
	if (size > cursor_left(c)) {
		c->failed = true;
		c->at = c->end;
		return NULL;
	}
	const unsigned char *bytes = c->at;
	c->at += size;
	return bytes;
}

/* Little-endian, as everything this daemon reads; unaligned. */
#define CURSOR_READ(name, type)                                                             \
	static inline type cursor_##name(struct cursor *c)                                  \
	{                                                                                   \
		type value = 0;                                                             \
		const unsigned char *bytes = cursor_take(c, sizeof(value));                 \
		if (bytes)                                                                  \
			memcpy(&value, bytes, sizeof(value));                               \
		return value;                                                               \
	}
CURSOR_READ(u8, uint8_t)
CURSOR_READ(u16, uint16_t)
CURSOR_READ(u32, uint32_t)
CURSOR_READ(u64, uint64_t)
#undef CURSOR_READ

/* LEB128 (DWARF 5, section 7.6). Bits past the 64th are dropped. */
static inline uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t value = 0;
	if (c->at < c->end && *c->at < 0x80) /* nearly always */
		return *c->at++;
	for (unsigned shift = 0; c->at < c->end; shift += 7) {
		unsigned char byte = *c->at++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	c->failed = true;
	return 0;
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	uint64_t value = 0;
	for (unsigned shift = 0; c->at < c->end;) {
		unsigned char byte = *c->at++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (byte & 0x80)
			continue;
		if ((byte & 0x40) && shift < 64)
			value |= ~0ULL << shift;
		return value;
	}
	c->failed = true;
	return 0;
}
