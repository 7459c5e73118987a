/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lying ARTIFACT_JIT: the input is cut into its four sections. Either it is refused, or it can be merged, and
 * what is known of the code then is whole. The first four bytes say where to cut, and of which format it is.
 */
#include "process/jit_merge.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CUTS 4

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void look(const struct jit_codes *codes)
{
	for (size_t i = 0; i < codes->recent.count; i++) {
		const struct jit_piece *piece = &codes->recent.items[i];
		require(piece->size > 0 && piece->name < codes->names.count);
		if (piece->lines == JIT_NO_LINES)
			continue;
		struct jit_line_range range = codes->line_ranges.items[piece->lines];
		require(range.first + (uint64_t)range.count <= codes->lines.count);
	}
}

static void merge(const struct artifact *artifact, enum jit_format format)
{
	struct jit_codes codes = {.memory_limit = 1U << 20};
	struct jit_pending_lines pending = {.lines = JIT_NO_LINES};
	struct jit_source source = {.available = 1U << 20, .format = format};
	struct jit_table table;
	int r = jit_table_open(artifact, &source, 1U << 16, &table);
	require(r == 0 || r == -EBADMSG);
	if (r == 0) {
		require(table.summary->used <= source.available);
		jit_merge(&codes, &table, format, &pending, (struct jit_merge_times){5, 1000});
		if (jit_codes_commit(&codes) == 0)
			look(&codes);
	}
	jit_codes_free(&codes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		enum artifact_section_kind kind;
		size_t unit;
	} sections[] = {{SECTION_JIT_SUMMARY, sizeof(struct jit_summary)},
			{SECTION_JIT_ENTRIES, sizeof(struct jit_entry)},
			{SECTION_JIT_LINES, sizeof(struct jit_entry_line)},
			{SECTION_JIT_NAMES, 1}};
	struct text t = {0};
	struct artifact artifact;
	if (size < CUTS)
		return 0;
	const uint8_t *at = data + CUTS;
	size_t left = size - CUTS;
	artifact_begin(&t, ARTIFACT_JIT);
	for (size_t i = 0; i < ARRAY_LENGTH(sections); i++) {
		size_t count = i == 0 ? 1 : data[i];
		size_t taken = i == CUTS - 1 ? left : MIN_OF(count * sections[i].unit, left);
		artifact_add_section(&t, sections[i].kind, at, taken);
		at += taken;
		left -= taken;
	}
	require(artifact_finish(&t) == 0);
	require(artifact_check(t.bytes, t.length, ARTIFACT_JIT, &artifact) == 0);
	merge(&artifact, data[0] % JIT_FORMAT_COUNT);
	text_free(&t);
	return 0;
}
