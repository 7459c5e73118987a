/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A global name is the one people know, and a sized symbol tells where the function ends: these win
 * over aliases at the same address. Labels without a size inside a sized function (assembler labels,
 * loop heads) go, so that they do not cut the function in two.
 */
#include "binary/symbol_list.h"

#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>

static void add_range(struct symbol_list *list, uint64_t low, uint64_t size)
{
	if (size == 0 || low + size < low || list->range_count == SYMBOL_MAX_TEXT_RANGES)
		return;
	list->ranges[list->range_count++] = (struct text_range){low, low + size};
}

void symbol_list_init(struct symbol_list *list, const struct elf_file *elf)
{
	*list = (struct symbol_list){0};
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++)
		if ((section.sh_flags & (SHF_ALLOC | SHF_EXECINSTR)) == (SHF_ALLOC | SHF_EXECINSTR))
			add_range(list, section.sh_addr, section.sh_size);
	if (list->range_count > 0)
		return;
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++)
		if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X))
			add_range(list, segment.p_vaddr, segment.p_memsz);
}

void symbol_list_free(struct symbol_list *list)
{
	array_free(&list->symbols);
	strings_free(&list->names);
}

static const struct text_range *range_of(const struct symbol_list *list, uint64_t address)
{
	for (size_t i = 0; i < list->range_count; i++)
		if (address >= list->ranges[i].low && address < list->ranges[i].high)
			return &list->ranges[i];
	return NULL;
}

void symbol_list_add(struct symbol_list *list, const char *name, size_t length, uint64_t address,
		     uint64_t size, enum symbol_rank rank)
{
	if (list->error < 0 || !range_of(list, address))
		return;
	struct listed_symbol symbol = {.address = address, .size = size, .rank = rank};
	if (list->symbols.count >= SYMBOL_MAX_COUNT)
		list->error = -E2BIG;
	if (list->error == 0)
		list->error = strings_add(&list->names, name, length, &symbol.name);
	if (list->error == 0)
		list->error = array_add(&list->symbols, symbol);
}

/* By address; of those at one address the best first: sized, then rank, then the shorter and smaller
 * name, so that the choice does not depend on the order of the file. */
static int compare(const void *a, const void *b, void *userdata)
{
	const struct listed_symbol *x = a, *y = b;
	const struct strings *names = userdata;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if ((x->size != 0) != (y->size != 0))
		return x->size ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank > y->rank ? -1 : 1;
	size_t x_length = strings_length(names, x->name), y_length = strings_length(names, y->name);
	if (x_length != y_length)
		return x_length < y_length ? -1 : 1;
	return strcmp(strings_get(names, x->name), strings_get(names, y->name));
}

/* Drops aliases and labels inside functions, in place. */
static void keep_best(struct symbol_list *list)
{
	struct listed_symbol *all = list->symbols.items;
	size_t kept = 0;
	uint64_t covered = 0; /* end of the sized functions so far */
	for (size_t i = 0; i < list->symbols.count; i++) {
		if (kept && all[kept - 1].address == all[i].address)
			continue;
		if (all[i].size == 0 && all[i].address < covered)
			continue;
		uint64_t end = all[i].address + all[i].size;
		if (end >= all[i].address)
			covered = MAX_OF(covered, end);
		all[kept++] = all[i];
	}
	list->symbols.count = kept;
}

/* A symbol without a size ends where its section does; 0 leaves the end to the next symbol. */
static uint32_t record_size(const struct symbol_list *list, const struct listed_symbol *symbol,
			    const struct listed_symbol *next)
{
	if (symbol->size)
		return (uint32_t)MIN_OF(symbol->size, (uint64_t)UINT32_MAX);
	const struct text_range *range = range_of(list, symbol->address);
	if (!range || (next && next->address <= range->high))
		return 0;
	return (uint32_t)MIN_OF(range->high - symbol->address, (uint64_t)UINT32_MAX);
}

int symbol_list_finish(struct symbol_list *list, struct text *records)
{
	if (list->error < 0)
		return list->error;
	if (list->symbols.count == 0)
		return -ENODATA;
	struct listed_symbol *all = list->symbols.items;
	qsort_r(all, list->symbols.count, sizeof(*all), compare, &list->names);
	keep_best(list);
	size_t count = list->symbols.count;
	for (size_t i = 0; i < count; i++) {
		struct symbol_record record = {
			.address = all[i].address,
			.size = record_size(list, &all[i], i + 1 < count ? &all[i + 1] : NULL),
			.name = list->names.offsets[all[i].name],
		};
		text_add_bytes(records, &record, sizeof(record));
	}
	return records->failed ? -ENOMEM : 0;
}
