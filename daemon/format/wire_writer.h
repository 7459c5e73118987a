/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes the wire form of protobuf messages into a text, the counterpart of wire_reader.h. Used where a
 * message is put together from pieces that are encoded once and interned: protobuf-c wants the whole tree.
 *
 * Source: protobuf.dev/programming-guides/encoding. Fields with the default value are left out, as
 * proto3 does, except by the functions that say otherwise.
 */
#pragma once

#include "base/text.h"
#include "format/wire_reader.h"

#define WIRE_VARINT_MAX 10

/* Returns the number of bytes written to `at`, at most WIRE_VARINT_MAX. */
static inline size_t wire_encode_varint(uint8_t *at, uint64_t value)
{
	size_t length = 0;
	/* Nearly all are indices: one byte or two. */
	if (value < 0x80) {
		at[0] = (uint8_t)value;
		return 1;
	}
	if (value < 0x4000) {
		at[0] = (uint8_t)(value | 0x80);
		at[1] = (uint8_t)(value >> 7);
		return 2;
	}
	for (; value >= 0x80; value >>= 7)
		at[length++] = (uint8_t)(value | 0x80);
	at[length++] = (uint8_t)value;
	return length;
}

/* A field's number and value take at most so many bytes, and so does what precedes a message. */
#define WIRE_NUMBER_MAX ((size_t)2 * WIRE_VARINT_MAX)

/* The same where there is room already; return where the next byte goes. */
static inline uint8_t *wire_varint_at(uint8_t *at, uint64_t value)
{
	return at + wire_encode_varint(at, value);
}

static inline uint8_t *wire_number_at(uint8_t *at, uint32_t field, uint64_t value)
{
	if (!value)
		return at;
	return wire_varint_at(wire_varint_at(at, (uint64_t)field << 3 | WIRE_VARINT), value);
}

static inline uint8_t *wire_size_at(uint8_t *at, uint32_t field, size_t size)
{
	return wire_varint_at(wire_varint_at(at, (uint64_t)field << 3 | WIRE_BYTES), size);
}

static inline uint8_t *wire_bytes_at(uint8_t *at, uint32_t field, const void *bytes, size_t size)
{
	at = wire_size_at(at, field, size);
	if (size)
		memcpy(at, bytes, size);
	return at + size;
}

static inline size_t wire_varint_size(uint64_t value)
{
	return value ? (size_t)(70 - __builtin_clzll(value)) / 7 : 1;
}

/* How many bytes wire_size_at() writes. */
static inline size_t wire_size_of_size(uint32_t field, size_t size)
{
	return wire_varint_size((uint64_t)field << 3) + wire_varint_size(size);
}

/*
 * A list or message whose size is known last: its contents are written WIRE_HEAD bytes behind `at`, to `end`, where
 * there is room for WIRE_NUMBER_MAX more. What precedes them is put in, for which they move if it is longer, as
 * it is from 128 bytes on. Returns where the next byte goes.
 */
#define WIRE_HEAD 2

static inline uint8_t *wire_end_at(uint8_t *at, uint32_t field, uint8_t *end)
{
	uint8_t *contents = at + WIRE_HEAD;
	size_t size = (size_t)(end - contents), head = wire_size_of_size(field, size);
	if (head != WIRE_HEAD)
		memmove(at + head, contents, size);
	wire_size_at(at, field, size);
	return at + head + size;
}

/* A number, also when it is 0: of a oneof. */
static inline void wire_put_set_number(struct text *out, uint32_t field, uint64_t value)
{
	uint8_t bytes[2 * WIRE_VARINT_MAX];
	size_t length = wire_encode_varint(bytes, (uint64_t)field << 3 | WIRE_VARINT);
	length += wire_encode_varint(bytes + length, value);
	text_add_bytes(out, bytes, length);
}

static inline void wire_put_number(struct text *out, uint32_t field, uint64_t value)
{
	if (value)
		wire_put_set_number(out, field, value);
}

static inline void wire_put_fixed64(struct text *out, uint32_t field, uint64_t value)
{
	if (!value)
		return;
	uint8_t bytes[WIRE_VARINT_MAX + 8];
	size_t length = wire_encode_varint(bytes, (uint64_t)field << 3 | WIRE_FIXED64);
	memcpy(bytes + length, &value, 8); /* little-endian, as every supported host */
	text_add_bytes(out, bytes, length + 8);
}

/* What comes before `size` bytes of a string, message or packed list. */
static inline void wire_put_size(struct text *out, uint32_t field, size_t size)
{
	uint8_t bytes[2 * WIRE_VARINT_MAX];
	size_t length = wire_encode_varint(bytes, (uint64_t)field << 3 | WIRE_BYTES);
	length += wire_encode_varint(bytes + length, size);
	text_add_bytes(out, bytes, length);
}

/* Bytes or a message, also when empty. */
static inline void wire_put_bytes(struct text *out, uint32_t field, const void *bytes, size_t size)
{
	wire_put_size(out, field, size);
	text_add_bytes(out, bytes, size);
}

static inline void wire_put_text(struct text *out, uint32_t field, const struct text *message)
{
	wire_put_bytes(out, field, message->bytes, message->length);
	out->failed |= message->failed;
}

/* A packed list of non-negative numbers; nothing when it is empty. `scratch` is overwritten. */
static inline void wire_put_packed(struct text *out, uint32_t field, const uint32_t *numbers,
				   size_t count, struct text *scratch)
{
	if (!count)
		return;
	scratch->length = 0;
	uint8_t *room = (uint8_t *)text_room(scratch, count * WIRE_VARINT_MAX), *end = room;
	for (size_t i = 0; room && i < count; i++)
		end = wire_varint_at(end, numbers[i]);
	scratch->length = (size_t)(end - room);
	wire_put_text(out, field, scratch);
}
