/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes everything that reads an artifact, which comes from a child that may have been taken over or
 * from a damaged disk. The input is taken as it is, and again with the numbers that any change
 * breaks (magic, size, checksum) set right, so that the readers of the sections are reached.
 */
#include "base/attributes.h"
#include "binary/allocator.h"
#include "binary/artifact.h"
#include "binary/facts.h"
#include "binary/line_answers.h"
#include "binary/symbol_index.h"
#include "binary/unwind_table.h"

#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LOOKUPS 64

/* What a reader gives is read too, so that a wrong pointer does not go unseen. */
static size_t touch(const char *string)
{
	return string ? strlen(string) : 0;
}

static void read_facts(const struct artifact *artifact)
{
	size_t size;
	uint64_t address;
	char text[2 * BUILD_ID_MAX + 1];
	const struct binary_facts *facts = artifact_section(artifact, SECTION_FACTS, &size);
	if (facts_check(facts, size) < 0)
		return;
	touch(facts->debuglink);
	touch(facts->go_build_id);
	touch(facts_build_id_text(facts, text));
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		facts_offset_to_address(facts, i << i, &address);
		facts_segment_of(facts, i << i);
	}
}

static void read_unwind(const struct artifact *artifact)
{
	struct unwind_table table;
	if (unwind_table_check(artifact, &table) < 0)
		return;
	uint64_t start = (uint64_t)table.header->first_page * UNWIND_PAGE_SIZE;
	uint64_t length = (uint64_t)table.header->page_count * UNWIND_PAGE_SIZE;
	for (uint64_t i = 0; i <= LOOKUPS; i++)
		unwind_table_find(&table, start + length / LOOKUPS * i + i);
	unwind_table_find(&table, start - 1);
	unwind_table_find(&table, UINT64_MAX);
}

static void read_allocators(const struct artifact *artifact)
{
	struct allocator_table table;
	if (allocator_table_open(artifact, &table) < 0)
		return;
	for (size_t i = 0; i < table.probe_count; i++)
		touch(allocator_table_name(&table, &table.probes[i]));
	for (size_t i = 0; i < table.facts_count; i++)
		for (size_t k = 0; k < table.facts[i].probe_count; k++)
			touch(allocator_role_name(table.probes[table.facts[i].first_probe + k].role));
}

static void read_symbols(const struct artifact *artifact)
{
	struct symbol_index index;
	struct symbol symbol;
	if (symbol_index_open(artifact, &index) < 0)
		return;
	uint64_t address = 0;
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		if (symbol_index_find(&index, address, &symbol)) {
			touch(symbol.name);
			address = symbol.address + symbol.size;
		}
		address += i << i;
	}
}

static void read_lines(const struct artifact *artifact)
{
	struct line_answers answers;
	struct line_frame frames[16];
	if (line_answers_open(artifact, &answers) < 0)
		return;
	for (uint64_t i = 0; i < LOOKUPS; i++) {
		size_t count = line_answers_find(&answers, 0x1000 + i * 16, frames,
						 ARRAY_LENGTH(frames));
		for (size_t k = 0; k < count; k++)
			touch(frames[k].function), touch(frames[k].file);
	}
}

static void read_artifact(const void *bytes, size_t size)
{
	struct artifact artifact;
	if (artifact_check(bytes, size, ARTIFACT_UNWIND, &artifact) == 0) {
		read_facts(&artifact);
		read_unwind(&artifact);
	}
	if (artifact_check(bytes, size, ARTIFACT_ALLOCATORS, &artifact) == 0)
		read_allocators(&artifact);
	if (artifact_check(bytes, size, ARTIFACT_SYMBOLS, &artifact) == 0)
		read_symbols(&artifact);
	if (artifact_check(bytes, size, ARTIFACT_LINES, &artifact) == 0)
		read_lines(&artifact);
}

static void repair(void *bytes, size_t size)
{
	struct artifact_header *header = bytes;
	header->magic = ARTIFACT_MAGIC;
	header->version = ARTIFACT_VERSION;
	header->size = size;
	header->checksum = 0;
	header->checksum = (uint32_t)crc32_z(0, bytes, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A copy of exactly this size: a sanitizer sees the first byte read past it. */
	_cleanup_free_ void *bytes = malloc(size ? size : 1);
	if (!bytes)
		return 0;
	memcpy(bytes, data, size);
	read_artifact(bytes, size);
	if (size < sizeof(struct artifact_header))
		return 0;
	repair(bytes, size);
	read_artifact(bytes, size);
	return 0;
}
