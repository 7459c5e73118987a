/* SPDX-License-Identifier: Apache-2.0 */
/* See jit_table.h. */
#include "binary/jit_table.h"

#include <errno.h>

static bool range_is_inside(uint32_t first, uint32_t count, size_t total)
{
	return first <= total && count <= total - first;
}

static bool summary_is_possible(const struct jit_summary *summary, const struct jit_source *source,
				size_t size)
{
	return summary->used <= (source->format == JIT_DUMP ? source->available : size) &&
	       !(summary->state & ~JIT_STATE_FLAGS) && summary->bad <= size;
}

static bool lines_are_possible(const struct jit_entry_line *lines, size_t count, size_t names_size)
{
	for (size_t i = 0; i < count; i++)
		if (!range_is_inside(lines[i].file, lines[i].file_length, names_size) ||
		    lines[i].file_length > JIT_MAX_NAME)
			return false;
	return true;
}

static bool ascend(const struct jit_entry_line *lines, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (lines[i - 1].offset > lines[i].offset)
			return false;
	return true;
}

static bool entry_is_possible(const struct jit_entry *entry, const struct jit_entry_line *lines,
			      size_t line_count, size_t names_size)
{
	switch (entry->kind) {
	case JIT_ENTRY_CODE:
		return jit_code_is_plausible(entry->start, entry->size) && entry->count > 0 &&
		       entry->count <= JIT_MAX_NAME &&
		       range_is_inside(entry->first, entry->count, names_size);
	case JIT_ENTRY_MOVE:
		return jit_code_is_plausible(entry->start, entry->size);
	case JIT_ENTRY_LINES:
		return entry->count > 0 && entry->count <= JIT_MAX_LINES &&
		       range_is_inside(entry->first, entry->count, line_count) &&
		       ascend(lines + entry->first, entry->count);
	default:
		return false;
	}
}

int jit_table_open(const struct artifact *artifact, const struct jit_source *source, size_t size,
		   struct jit_table *ret)
{
	struct jit_table table;
	size_t summary_size, entries_size, lines_size, names_size;
	table.summary = artifact_section(artifact, SECTION_JIT_SUMMARY, &summary_size);
	table.entries = artifact_section(artifact, SECTION_JIT_ENTRIES, &entries_size);
	table.lines = artifact_section(artifact, SECTION_JIT_LINES, &lines_size);
	table.names = artifact_section(artifact, SECTION_JIT_NAMES, &names_size);
	table.entry_count = entries_size / sizeof(*table.entries);
	size_t line_count = lines_size / sizeof(*table.lines);
	if (summary_size != sizeof(*table.summary) || entries_size % sizeof(*table.entries) ||
	    lines_size % sizeof(*table.lines) || line_count > size || table.entry_count > size ||
	    !summary_is_possible(table.summary, source, size) ||
	    !lines_are_possible(table.lines, line_count, names_size))
		return -EBADMSG;
	for (size_t i = 0; i < table.entry_count; i++)
		if (!entry_is_possible(&table.entries[i], table.lines, line_count, names_size))
			return -EBADMSG;
	*ret = table;
	return 0;
}
