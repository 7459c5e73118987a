/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines and inlined calls of Go functions. A value table says how one number (the line, the file, the
 * index of the inlined call) changes along a function: pairs of a zigzag difference and a distance
 * in units of the instruction quantum.
 */
#include "binary/cursor.h"
#include "binary/go_parts.h"

#define PCDATA_INLINE_INDEX 2 /* internal/abi/symtab.go */
#define FUNCDATA_INLINE_TREE 3

static int32_t unzigzag(uint64_t value)
{
	return (int32_t)((uint32_t)(value >> 1) ^ -(uint32_t)(value & 1));
}

/* The number that the value table at `offset` has at an address; -1: none. */
static int32_t value_at(const struct go_table *table, uint32_t offset,
			const struct go_function *function, uint64_t address)
{
	const unsigned char *bytes = go_part(table, table->values, offset, 1);
	if (offset == 0 || !bytes)
		return -1;
	struct cursor c = cursor_over(bytes, table->size - (size_t)(bytes - table->bytes));
	uint64_t at = function->address;
	uint32_t value = GO_NOTHING; /* -1, in arithmetic that may wrap */
	for (bool first = true; at < function->end; first = false) {
		uint64_t difference = cursor_uleb(&c);
		if (c.failed || (difference == 0 && !first))
			return -1;
		value += (uint32_t)unzigzag(difference);
		at += (cursor_uleb(&c) & UINT32_MAX) * table->quantum;
		if (address < at)
			return (int32_t)value;
	}
	return -1;
}

static const char *file_at(const struct go_table *table, const struct go_function *function,
			   uint64_t address)
{
	uint32_t values = go_number(table, function->record, RECORD_FILE_VALUES);
	int32_t file = value_at(table, values, function, address);
	uint32_t unit = go_number(table, function->record, RECORD_UNIT);
	if (file < 0 || unit == GO_NOTHING)
		return "";
	uint32_t offset = go_number(table, table->units, 4 * ((uint64_t)unit + (uint32_t)file));
	return offset == GO_NOTHING ? "" : go_text(table, table->files, offset);
}

static int32_t inline_index(const struct go_table *table, const struct go_function *function,
			    uint64_t address)
{
	uint32_t count = go_number(table, function->record, RECORD_PCDATA_COUNT);
	if (count == GO_NOTHING || count <= PCDATA_INLINE_INDEX)
		return -1;
	uint32_t values = go_number(table, function->record,
				    go_record_size(table) + 4ULL * PCDATA_INLINE_INDEX);
	return value_at(table, values, function, address);
}

/* An entry of a function's tree of inlined calls (struct inlinedCall); false: none. */
static bool inlined_call(const struct go_table *table, const struct go_function *function,
			 int32_t index, struct go_call *ret)
{
	const unsigned char *last = go_part(table, function->record, go_record_size(table) - 1, 1);
	uint32_t pcdata_count = go_number(table, function->record, RECORD_PCDATA_COUNT);
	if (index < 0 || !last || *last <= FUNCDATA_INLINE_TREE || pcdata_count == GO_NOTHING)
		return false;
	uint32_t tree = go_number(table, function->record,
				  go_record_size(table) + 4ULL * pcdata_count +
					  4ULL * FUNCDATA_INLINE_TREE);
	size_t size = table->is_go_1_18 ? 20 : 16;
	uint64_t at = tree + (uint64_t)index * size;
	if (tree == GO_NOTHING || !table->inline_trees || at > table->inline_trees_size ||
	    size > table->inline_trees_size - at)
		return false;
	uint32_t name, caller_offset, start_line = 0;
	const unsigned char *entry = table->inline_trees + at;
	memcpy(&name, entry + (table->is_go_1_18 ? 12 : 4), 4);
	memcpy(&caller_offset, entry + (table->is_go_1_18 ? 16 : 8), 4);
	if (!table->is_go_1_18)
		memcpy(&start_line, entry + 12, 4);
	ret->function = go_text(table, table->names, name);
	ret->start_line = start_line;
	ret->next_address = function->address + caller_offset;
	ret->inlined = true;
	return true;
}

struct go_call go_function_call(const struct go_table *table, const struct go_function *function,
				uint64_t address)
{
	uint32_t lines = go_number(table, function->record, RECORD_LINE_VALUES);
	int32_t line = value_at(table, lines, function, address);
	struct go_call call = {
		.file = file_at(table, function, address),
		.line = (uint32_t)MAX_OF(line, 0),
	};
	if (inlined_call(table, function, inline_index(table, function, address), &call))
		return call;
	call.function = go_function_name(table, function);
	if (!table->is_go_1_18)
		call.start_line = go_number(table, function->record, RECORD_START_LINE);
	if (call.start_line > INT32_MAX)
		call.start_line = 0;
	return call;
}
