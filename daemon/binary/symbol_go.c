/* SPDX-License-Identifier: Apache-2.0 */
/* Function names from Go's own table: the only ones of a stripped Go program. */
#include "binary/go_table.h"
#include "binary/symbol_list.h"

#include <string.h>

void symbol_go_add(struct symbol_list *list, const struct elf_file *elf)
{
	struct go_table table;
	struct go_function function;
	if (go_table_open(elf, &table) < 0)
		return;
	for (uint32_t i = 0; i < table.function_count; i++) {
		if (!go_table_function(&table, i, &function))
			continue;
		const char *name = go_function_name(&table, &function);
		if (name[0])
			symbol_list_add(list, name, strlen(name), function.address,
					function.end - function.address, SYMBOL_RANK_GO);
	}
}
