/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols of all tables are put in one array with a rank, sorted by address, and the best one of each
 * address is kept: a global name is the one people know, a sized symbol tells where the function ends.
 *
 * Sizes are cut where the next symbol begins only for symbols without one: nested symbols (a
 * function's local entry points) keep the outer function's size, and the inner ones end where they say.
 */
#include "binary/symbol_build.h"

#include "base/array.h"
#include "base/hash.h"
#include "binary/artifact.h"
#include "binary/symbol_layout.h"

#include <elf.h>
#include <errno.h>
#include <lzma.h>
#include <string.h>

#define MAX_SYMBOLS (16UL << 20)
#define TABLE_LIMIT (1UL << 30)
#define MINIDEBUG_LIMIT (256UL << 20) /* decompressed; a kernel-sized program has a few MiB */
#define MINIDEBUG_MEMORY (128UL << 20)

struct candidate {
	uint64_t address;
	uint64_t size;
	uint32_t name; /* index into names */
	uint8_t rank;  /* higher is better */
};

struct builder {
	const struct elf_file *elf; /* whose segments tell what is code */
	ARRAY(struct candidate) candidates;
	struct strings names;
};

static bool is_code_address(const struct elf_file *elf, uint64_t address)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++)
		if (segment.p_type == PT_LOAD && segment.p_flags & PF_X &&
		    address - segment.p_vaddr < segment.p_memsz)
			return true;
	return false;
}

static uint8_t rank_of(const Elf64_Sym *symbol)
{
	unsigned binding = ELF64_ST_BIND(symbol->st_info);
	uint8_t rank = binding == STB_GLOBAL ? 3 : binding == STB_WEAK ? 2 : 1;
	rank += symbol->st_size ? 4 : 0;
	return rank + (ELF64_ST_TYPE(symbol->st_info) == STT_NOTYPE ? 0 : 8);
}

/* Mapping symbols of arm64 ("$x", "$d.3") and empty names are no functions. */
static bool is_function_name(const char *name)
{
	return name[0] && !(name[0] == '$' && (name[1] == 'x' || name[1] == 'd'));
}

static int add_symbol(struct builder *b, const Elf64_Sym *symbol, const struct elf_data *strings)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);
	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return 0;
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_shndx >= SHN_LORESERVE ||
	    symbol->st_name >= strings->size || !is_code_address(b->elf, symbol->st_value))
		return 0;
	const char *name = (const char *)strings->bytes + symbol->st_name;
	size_t length = strnlen(name, strings->size - symbol->st_name);
	if (length == strings->size - symbol->st_name || !is_function_name(name))
		return 0;
	struct candidate candidate = {
		.address = symbol->st_value, .size = symbol->st_size, .rank = rank_of(symbol)};
	if (b->candidates.count >= MAX_SYMBOLS)
		return -E2BIG;
	int r = strings_add(&b->names, name, length, &candidate.name);
	return r < 0 ? r : array_add(&b->candidates, candidate);
}

/* All function symbols of one symbol table. A damaged table gives what can be read of it. */
static int add_table(struct builder *b, const struct elf_file *elf, uint32_t type)
{
	Elf64_Shdr table, names;
	_cleanup_elf_data_ struct elf_data symbols = {0}, strings = {0};
	if (!elf_file_find_section_type(elf, type, &table, NULL) ||
	    !elf_file_section(elf, table.sh_link, &names) ||
	    elf_file_section_data(elf, &table, TABLE_LIMIT, &symbols) < 0 ||
	    elf_file_section_data(elf, &names, TABLE_LIMIT, &strings) < 0)
		return 0;
	for (size_t at = 0; at + sizeof(Elf64_Sym) <= symbols.size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;
		memcpy(&symbol, symbols.bytes + at, sizeof(symbol));
		int r = add_symbol(b, &symbol, &strings);
		if (r < 0)
			return r;
	}
	return 0;
}

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
static int add_minidebuginfo(struct builder *b)
{
	_cleanup_elf_data_ struct elf_data packed = {0};
	struct elf_file inner;
	size_t size;
	if (elf_file_data(b->elf, ".gnu_debugdata", TABLE_LIMIT, &packed) < 0)
		return 0;
	_cleanup_free_ unsigned char *bytes = expand_xz(packed.bytes, packed.size, &size);
	if (!bytes || elf_file_open(bytes, size, &inner) < 0)
		return 0;
	return add_table(b, &inner, SHT_SYMTAB);
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

/* Keeps the best symbol of each address, in place. */
static void keep_best(struct builder *b)
{
	size_t kept = 0;
	struct candidate *items = b->candidates.items;
	qsort(items, b->candidates.count, sizeof(*items), compare_candidates);
	for (size_t i = 0; i < b->candidates.count; i++)
		if (kept == 0 || items[kept - 1].address != items[i].address)
			items[kept++] = items[i];
	b->candidates.count = kept;
}

static int write_artifact(struct builder *b, struct text *artifact)
{
	struct text records = {0};
	for (size_t i = 0; i < b->candidates.count; i++) {
		const struct candidate *c = &b->candidates.items[i];
		struct symbol_record record = {
			.address = c->address,
			.size = (uint32_t)MIN_OF(c->size, UINT32_MAX),
			.name = b->names.offsets[c->name],
		};
		text_add_bytes(&records, &record, sizeof(record));
	}
	artifact_begin(artifact, ARTIFACT_SYMBOLS);
	artifact_add_section(artifact, SECTION_SYMBOLS, records.bytes, records.length);
	artifact_add_section(artifact, SECTION_SYMBOL_NAMES, b->names.bytes, b->names.bytes_used);
	int r = records.failed ? -ENOMEM : artifact_finish(artifact);
	text_free(&records);
	return r;
}

int symbol_build(const struct elf_file *elf, const struct elf_file *debug, struct text *artifact)
{
	struct builder b = {.elf = elf};
	int r = add_table(&b, elf, SHT_SYMTAB);
	if (r == 0)
		r = add_table(&b, elf, SHT_DYNSYM);
	if (r == 0)
		r = add_minidebuginfo(&b);
	if (r == 0 && debug)
		r = add_table(&b, debug, SHT_SYMTAB);
	if (r == 0 && b.candidates.count == 0)
		r = -ENODATA;
	if (r == 0) {
		keep_best(&b);
		r = write_artifact(&b, artifact);
	}
	array_free(&b.candidates);
	strings_free(&b.names);
	return r;
}
