/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the builder: a symbol table with its names, both inside their sections. */
#pragma once

#include "binary/elf_file.h"

struct symbol_table {
	struct elf_data symbols, names;
	size_t count;
	bool is_32_bit;
};

/* Opens the first section of that type (SHT_SYMTAB, SHT_DYNSYM). Returns 0 or -errno; free it in any
 * case. */
int symbol_table_open(const struct elf_file *elf, uint32_t type, struct symbol_table *ret);
void symbol_table_free(struct symbol_table *table);

/* `i` is less than the count. */
Elf64_Sym symbol_table_get(const struct symbol_table *table, size_t i);

/* Length of the name without its version ("memcpy@@GLIBC_2.14"); 0 when there is none. */
size_t symbol_table_name(const struct symbol_table *table, const Elf64_Sym *symbol,
			 const char **ret);
