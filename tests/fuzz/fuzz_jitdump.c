/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A jitdump file, read as it is in a recording: in excerpts, of which the file may have more behind, each
 * answered by what is the child's part, checked and merged by what is the daemon's. The first byte chooses the
 * excerpts' size; each one is a copy of exactly that, so that a read behind it shows.
 */
#include "binary/jitdump.h"
#include "process/jit_merge.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_LIMIT (1U << 20)

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void look(const struct jit_codes *codes)
{
	for (size_t i = 0; i < codes->base.count; i++) {
		struct jit_piece piece;
		uint64_t address = codes->base.items[i].start;
		if (!jit_codes_find(codes, address, UINT64_MAX, &piece))
			continue;
		require(address - piece.start < piece.size);
		strings_get(&codes->names, piece.name);
		if (piece.lines == JIT_NO_LINES)
			continue;
		require(piece.lines < codes->line_ranges.count);
		struct jit_line_range range = codes->line_ranges.items[piece.lines];
		require(range.first + (uint64_t)range.count <= codes->lines.count);
		for (uint32_t line = 0; line < range.count; line++)
			require(codes->lines.items[range.first + line].file < codes->names.count);
	}
}

/* Returns how far to move. */
static uint64_t read_excerpt(const uint8_t *bytes, size_t size, struct jit_source *source,
			     struct jit_pending_lines *pending, struct jit_codes *codes)
{
	struct jit_output output = {.summary.state = source->state};
	struct text answer = {0};
	struct artifact artifact;
	struct jit_table table;
	jitdump_parse(bytes, size, source->available, &output);
	require(jit_output_finish(&output, &answer) == 0);
	require(artifact_check(answer.bytes, answer.length, ARTIFACT_JIT, &artifact) == 0);
	require(jit_table_open(&artifact, source, size, &table) == 0);
	jit_merge(codes, &table, JIT_DUMP, pending, (struct jit_merge_times){5, 1000});
	source->state = table.summary->state;
	uint64_t used = table.summary->used;
	text_free(&answer);
	jit_output_free(&output);
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t sizes[] = {64, 200, 4096, JIT_WINDOW};
	struct jit_codes codes = {.memory_limit = MEMORY_LIMIT};
	struct jit_pending_lines pending = {.lines = JIT_NO_LINES};
	struct jit_source source = {.format = JIT_DUMP};
	if (size < 1)
		return 0;
	size_t most = sizes[data[0] % ARRAY_LENGTH(sizes)];
	uint64_t at = 1, used = 1;
	while (at < size && used && !(source.state & (JIT_BROKEN | JIT_CLOSED))) {
		size_t taken = MIN_OF(size - at, most);
		uint8_t *bytes = malloc(taken);
		if (!bytes)
			break;
		memcpy(bytes, data + at, taken);
		source.available = size - at;
		used = read_excerpt(bytes, taken, &source, &pending, &codes);
		free(bytes);
		require(used <= size - at);
		at += used;
	}
	if (jit_codes_commit(&codes) == 0)
		look(&codes);
	jit_codes_free(&codes);
	return 0;
}
