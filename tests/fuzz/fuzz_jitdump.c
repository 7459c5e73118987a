/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A jitdump file, read as jit_map.c reads it: in windows, of which the file may have more behind. The
 * first byte chooses the window; each one is a copy of exactly its size, so that a read behind it shows.
 */
#include "process/jitdump.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t windows[] = {64, 200, 4096, JITDUMP_WINDOW};
	struct jit_codes codes = {.memory_limit = MEMORY_LIMIT};
	struct jitdump dump = {0};
	if (size < 1)
		return 0;
	size_t window = windows[data[0] % ARRAY_LENGTH(windows)];
	uint64_t at = 1, used = 1;
	while (at < size && used && !dump.broken && !dump.closed) {
		size_t taken = MIN_OF(size - at, window);
		uint8_t *bytes = malloc(taken);
		if (!bytes)
			break;
		memcpy(bytes, data + at, taken);
		used = jitdump_parse(&dump, bytes, taken, size - at, &codes, 5, 1000);
		free(bytes);
		/* Only the header may say that it is longer than the file, yet. */
		require(used <= size - at || at == 1);
		at += used;
	}
	if (jit_codes_commit(&codes) == 0)
		look(&codes);
	jit_codes_free(&codes);
	return 0;
}
