/* SPDX-License-Identifier: Apache-2.0 */
/* See jitdump.h. */
#include "process/jitdump.h"

#include "process/perf_map.h"

#include <errno.h>
#include <string.h>

#define JITDUMP_MAGIC 0x4a695444U
#define JITDUMP_VERSION 1
#define JITDUMP_HEADER_SIZE 40
#define JITDUMP_MAX_HEADER 4096
#define JITDUMP_ARCH_TIMESTAMP 1ULL
#define RECORD_HEADER_SIZE 16
#define MAX_NAME 1024
#define MAX_LINES 65535 /* of one code */

enum jitdump_record {
	JIT_CODE_LOAD = 0,
	JIT_CODE_MOVE = 1,
	JIT_CODE_DEBUG_INFO = 2,
	JIT_CODE_CLOSE = 3,
	JIT_CODE_UNWINDING_INFO = 4,
};

struct body {
	const struct jitdump *dump;
	const uint8_t *bytes;
	size_t size; /* that are in the window */
};

struct context {
	struct jit_codes *codes;
	uint64_t valid_from;
};

static uint32_t get_u32(const struct jitdump *dump, const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return dump->swapped ? __builtin_bswap32(value) : value;
}

static uint64_t get_u64(const struct jitdump *dump, const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return dump->swapped ? __builtin_bswap64(value) : value;
}

static uint64_t parse_header(struct jitdump *dump, const uint8_t *bytes, size_t size)
{
	if (size < JITDUMP_HEADER_SIZE)
		return 0;
	uint32_t magic = get_u32(dump, bytes);
	dump->swapped = magic == __builtin_bswap32(JITDUMP_MAGIC);
	uint32_t header_size = get_u32(dump, bytes + 8);
	if ((magic != JITDUMP_MAGIC && !dump->swapped) ||
	    get_u32(dump, bytes + 4) != JITDUMP_VERSION || header_size < JITDUMP_HEADER_SIZE ||
	    header_size > JITDUMP_MAX_HEADER) {
		dump->broken = true;
		return 0;
	}
	dump->foreign_clock = get_u64(dump, bytes + 32) & JITDUMP_ARCH_TIMESTAMP;
	dump->header_read = true;
	dump->pending_lines = JIT_NO_LINES;
	return header_size;
}

/* {pid, tid, vma, code address, code size, code index, name\0, code} */
static bool parse_load(struct jitdump *dump, struct body body, const struct context *context)
{
	const size_t fixed = 40;
	if (body.size <= fixed)
		return false;
	uint64_t address = get_u64(dump, body.bytes + 16), size = get_u64(dump, body.bytes + 24);
	const char *name = (const char *)body.bytes + fixed;
	size_t length = strnlen(name, body.size - fixed);
	uint32_t lines = dump->pending_address == address ? dump->pending_lines : JIT_NO_LINES;
	dump->pending_lines = JIT_NO_LINES;
	if (length == 0 || length == body.size - fixed || !jit_code_is_plausible(address, size))
		return false;
	jit_codes_add(context->codes, address, size, name, MIN_OF(length, MAX_NAME),
		      context->valid_from, lines);
	return true;
}

/* {pid, tid, vma, old address, new address, code size, code index} */
static bool parse_move(struct jitdump *dump, struct body body, const struct context *context)
{
	if (body.size < 48)
		return false;
	uint64_t from = get_u64(dump, body.bytes + 16), to = get_u64(dump, body.bytes + 24);
	uint64_t size = get_u64(dump, body.bytes + 32);
	struct jit_piece piece;
	/* What moves may stand in the batch still. */
	if (jit_codes_commit(context->codes) < 0 || !jit_code_is_plausible(to, size) ||
	    !jit_codes_find(context->codes, from, UINT64_MAX, &piece))
		return false;
	char name[MAX_NAME];
	size_t length = MIN_OF(strings_length(&context->codes->names, piece.name), sizeof(name));
	memcpy(name, strings_get(&context->codes->names, piece.name), length); /* adding moves it */
	jit_codes_add(context->codes, to, size, name, length, context->valid_from, piece.lines);
	return true;
}

