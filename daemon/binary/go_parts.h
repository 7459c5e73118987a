/* SPDX-License-Identifier: Apache-2.0 */
/* Private to go_table.c and go_calls.c: checked access to the parts of a Go function table. */
#pragma once

#include "binary/go_table.h"

#include <string.h>

#define GO_NOTHING UINT32_MAX

/* `size` bytes at `start + offset`, or NULL when they are not all there. */
static inline const unsigned char *go_part(const struct go_table *table, uint64_t start, uint64_t offset,
					   size_t size)
{
	uint64_t at;
	if (__builtin_add_overflow(start, offset, &at) || at > table->size ||
	    size > table->size - at)
		return NULL;
	return table->bytes + at;
}

/* GO_NOTHING when it lies outside. */
static inline uint32_t go_number(const struct go_table *table, uint64_t start, uint64_t offset)
{
	uint32_t value = GO_NOTHING;
	const unsigned char *bytes = go_part(table, start, offset, sizeof(value));
	if (bytes)
		memcpy(&value, bytes, sizeof(value));
	return value;
}

/* "" when it lies outside or has no end. */
static inline const char *go_text(const struct go_table *table, uint64_t start, uint64_t offset)
{
	const unsigned char *bytes = go_part(table, start, offset, 1);
	if (!bytes || !memchr(bytes, '\0', table->size - (size_t)(bytes - table->bytes)))
		return "";
	return (const char *)bytes;
}

/* Offsets in a function's record (struct _func of runtime2.go). */
enum go_record_field {
	RECORD_NAME = 4,
	RECORD_FILE_VALUES = 20,
	RECORD_LINE_VALUES = 24,
	RECORD_PCDATA_COUNT = 28,
	RECORD_UNIT = 32,
	RECORD_START_LINE = 36, /* since Go 1.20 */
	RECORD_SIZE_1_18 = 40,
	RECORD_SIZE_1_20 = 44,
};

static inline uint32_t go_record_size(const struct go_table *table)
{
	return table->is_go_1_18 ? RECORD_SIZE_1_18 : RECORD_SIZE_1_20;
}
