/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF file gives an index that opens, is sorted and answers with strings inside it; Go's table, when
 * it has one, gives calls that end; its debug sections, decompressed, are a file again. Anything else is taken for the
 * sections of a lying index.
 */
#include "binary/dwarf_expand.h"
#include "binary/go_table.h"
#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>

#define MAX_GO_STEPS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ask(const struct symbol_index *index, uint64_t address)
{
	struct symbol symbol;
	if (symbol_index_find(index, address, &symbol))
		require(symbol.address <= address &&
			strlen(symbol.name) < index->names_size);
}

static void ask_all(const struct symbol_index *index, bool sorted)
{
	const struct symbol_record *records = index->symbols;
	for (size_t i = 0; i < index->symbol_count; i++) {
		require(!sorted || i == 0 || records[i - 1].address < records[i].address);
		if (!sorted)
			break;
		ask(index, records[i].address);
		ask(index, records[i].address + records[i].size);
	}
	ask(index, 0);
	ask(index, UINT64_MAX);
}

static void open_made(struct text *t, bool sorted)
{
	struct artifact artifact;
	struct symbol_index index;
	require(artifact_check(t->bytes, t->length, ARTIFACT_SYMBOLS, &artifact) == 0);
	int r = symbol_index_open(&artifact, &index);
	require(r == 0 || (r == -EBADMSG && !sorted));
	if (r == 0)
		ask_all(&index, sorted);
}

static void ask_go(const struct elf_file *elf)
{
	struct go_table table;
	struct go_function function;
	if (go_table_open(elf, &table) < 0)
		return;
	for (uint32_t i = 0; i < MIN_OF(table.function_count, 16u); i++) {
		if (!go_table_function(&table, i, &function))
			continue;
		uint64_t address = function.address;
		for (size_t step = 0; step < MAX_GO_STEPS; step++) {
			struct go_call call = go_function_call(&table, &function, address);
			require(strlen(call.function) < elf->size &&
				strlen(call.file) < elf->size);
			if (!call.inlined)
				break;
			address = call.next_address;
		}
	}
}

static void expand(const struct elf_file *elf)
{
	struct elf_file expanded;
	struct text file = {0};
	int r = dwarf_expand(elf, &file);
	require(r == 0 || r == -ENODATA || r == -EBADMSG || r == -ENOTSUP);
	require(r < 0 || elf_file_open(file.bytes, file.length, &expanded) == 0);
	require(r < 0 || dwarf_expand(&expanded, &(struct text){0}) == -ENODATA);
	text_free(&file);
}

static void lie(const uint8_t *data, size_t size, struct text *t)
{
	struct symbol_debug debug = {0};
	size_t records = size / 2 / sizeof(struct symbol_record) * sizeof(struct symbol_record);
	if (size)
		memcpy(&debug, data, MIN_OF(size, sizeof(debug)));
	artifact_begin(t, ARTIFACT_SYMBOLS);
	artifact_add_section(t, SECTION_SYMBOLS, data, records);
	artifact_add_section(t, SECTION_SYMBOL_NAMES, data + records, size - records);
	artifact_add_section(t, SECTION_SYMBOL_DEBUG, &debug, sizeof(debug));
	require(artifact_finish(t) == 0);
	open_made(t, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file elf;
	struct text t = {0};
	if (elf_file_open(data, size, &elf) < 0) {
		lie(data, size, &t);
	} else {
		int r = symbol_build(&elf, &elf, &t);
		require(r == 0 || r == -ENODATA || r == -E2BIG);
		if (r == 0)
			open_made(&t, true);
		ask_go(&elf);
		expand(&elf);
	}
	text_free(&t);
	return 0;
}
