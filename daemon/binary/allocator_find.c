/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to probes. Every function with an allocator's name is a candidate; then those that belong to no allocator,
 * other names of the same function and mere wrappers are dropped.
 */
#include "binary/allocator_find_state.h"

#include "binary/symbol_table.h"

#include <errno.h>
#include <string.h>

#define LONGEST_NAME (sizeof(GPERFTOOLS_SAMPLER_SYMBOL) - 1) /* most C++ names are longer */

static const struct {
	const char *name;
	enum evidence evidence;
} marks[] = {
	{"mallctl", HAS_MALLCTL},	      {"gnu_get_libc_version", HAS_GLIBC},
	{"_int_malloc", HAS_GLIBC},	      {"__libc_malloc_impl", HAS_MUSL},
	{"__malloc_donate", HAS_MUSL},	      {"__libc_start_main", HAS_LIBC_START},
	{"_rtld_global", HAS_LOADER},
};

static void take_mark(struct finder *finder, const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_LENGTH(marks); i++)
		if (strlen(marks[i].name) == length && !memcmp(marks[i].name, name, length))
			finder->evidence |= marks[i].evidence;
}

static void take_symbol(struct finder *finder, const struct symbol_table *table, size_t i)
{
	Elf64_Sym symbol = symbol_table_get(table, i);
	unsigned int type = ELF64_ST_TYPE(symbol.st_info);
	if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS || type == STT_FILE ||
	    type == STT_SECTION)
		return;
	const char *name = NULL;
	size_t length = symbol_table_name(table, &symbol, &name);
	if (length == 0 || length > LONGEST_NAME)
		return;
	take_mark(finder, name, length);
	if (type == STT_FUNC && length == strlen(GPERFTOOLS_SAMPLER_SYMBOL) &&
	    !memcmp(name, GPERFTOOLS_SAMPLER_SYMBOL, length))
		allocator_sampler_of_gperftools(finder->elf, symbol.st_value, symbol.st_size,
						&finder->gperftools);
	struct candidate candidate = {.address = symbol.st_value, .size = symbol.st_size};
	candidate.name = allocator_name_find(name, length, &candidate.spelling);
	if (!candidate.name || (type != STT_FUNC && type != STT_NOTYPE) || finder->error < 0)
		return;
	finder->error = strings_add(&finder->names, name, length, &candidate.text);
	if (finder->error == 0)
		finder->error = array_add(&finder->candidates, candidate);
}

static void take_symbols(struct finder *finder, uint32_t section_type)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	if (symbol_table_open(finder->elf, section_type, &table) < 0)
		return;
	for (size_t i = 0; i < table.count; i++)
		take_symbol(finder, &table, i);
}

static int find(struct finder *finder, struct allocator_sections *ret)
{
	take_symbols(finder, SHT_SYMTAB);
	take_symbols(finder, SHT_DYNSYM);
	if (finder->error < 0)
		return finder->error;
	finder_keep_owned(finder);
	finder->is_go = allocator_sampler_find_go(finder->elf, &finder->go);
	if (finder->evidence & HAS_LOADER)
		finder->candidates.count = 0;
	if (finder->candidates.count == 0 && !finder->is_go)
		return -ENODATA;
	int r = finder_collect_targets(finder);
	if (r == 0)
		r = finder_drop_idle_sampler(finder);
	if (r < 0)
		return r;
	finder_drop_aliases(finder);
	finder_drop_wrappers(finder);
	r = finder_write(finder, ret);
	if (r < 0)
		return r;
	return ret->facts.failed || ret->probes.failed || ret->names.failed ? -ENOMEM : 0;
}

int allocator_find(const struct elf_file *elf, struct allocator_sections *ret)
{
	struct finder finder = {.elf = elf};
	int r = elf_file_is_32_bit(elf) ? -ENODATA : find(&finder, ret);
	array_free(&finder.candidates);
	strings_free(&finder.names);
	hash_free(&finder.targets);
	return r;
}
