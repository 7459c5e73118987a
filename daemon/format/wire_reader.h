/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the wire form of a protobuf message field by field, without copying. Used where foreign
 * messages are read: protobuf-c says only yes or no, this says where and what.
 *
 * Source: protobuf.dev/programming-guides/encoding.
 */
#pragma once

#include "base/attributes.h"

#include <errno.h>
#include <string.h>

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5,
};

struct wire_reader {
	const uint8_t *next, *end;
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value; /* of WIRE_VARINT, FIXED32, FIXED64 */
	struct wire_reader bytes; /* of WIRE_BYTES */
};

/* Returns 0 or -EBADMSG when cut short or longer than 10 bytes; the reader then does not move. */
static inline int wire_varint(struct wire_reader *reader, uint64_t *ret)
{
	const uint8_t *p = reader->next;
	uint64_t value = 0;
	for (unsigned shift = 0; p < reader->end && shift < 70; shift += 7) {
		uint8_t byte = *p++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			reader->next = p;
			*ret = value;
			return 0;
		}
	}
	return -EBADMSG;
}

static inline int wire_fixed(struct wire_reader *reader, size_t size, uint64_t *ret)
{
	if ((size_t)(reader->end - reader->next) < size)
		return -EBADMSG;
	*ret = 0;
	memcpy(ret, reader->next, size); /* the wire and every supported host are little-endian */
	reader->next += size;
	return 0;
}

static inline int wire_bytes(struct wire_reader *reader, struct wire_reader *ret)
{
	struct wire_reader after = *reader;
	uint64_t size;
	if (wire_varint(&after, &size) < 0 || size > (uint64_t)(after.end - after.next))
		return -EBADMSG;
	*ret = (struct wire_reader){.next = after.next, .end = after.next + size};
	reader->next = after.next + size;
	return 0;
}

/* Returns 1 with a field, 0 at the end, or -EBADMSG with `next` at or after the damage's start. */
static inline int wire_next(struct wire_reader *reader, struct wire_field *ret)
{
	uint64_t key;
	if (reader->next == reader->end)
		return 0;
	struct wire_reader after = *reader;
	if (wire_varint(&after, &key) < 0 || key >> 3 == 0 || key >> 32)
		return -EBADMSG;
	ret->number = (uint32_t)(key >> 3);
	ret->type = (enum wire_type)(key & 7);
	int r = -EBADMSG; /* groups and unassigned wire types */
	if (ret->type == WIRE_VARINT)
		r = wire_varint(&after, &ret->value);
	else if (ret->type == WIRE_BYTES)
		r = wire_bytes(&after, &ret->bytes);
	else if (ret->type == WIRE_FIXED64)
		r = wire_fixed(&after, 8, &ret->value);
	else if (ret->type == WIRE_FIXED32)
		r = wire_fixed(&after, 4, &ret->value);
	if (r < 0)
		return r;
	*reader = after;
	return 1;
}