/* {code address, count, count x {address, line, discriminator, file\0}}; "\xff\0": file as before */
static bool parse_debug_info(struct jitdump *dump, struct body body, const struct context *context)
{
	struct jit_codes *codes = context->codes;
	if (body.size < 16)
		return false;
	uint64_t address = get_u64(dump, body.bytes), count = get_u64(dump, body.bytes + 8);
	struct jit_line_range range = {.first = (uint32_t)codes->lines.count};
	uint32_t file = 0;
	size_t at = 16;
	for (uint64_t i = 0; i < count && range.count < MAX_LINES; i++) {
		if (body.size - at <= 16)
			break;
		const char *name = (const char *)body.bytes + at + 16;
		size_t length = strnlen(name, body.size - at - 16);
		if (length == body.size - at - 16)
			break;
		uint64_t offset = get_u64(dump, body.bytes + at) - address;
		struct jit_line line = {(uint32_t)offset, 0, get_u32(dump, body.bytes + at + 8)};
		bool as_before = i > 0 && length == 1 && (uint8_t)name[0] == 0xff;
		at += 16 + length + 1;
		if (!as_before && strings_add(&codes->names, name, MIN_OF(length, MAX_NAME), &file) < 0)
			break;
		line.file = file;
		bool ascending = range.count == 0 ||
				 codes->lines.items[codes->lines.count - 1].offset <= line.offset;
		if (offset > UINT32_MAX || !ascending)
			continue;
		if (jit_codes_memory(codes) > codes->memory_limit / 2 ||
		    array_add(&codes->lines, line) < 0)
			break;
		range.count++;
	}
	if (range.count == 0 || array_add(&codes->line_ranges, range) < 0)
		return false;
	dump->pending_address = address;
	dump->pending_lines = (uint32_t)codes->line_ranges.count - 1;
	return true;
}

static bool parse_record(struct jitdump *dump, uint32_t id, struct body body,
			 const struct context *context)
{
	switch (id) {
	case JIT_CODE_LOAD:
		return parse_load(dump, body, context);
	case JIT_CODE_MOVE:
		return parse_move(dump, body, context);
	case JIT_CODE_DEBUG_INFO:
		return parse_debug_info(dump, body, context);
	case JIT_CODE_CLOSE:
		dump->closed = true;
		return true;
	default: /* unwinding info says nothing about names; later kinds are not known */
		return true;
	}
}

uint64_t jitdump_parse(struct jitdump *dump, const uint8_t *bytes, size_t size, uint64_t available,
		       struct jit_codes *codes, uint64_t previous, uint64_t now)
{
	uint64_t at = 0;
	if (!dump->header_read && !dump->broken)
		at = parse_header(dump, bytes, size);
	while (dump->header_read && !dump->broken && !dump->closed && at < size &&
	       size - at >= RECORD_HEADER_SIZE) {
		const uint8_t *record = bytes + at;
		uint32_t id = get_u32(dump, record), record_size = get_u32(dump, record + 4);
		uint64_t time = get_u64(dump, record + 8);
		if (record_size < RECORD_HEADER_SIZE) {
			dump->broken = true;
			dump->bad_records++;
			break;
		}
		if (record_size > available - at)
			break; /* still being written */
		/* Read the record from its start when more of it fits a fresh window. */
		if (record_size > size - at && at > 0 && size - at < JITDUMP_WINDOW)
			break;
		struct context context = {
			.codes = codes,
			.valid_from = dump->foreign_clock ? previous : MIN_OF(time, now),
		};
		struct body body = {dump, record + RECORD_HEADER_SIZE,
				    MIN_OF(record_size, size - at) - RECORD_HEADER_SIZE};
		if (!parse_record(dump, id, body, &context))
			dump->bad_records++;
		at += record_size;
	}
	return at;
}
