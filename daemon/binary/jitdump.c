/* SPDX-License-Identifier: Apache-2.0 */
/* See jitdump.h. */
#include "binary/jitdump.h"

#include <string.h>

#define JITDUMP_MAGIC 0x4a695444U
#define JITDUMP_VERSION 1
#define JITDUMP_HEADER_SIZE 40
#define JITDUMP_MAX_HEADER 4096
#define JITDUMP_ARCH_TIMESTAMP 1ULL
#define RECORD_HEADER_SIZE 16

enum jitdump_record {
	JIT_CODE_LOAD = 0,
	JIT_CODE_MOVE = 1,
	JIT_CODE_DEBUG_INFO = 2,
	JIT_CODE_CLOSE = 3,
	JIT_CODE_UNWINDING_INFO = 4,
};

struct body {
	const uint8_t *bytes;
	size_t size; /* that are in the excerpt */
	uint64_t time;
};

static uint32_t get_u32(const struct jit_output *output, const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return output->summary.state & JIT_SWAPPED ? __builtin_bswap32(value) : value;
}

static uint64_t get_u64(const struct jit_output *output, const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof(value));
	return output->summary.state & JIT_SWAPPED ? __builtin_bswap64(value) : value;
}

/* Returns its size; 0 when it is not complete yet, or none. */
static uint64_t parse_header(const uint8_t *bytes, size_t size, uint64_t available,
			     struct jit_output *output)
{
	struct jit_summary *summary = &output->summary;
	if (size < JITDUMP_HEADER_SIZE)
		return 0;
	uint32_t magic = get_u32(output, bytes);
	bool swapped = magic == __builtin_bswap32(JITDUMP_MAGIC);
	if (swapped)
		summary->state |= JIT_SWAPPED;
	uint32_t header_size = get_u32(output, bytes + 8);
	if ((magic != JITDUMP_MAGIC && !swapped) || get_u32(output, bytes + 4) != JITDUMP_VERSION ||
	    header_size < JITDUMP_HEADER_SIZE || header_size > JITDUMP_MAX_HEADER) {
		summary->state |= JIT_BROKEN;
		return 0;
	}
	if (header_size > available) {
		summary->state = 0;
		return 0;
	}
	if (get_u64(output, bytes + 32) & JITDUMP_ARCH_TIMESTAMP)
		summary->state |= JIT_FOREIGN_CLOCK;
	summary->state |= JIT_HEADER_READ;
	return header_size;
}

/* {pid, tid, vma, code address, code size, code index, name\0, code} */
static bool parse_load(struct body body, struct jit_output *output)
{
	const size_t fixed = 40;
	if (body.size <= fixed)
		return false;
	uint64_t address = get_u64(output, body.bytes + 16), size = get_u64(output, body.bytes + 24);
	const char *name = (const char *)body.bytes + fixed;
	size_t length = strnlen(name, body.size - fixed);
	if (length == 0 || length == body.size - fixed || !jit_code_is_plausible(address, size))
		return false;
	struct jit_entry entry = {.start = address, .size = (uint32_t)size, .time = body.time};
	jit_output_add_code(output, entry, name, length);
	return true;
}

/* {pid, tid, vma, old address, new address, code size, code index} */
static bool parse_move(struct body body, struct jit_output *output)
{
	if (body.size < 48)
		return false;
	uint64_t size = get_u64(output, body.bytes + 32);
	struct jit_entry entry = {
		.kind = JIT_ENTRY_MOVE,
		.from = get_u64(output, body.bytes + 16),
		.start = get_u64(output, body.bytes + 24),
		.size = (uint32_t)size,
		.time = body.time,
	};
	if (!jit_code_is_plausible(entry.start, size))
		return false;
	jit_output_add(output, entry);
	return true;
}

/* {code address, count, count x {address, line, discriminator, file\0}}; "\xff\0": file as before */
static bool parse_debug_info(struct body body, struct jit_output *output)
{
	if (body.size < 16)
		return false;
	uint64_t address = get_u64(output, body.bytes), count = get_u64(output, body.bytes + 8);
	struct jit_entry entry = {.kind = JIT_ENTRY_LINES, .start = address,
				  .first = (uint32_t)output->lines.count};
	const char *file = NULL; /* not written yet */
	size_t at = 16, file_length = 0;
	uint64_t last = 0;
	for (uint64_t i = 0; i < count && entry.count < JIT_MAX_LINES; i++) {
		if (body.size - at <= 16)
			break;
		const char *name = (const char *)body.bytes + at + 16;
		size_t length = strnlen(name, body.size - at - 16);
		if (length == body.size - at - 16)
			break;
		uint64_t offset = get_u64(output, body.bytes + at) - address;
		struct jit_entry_line line = {.offset = (uint32_t)offset,
					      .line = get_u32(output, body.bytes + at + 8)};
		bool as_before = i > 0 && length == 1 && (uint8_t)name[0] == 0xff;
		at += 16 + length + 1;
		if (!as_before) {
			file = name;
			file_length = length;
		}
		if (offset > UINT32_MAX || offset < last)
			continue;
		jit_output_add_line(output, line, file, file_length);
		file = NULL;
		last = offset;
		entry.count++;
	}
	if (entry.count == 0)
		return false;
	jit_output_add(output, entry);
	return true;
}

static bool parse_record(uint32_t id, struct body body, struct jit_output *output)
{
	switch (id) {
	case JIT_CODE_LOAD:
		return parse_load(body, output);
	case JIT_CODE_MOVE:
		return parse_move(body, output);
	case JIT_CODE_DEBUG_INFO:
		return parse_debug_info(body, output);
	case JIT_CODE_CLOSE:
		output->summary.state |= JIT_CLOSED;
		return true;
	default: /* unwinding info says nothing about names; later kinds are not known */
		return true;
	}
}

static bool goes_on(const struct jit_summary *summary)
{
	return (summary->state & (JIT_HEADER_READ | JIT_BROKEN | JIT_CLOSED)) == JIT_HEADER_READ;
}

void jitdump_parse(const uint8_t *bytes, size_t size, uint64_t available, struct jit_output *output)
{
	struct jit_summary *summary = &output->summary;
	uint64_t at = 0;
	if (!(summary->state & (JIT_HEADER_READ | JIT_BROKEN)))
		at = parse_header(bytes, size, available, output);
	while (goes_on(summary) && at < size && size - at >= RECORD_HEADER_SIZE) {
		const uint8_t *record = bytes + at;
		uint32_t id = get_u32(output, record), record_size = get_u32(output, record + 4);
		if (record_size < RECORD_HEADER_SIZE) {
			summary->state |= JIT_BROKEN;
			summary->bad++;
			break;
		}
		if (record_size > available - at)
			break; /* still being written */
		/* Read the record from its start when more of it fits a fresh excerpt. */
		if (record_size > size - at && at > 0 && size - at < JIT_WINDOW)
			break;
		struct body body = {record + RECORD_HEADER_SIZE,
				    MIN_OF(record_size, size - at) - RECORD_HEADER_SIZE,
				    get_u64(output, record + 8)};
		if (!parse_record(id, body, output))
			summary->bad++;
		at += record_size;
	}
	summary->used = at;
}
