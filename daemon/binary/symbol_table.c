/* SPDX-License-Identifier: Apache-2.0 */
/* Function symbols from ELF symbol tables (System V generic ABI, "Symbol Table"). */
#include "binary/symbol_table.h"

#include "binary/symbol_layout.h"
#include "binary/symbol_list.h"

#include <errno.h>
#include <string.h>

#define SYMBOL_TABLE_LIMIT (1ULL << 30)

void symbol_table_free(struct symbol_table *table)
{
	elf_data_free(&table->symbols);
	elf_data_free(&table->names);
}

int symbol_table_open(const struct elf_file *elf, uint32_t type, struct symbol_table *ret)
{
	Elf64_Shdr section, names;
	if (!elf_file_find_section_type(elf, type, &section, NULL) ||
	    !elf_file_section(elf, section.sh_link, &names))
		return -ENODATA;
	int r = elf_file_section_data(elf, &section, SYMBOL_TABLE_LIMIT, &ret->symbols);
	if (r == 0)
		r = elf_file_section_data(elf, &names, SYMBOL_TABLE_LIMIT, &ret->names);
	ret->is_32_bit = elf_file_is_32_bit(elf);
	ret->count = ret->symbols.size / (ret->is_32_bit ? sizeof(Elf32_Sym) : sizeof(Elf64_Sym));
	return r;
}

static Elf64_Sym widened(const struct symbol_table *table, size_t i)
{
	Elf32_Sym symbol;
	memcpy(&symbol, table->symbols.bytes + i * sizeof(symbol), sizeof(symbol));
	return (Elf64_Sym){
		.st_name = symbol.st_name,
		.st_info = symbol.st_info,
		.st_other = symbol.st_other,
		.st_shndx = symbol.st_shndx,
		.st_value = symbol.st_value,
		.st_size = symbol.st_size,
	};
}

Elf64_Sym symbol_table_get(const struct symbol_table *table, size_t i)
{
	Elf64_Sym symbol;
	if (table->is_32_bit)
		return widened(table, i);
	memcpy(&symbol, table->symbols.bytes + i * sizeof(symbol), sizeof(symbol));
	return symbol;
}

size_t symbol_table_name(const struct symbol_table *table, const Elf64_Sym *symbol,
			 const char **ret)
{
	if (symbol->st_name >= table->names.size)
		return 0;
	*ret = (const char *)table->names.bytes + symbol->st_name;
	size_t length = strnlen(*ret, MIN_OF(table->names.size - symbol->st_name, (uint64_t)SYMBOL_MAX_NAME));
	if (length == SYMBOL_MAX_NAME)
		return 0;
	const char *version = memchr(*ret, '@', length);
	return version && version != *ret ? (size_t)(version - *ret) : length;
}

/* "$x", "$d.3": the assembler's marks of code and data on Arm. ".L12": its local labels. */
static bool is_mark(const char *name, size_t length)
{
	if (length >= 2 && name[0] == '$' && strchr("adtx", name[1]))
		return length == 2 || name[2] == '.';
	return length >= 2 && name[0] == '.' && name[1] == 'L';
}

static void add_symbol(struct symbol_list *list, const struct symbol_table *table, size_t i)
{
	Elf64_Sym symbol = symbol_table_get(table, i);
	unsigned int type = ELF64_ST_TYPE(symbol.st_info);
	if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
	    symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS)
		return;
	const char *name = NULL;
	size_t length = symbol_table_name(table, &symbol, &name);
	if (length == 0 || is_mark(name, length))
		return;
	enum symbol_rank rank = SYMBOL_RANK_UNTYPED;
	if (type != STT_NOTYPE) {
		unsigned int binding = ELF64_ST_BIND(symbol.st_info);
		rank = binding == STB_LOCAL  ? SYMBOL_RANK_LOCAL
		       : binding == STB_WEAK ? SYMBOL_RANK_WEAK
					     : SYMBOL_RANK_GLOBAL;
	}
	symbol_list_add(list, name, length, symbol.st_value, symbol.st_size, rank);
}

void symbol_table_add(struct symbol_list *list, const struct elf_file *elf, uint32_t section_type)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	if (symbol_table_open(elf, section_type, &table) < 0)
		return;
	for (size_t i = 0; i < table.count; i++)
		add_symbol(list, &table, i);
}
