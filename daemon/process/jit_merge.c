/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_merge.h. */
#include "process/jit_merge.h"

#include <string.h>

struct merge {
	struct jit_codes *codes;
	const struct jit_table *table;
	enum jit_format format;
	struct jit_pending_lines *pending;
	struct jit_merge_times times;
};

static uint64_t valid_from(const struct merge *m, const struct jit_entry *entry)
{
	bool has_time = m->format == JIT_DUMP && !(m->table->summary->state & JIT_FOREIGN_CLOCK);
	return has_time ? MIN_OF(entry->time, m->times.now) : m->times.previous;
}

static bool add_code(const struct merge *m, const struct jit_entry *entry)
{
	uint32_t lines = JIT_NO_LINES;
	if (m->format == JIT_DUMP) {
		if (m->pending->address == entry->start)
			lines = m->pending->lines;
		m->pending->lines = JIT_NO_LINES;
	}
	jit_codes_add(m->codes, entry->start, entry->size, m->table->names + entry->first, entry->count,
		      valid_from(m, entry), lines);
	return true;
}

static bool move_code(const struct merge *m, const struct jit_entry *entry)
{
	struct jit_codes *codes = m->codes;
	struct jit_piece piece;
	/* What moves may stand in the batch still. */
	if (jit_codes_commit(codes) < 0 || !jit_codes_find(codes, entry->from, UINT64_MAX, &piece))
		return false;
	char name[JIT_MAX_NAME];
	size_t length = MIN_OF(strings_length(&codes->names, piece.name), sizeof(name));
	memcpy(name, strings_get(&codes->names, piece.name), length); /* adding moves it */
	jit_codes_add(codes, entry->start, entry->size, name, length, valid_from(m, entry), piece.lines);
	return true;
}

static bool add_line(const struct merge *m, const struct jit_entry_line *line)
{
	struct jit_codes *codes = m->codes;
	struct jit_line added = {.offset = line->offset, .line = line->line};
	return !jit_codes_are_full(codes) &&
	       strings_add(&codes->names, m->table->names + line->file, line->file_length,
			   &added.file) == 0 &&
	       array_add(&codes->lines, added) == 0;
}

static bool add_lines(const struct merge *m, const struct jit_entry *entry)
{
	struct jit_codes *codes = m->codes;
	struct jit_line_range range = {.first = (uint32_t)codes->lines.count};
	while (range.count < entry->count && add_line(m, &m->table->lines[entry->first + range.count]))
		range.count++;
	if (range.count == 0 || array_add(&codes->line_ranges, range) < 0)
		return false;
	m->pending->address = entry->start;
	m->pending->lines = (uint32_t)codes->line_ranges.count - 1;
	return true;
}

static bool add_entry(const struct merge *m, const struct jit_entry *entry)
{
	switch (entry->kind) {
	case JIT_ENTRY_CODE:
		return add_code(m, entry);
	case JIT_ENTRY_MOVE:
		return move_code(m, entry);
	default:
		return add_lines(m, entry);
	}
}

uint64_t jit_merge(struct jit_codes *codes, const struct jit_table *table, enum jit_format format,
		   struct jit_pending_lines *pending, struct jit_merge_times times)
{
	struct merge m = {codes, table, format, pending, times};
	uint64_t bad = 0;
	for (size_t i = 0; i < table->entry_count; i++)
		if (!add_entry(&m, &table->entries[i]))
			bad++;
	return bad;
}
