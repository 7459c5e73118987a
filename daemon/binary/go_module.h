/* SPDX-License-Identifier: Apache-2.0 */
/* Private to go_table.c: what the linker tells the Go runtime in runtime.firstmoduledata. */
#pragma once

#include "binary/elf_file.h"

#define GO_MODULE_WORDS 41

/* The words of a moduledata with relocations applied. */
struct go_module {
	uint64_t words[GO_MODULE_WORDS];
};

/* Positions in it, the same from Go 1.18 on unless the name says otherwise (runtime/symtab.go). */
enum go_module_word {
	GO_MODULE_TABLE = 0, /* pcHeader */
	GO_MODULE_FUNCTIONS = 16,
	GO_MODULE_FUNCTION_COUNT = 17, /* with the entry that ends the list */
	GO_MODULE_FIRST_ADDRESS = 20,
	GO_MODULE_TEXT = 22,
	GO_MODULE_INLINE_TREES_1_18 = 38,
	GO_MODULE_INLINE_TREES_1_20 = 40,
};

/* Finds the moduledata of the table at `table_address` with `function_count` functions. */
bool go_module_find(const struct elf_file *elf, uint64_t table_address, uint64_t function_count,
		    struct go_module *ret);
