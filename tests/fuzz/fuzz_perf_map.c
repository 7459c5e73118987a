/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perf map text: read in one piece and in two it must give the same code, and what the store answers
 * must cover the address asked for.
 */
#include "process/jit_codes.h"
#include "process/perf_map.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY_LIMIT (1U << 20)

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void add(void *userdata, const struct jit_code *code)
{
	require(code->size > 0 && code->start + code->size > code->start && code->name_length > 0);
	jit_codes_add(userdata, code->start, code->size, code->name, code->name_length, 1,
		      JIT_NO_LINES);
}

/* Looks at the edges of every piece of code. */
static void look(const struct jit_codes *codes)
{
	for (size_t i = 0; i < codes->base.count + codes->recent.count; i++) {
		const struct jit_piece *piece =
			i < codes->base.count ? &codes->base.items[i]
					      : &codes->recent.items[i - codes->base.count];
		struct jit_piece found;
		uint64_t last = piece->start + piece->size - 1;
		require(jit_codes_find(codes, last, UINT64_MAX, &found));
		require(found.start <= last && last - found.start < found.size);
		require(strings_length(&codes->names, found.name) > 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jit_codes whole = {.memory_limit = MEMORY_LIMIT};
	struct jit_codes parts = {.memory_limit = MEMORY_LIMIT};
	uint64_t bad_whole = 0, bad_parts = 0;
	size_t cut = size ? data[0] * size / 256 : 0;
	const char *text = (const char *)data;

	size_t used = perf_map_parse(text, size, add, &whole, &bad_whole);
	require(used <= size && (used == 0 || text[used - 1] == '\n'));
	size_t first = perf_map_parse(text, cut, add, &parts, &bad_parts);
	if (jit_codes_commit(&parts) == 0)
		look(&parts);
	size_t second = perf_map_parse(text + first, size - first, add, &parts, &bad_parts);
	require(first + second == used && bad_parts == bad_whole &&
		whole.added + whole.dropped == parts.added + parts.dropped);
	if (jit_codes_commit(&whole) == 0)
		look(&whole);
	if (jit_codes_commit(&parts) == 0)
		look(&parts);
	jit_codes_free(&whole);
	jit_codes_free(&parts);
	return 0;
}
