/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks and reads struct binary_facts. facts_check() also bounds what later arithmetic and path
 * building rely on: segments that do not wrap around, and a debuglink that names a file and cannot
 * lead out of the directory it is looked for in.
 */
#include "binary/facts.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

static bool terminated(const char *string, size_t size)
{
	return memchr(string, '\0', size) != NULL;
}

static bool file_name_only(const char *name)
{
	return !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static bool wraps(uint64_t start, uint64_t size)
{
	uint64_t end;
	return __builtin_add_overflow(start, size, &end);
}

int facts_check(const struct binary_facts *facts, size_t size)
{
	if (!facts || size != sizeof(*facts))
		return -EBADMSG;
	if (facts->context.access >= THREAD_VARIABLE_ACCESS_MAX)
		return -EBADMSG;
	if (facts->segment_count > FACTS_MAX_SEGMENTS || facts->build_id_size > BUILD_ID_MAX)
		return -EBADMSG;
	if (!terminated(facts->go_build_id, sizeof(facts->go_build_id)) ||
	    !terminated(facts->debuglink, sizeof(facts->debuglink)) ||
	    !file_name_only(facts->debuglink))
		return -EBADMSG;
	for (uint32_t i = 0; i < facts->segment_count; i++) {
		const struct facts_segment *s = &facts->segments[i];
		if (wraps(s->offset, s->file_size) || wraps(s->address, s->memory_size))
			return -EBADMSG;
	}
	return 0;
}

static const struct facts_segment *segment_of_offset(const struct binary_facts *facts,
						     uint64_t offset, uint32_t wanted_flags)
{
	for (uint32_t i = 0; i < facts->segment_count; i++) {
		const struct facts_segment *s = &facts->segments[i];
		if ((s->flags & wanted_flags) == wanted_flags && offset >= s->offset &&
		    offset - s->offset < s->file_size)
			return s;
	}
	return NULL;
}

bool facts_offset_to_address(const struct binary_facts *facts, uint64_t offset,
			     uint64_t *ret_address)
{
	const struct facts_segment *s = segment_of_offset(facts, offset, PF_X);
	if (!s)
		s = segment_of_offset(facts, offset, 0);
	if (!s)
		return false;
	*ret_address = s->address + (offset - s->offset);
	return true;
}

const struct facts_segment *facts_segment_of(const struct binary_facts *facts, uint64_t address)
{
	for (uint32_t i = 0; i < facts->segment_count; i++) {
		const struct facts_segment *s = &facts->segments[i];
		if (address >= s->address && address - s->address < s->memory_size)
			return s;
	}
	return NULL;
}

static const char *hex_text(const uint8_t *bytes, size_t size, char *buffer)
{
	static const char digits[] = "0123456789abcdef";
	size_t length = 0;
	for (size_t i = 0; i < size; i++) {
		buffer[length++] = digits[bytes[i] >> 4];
		buffer[length++] = digits[bytes[i] & 15];
	}
	buffer[length] = '\0';
	return buffer;
}

const char *facts_build_id_text(const struct binary_facts *facts, char *buffer)
{
	return hex_text(facts->build_id, facts->build_id_size, buffer);
}

const char *facts_htlhash_text(const struct binary_facts *facts, char *buffer)
{
	return hex_text(facts->htlhash, sizeof(facts->htlhash), buffer);
}
