/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is a header with the offsets of its parts: names, compilation units (indices of files),
 * file names, value tables, and functions; go_calls.c reads what belongs to a function.
 *
 * Function offsets count from runtime.text. Where that lies the header told until Go 1.25, and only in
 * programs with fixed addresses; the moduledata tells it always.
 */
#include "binary/go_table.h"

#include "binary/go_module.h"
#include "binary/go_parts.h"

#include <errno.h>

#define MAGIC_1_16 0xfffffffaU
#define MAGIC_1_18 0xfffffff0U
#define MAGIC_1_20 0xfffffff1U

struct header {
	uint32_t magic;
	uint8_t padding[2];
	uint8_t quantum;
	uint8_t pointer_size;
	uint64_t function_count, file_count;
	uint64_t text; /* 0 since Go 1.26, and before relocation */
	uint64_t names, units, files, values, functions;
};

static int read_header(const unsigned char *bytes, size_t size, struct go_table *ret)
{
	struct header h;
	if (size < sizeof(h))
		return -EBADMSG;
	memcpy(&h, bytes, sizeof(h));
	if (h.magic == MAGIC_1_16)
		return -ENOTSUP;
	if ((h.magic != MAGIC_1_18 && h.magic != MAGIC_1_20) || h.padding[0] || h.padding[1] ||
	    (h.quantum != 1 && h.quantum != 4) || h.pointer_size != 8)
		return -EBADMSG;
	if (h.names > size || h.units > size || h.files > size || h.values > size ||
	    h.functions > size || h.function_count > (size - h.functions) / 8)
		return -EBADMSG;
	*ret = (struct go_table){
		.bytes = bytes,
		.size = size,
		.is_go_1_18 = h.magic == MAGIC_1_18,
		.quantum = h.quantum,
		.function_count = (uint32_t)h.function_count,
		.text = h.text,
		.names = h.names,
		.units = h.units,
		.files = h.files,
		.values = h.values,
		.functions = h.functions,
	};
	return 0;
}

/* ---- Finding it ------------------------------------------------------------------------------ */

static int open_section(const struct elf_file *elf, const char *name, uint64_t *ret_address,
			struct go_table *ret)
{
	Elf64_Shdr section;
	if (!elf_file_find_section(elf, name, &section, NULL))
		return -ENODATA;
	const void *bytes = elf_file_range(elf, section.sh_offset, section.sh_size);
	*ret_address = section.sh_addr;
	return bytes ? read_header(bytes, section.sh_size, ret) : -EBADMSG;
}

/* A foreign linker may have merged the section into another: look for its header. */
static int search_table(const struct elf_file *elf, uint64_t *ret_address, struct go_table *ret)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		size_t size;
		const unsigned char *bytes =
			segment.p_type == PT_LOAD && !(segment.p_flags & PF_X)
				? elf_file_at_address(elf, segment.p_vaddr, &size)
				: NULL;
		for (size_t at = -segment.p_vaddr & 7; bytes && at + 8 <= size; at += 8) {
			*ret_address = segment.p_vaddr + at;
			if (bytes[at + 1] == 0xff && bytes[at + 2] == 0xff &&
			    read_header(bytes + at, size - at, ret) == 0 && ret->function_count)
				return 0;
		}
	}
	return -ENODATA;
}

static bool made_by_go(const struct elf_file *elf)
{
	Elf64_Shdr section;
	size_t size;
	return elf_file_find_section(elf, ".go.buildinfo", &section, NULL) ||
	       elf_file_find_note(elf, "Go", 4, &size);
}

static int find_table(const struct elf_file *elf, uint64_t *ret_address, struct go_table *ret)
{
	int r = open_section(elf, ".gopclntab", ret_address, ret);
	if (r == -ENODATA)
		r = open_section(elf, ".data.rel.ro.gopclntab", ret_address, ret);
	if (r == -ENODATA && made_by_go(elf))
		r = search_table(elf, ret_address, ret);
	return r;
}

static void use_module(const struct elf_file *elf, const struct go_module *module,
		       struct go_table *table)
{
	table->text = module->words[GO_MODULE_TEXT];
	uint64_t trees = module->words[table->is_go_1_18 ? GO_MODULE_INLINE_TREES_1_18
							 : GO_MODULE_INLINE_TREES_1_20];
	table->inline_trees = elf_file_at_address(elf, trees, &table->inline_trees_size);
}

int go_table_open(const struct elf_file *elf, struct go_table *ret)
{
	uint64_t address;
	struct go_module module;
	Elf64_Shdr text;
	int r = find_table(elf, &address, ret);
	if (r < 0)
		return r;
	if (go_module_find(elf, address, ret->function_count, &module))
		use_module(elf, &module, ret);
	else if (!ret->text && elf_file_find_section(elf, ".text", &text, NULL))
		ret->text = text.sh_addr;
	return ret->text ? 0 : -EBADMSG;
}

/* ---- Functions ------------------------------------------------------------------------------- */

bool go_table_function(const struct go_table *table, uint32_t i, struct go_function *ret)
{
	if (i >= table->function_count)
		return false;
	uint32_t start = go_number(table, table->functions, 8ULL * i);
	uint32_t record = go_number(table, table->functions, 8ULL * i + 4);
	uint32_t end = go_number(table, table->functions, 8ULL * i + 8);
	*ret = (struct go_function){.address = table->text + start,
				    .end = table->text + end,
				    .record = table->functions + record};
	return record != GO_NOTHING && end != GO_NOTHING && end > start;
}

bool go_table_find(const struct go_table *table, uint64_t address, struct go_function *ret)
{
	uint64_t wanted = address - table->text;
	uint32_t low = 0, high = table->function_count; /* first function above the address */
	if (address < table->text || wanted >= GO_NOTHING)
		return false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (go_number(table, table->functions, 8ULL * middle) <= wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && go_table_function(table, low - 1, ret) && address < ret->end;
}

const char *go_function_name(const struct go_table *table, const struct go_function *function)
{
	return go_text(table, table->names, go_number(table, function->record, RECORD_NAME));
}
