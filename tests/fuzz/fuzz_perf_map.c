/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Perf map text: read in one piece and in two it must give the same code, and what the child says of it must be
 * what the daemon takes.
 */
#include "binary/jit_table.h"
#include "binary/perf_map.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check(const struct jit_output *output, size_t size)
{
	struct text answer = {0};
	struct artifact artifact;
	struct jit_table table;
	struct jit_source source = {.available = size, .format = JIT_PERF_MAP};
	require(jit_output_finish(output, &answer) == 0);
	require(artifact_check(answer.bytes, answer.length, ARTIFACT_JIT, &artifact) == 0);
	require(jit_table_open(&artifact, &source, size, &table) == 0);
	require(table.entry_count == output->entries.count);
	text_free(&answer);
}

/* A copy of exactly its size, so that a read behind it shows. */
static void parse(const uint8_t *data, size_t size, struct jit_output *output)
{
	char *bytes = malloc(size ? size : 1);
	if (!bytes)
		return;
	memcpy(bytes, data, size);
	perf_map_parse(bytes, size, output);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jit_output whole = {0}, first = {0}, second = {0};
	if (size == 0 || size >= JIT_WINDOW)
		return 0;
	size_t cut = data[0] * size / 256;
	parse(data, size, &whole);
	require(whole.summary.used == 0 || data[whole.summary.used - 1] == '\n');
	parse(data, cut, &first);
	size_t used = (size_t)first.summary.used;
	require(used <= cut);
	parse(data + used, size - used, &second);
	require(used + second.summary.used == whole.summary.used &&
		first.summary.bad + second.summary.bad == whole.summary.bad &&
		first.entries.count + second.entries.count == whole.entries.count);
	check(&whole, size);
	check(&first, cut);
	check(&second, size - used);
	jit_output_free(&whole);
	jit_output_free(&first);
	jit_output_free(&second);
	return 0;
}
