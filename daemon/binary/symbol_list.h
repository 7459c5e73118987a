/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The symbols of one binary while its index is built: collected from several sources in any order,
 * then sorted, and of those at one address the best is kept. Private to the builder.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "base/text.h"
#include "binary/elf_file.h"

#define SYMBOL_MAX_COUNT (16UL << 20)
#define SYMBOL_MAX_TEXT_RANGES 64

/* The higher wins at one address. */
enum symbol_rank {
	SYMBOL_RANK_PLT,
	SYMBOL_RANK_UNTYPED, /* STT_NOTYPE */
	SYMBOL_RANK_LOCAL,
	SYMBOL_RANK_WEAK,
	SYMBOL_RANK_GLOBAL,
	SYMBOL_RANK_GO, /* the runtime's own table: the same names in stripped programs */
};

struct listed_symbol {
	uint64_t address, size;
	uint32_t name; /* index into the names */
	uint32_t rank; /* enum symbol_rank */
};

/* Executable bytes [low, high); a symbol without a size does not reach past it. */
struct text_range {
	uint64_t low, high;
};

struct symbol_list {
	ARRAY(struct listed_symbol) symbols;
	struct strings names;
	struct text_range ranges[SYMBOL_MAX_TEXT_RANGES];
	size_t range_count;
	int error; /* the first one: -ENOMEM or -E2BIG; kept until symbol_list_finish() */
};

/* Takes the executable ranges from the section headers, or without them the program headers. */
void symbol_list_init(struct symbol_list *list, const struct elf_file *elf);
void symbol_list_free(struct symbol_list *list);

/* Adds a symbol if it lies in executable bytes. */
void symbol_list_add(struct symbol_list *list, const char *name, size_t length, uint64_t address,
		     uint64_t size, enum symbol_rank rank);

/* Sorts, drops aliases and labels inside functions, and appends the records to `records` (struct
 * symbol_record, as bytes). Returns 0, -ENODATA when there is none, -E2BIG or -ENOMEM. */
int symbol_list_finish(struct symbol_list *list, struct text *records);

/* The sources. Each takes what it can read; damaged parts are left out. */

/* The named functions of a symbol table section (SHT_SYMTAB or SHT_DYNSYM). */
void symbol_table_add(struct symbol_list *list, const struct elf_file *elf, uint32_t section_type);

/* `name@plt` for stubs that jump through a relocated slot. */
void symbol_plt_add(struct symbol_list *list, const struct elf_file *elf);

/* The functions of Go's table, if a Go toolchain made the file. */
void symbol_go_add(struct symbol_list *list, const struct elf_file *elf);
