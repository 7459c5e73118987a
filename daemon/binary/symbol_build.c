/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks every source of names for its symbols; which of them stay is decided in symbol_list.c. A
 * damaged source gives what can be read of it, and the others are asked all the same.
 */
#include "binary/symbol_build.h"

#include "binary/artifact.h"
#include "binary/symbol_layout.h"
#include "binary/symbol_list.h"

#include <errno.h>
#include <lzma.h>
#include <string.h>

#define PACKED_LIMIT (256UL << 20)
#define MINIDEBUG_LIMIT (256UL << 20) /* decompressed; a kernel-sized program has a few MiB */
#define MINIDEBUG_MEMORY (128UL << 20)

/* Decompresses an xz stream of unknown size into a new buffer; NULL when damaged or too large. */
static unsigned char *expand_xz(const unsigned char *bytes, size_t size, size_t *ret_size)
{
	size_t capacity = MAX_OF(size * 4, 1UL << 16);
	for (; capacity <= MINIDEBUG_LIMIT; capacity *= 2) {
		_cleanup_free_ unsigned char *out = malloc(capacity);
		uint64_t memory = MINIDEBUG_MEMORY;
		size_t in_at = 0, out_at = 0;
		if (!out)
			return NULL;
		lzma_ret r = lzma_stream_buffer_decode(&memory, 0, NULL, bytes, &in_at, size, out,
						       &out_at, capacity);
		if (r == LZMA_OK) {
			*ret_size = out_at;
			return take_pointer(out);
		}
		if (r != LZMA_BUF_ERROR)
			return NULL;
	}
	return NULL;
}

/* The minidebuginfo is an xz-compressed ELF file with the .symtab of the functions that .dynsym lacks
 * (Fedora's "MiniDebuginfo" feature page). */
static void add_minidebuginfo(struct symbol_list *list, const struct elf_file *elf)
{
	_cleanup_elf_data_ struct elf_data packed = {0};
	struct elf_file inner;
	size_t size;
	if (elf_file_data(elf, ".gnu_debugdata", PACKED_LIMIT, &packed) < 0)
		return;
	_cleanup_free_ unsigned char *bytes = expand_xz(packed.bytes, packed.size, &size);
	if (bytes && elf_file_open(bytes, size, &inner) == 0)
		symbol_table_add(list, &inner, SHT_SYMTAB);
}

static void describe_supplementary(const struct elf_file *elf, struct symbol_debug *debug)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	const char *path;
	const unsigned char *id;
	size_t id_size;
	if (elf_file_supplementary(elf, &data, &path, &id, &id_size) < 0 ||
	    id_size > sizeof(debug->supplementary_id) ||
	    strlen(path) >= sizeof(debug->supplementary_path))
		return;
	debug->supplementary_id_size = (uint32_t)id_size;
	memcpy(debug->supplementary_id, id, id_size);
	strcpy(debug->supplementary_path, path);
}

static int write_artifact(struct symbol_list *list, const struct symbol_debug *debug,
			  struct text *artifact)
{
	struct text records = {0};
	int r = symbol_list_finish(list, &records);
	if (r == 0) {
		artifact_begin(artifact, ARTIFACT_SYMBOLS);
		artifact_add_section(artifact, SECTION_SYMBOLS, records.bytes, records.length);
		artifact_add_section(artifact, SECTION_SYMBOL_NAMES, list->names.bytes,
				     list->names.bytes_used);
		artifact_add_section(artifact, SECTION_SYMBOL_DEBUG, debug, sizeof(*debug));
		r = artifact_finish(artifact);
	}
	text_free(&records);
	return r;
}

int symbol_build(const struct elf_file *elf, const struct elf_file *debug, struct text *artifact)
{
	_cleanup_(symbol_list_free) struct symbol_list list;
	symbol_list_init(&list, elf);
	symbol_table_add(&list, elf, SHT_SYMTAB);
	symbol_table_add(&list, elf, SHT_DYNSYM);
	symbol_plt_add(&list, elf);
	symbol_go_add(&list, elf);
	add_minidebuginfo(&list, elf);
	struct symbol_debug seen = {0};
	describe_supplementary(elf, &seen);
	if (debug && elf_file_is_debug_of(debug, elf)) {
		seen.flags |= SYMBOL_DEBUG_FILE_BELONGS;
		symbol_table_add(&list, debug, SHT_SYMTAB);
		describe_supplementary(debug, &seen);
	}
	return write_artifact(&list, &seen, artifact);
}
