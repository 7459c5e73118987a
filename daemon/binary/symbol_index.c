/* SPDX-License-Identifier: Apache-2.0 */
/* Binary search over symbols in the artifact; names are checked when they are used. */
#include "binary/symbol_index.h"

#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>

int symbol_index_open(const struct artifact *artifact, struct symbol_index *ret)
{
	size_t size;
	struct symbol_index index = {.artifact = *artifact};
	index.symbols = artifact_section(artifact, SECTION_SYMBOLS, &size);
	index.names = artifact_section(artifact, SECTION_SYMBOL_NAMES, &index.names_size);
	if (!index.symbols || size % sizeof(struct symbol_record) || !index.names_size ||
	    index.names[index.names_size - 1] != '\0')
		return -EBADMSG;
	index.symbol_count = size / sizeof(struct symbol_record);
	index.go_functions = artifact_section(artifact, SECTION_GO_FUNCTIONS,
					      &index.go_functions_size);
	index.go_lines = artifact_section(artifact, SECTION_GO_LINES, &index.go_lines_size);
	*ret = index;
	return 0;
}

bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol *ret)
{
	const struct symbol_record *symbols = index->symbols;
	size_t low = 0, high = index->symbol_count; /* first symbol above the address */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (symbols[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	const struct symbol_record *found = &symbols[low - 1];
	if ((found->size && address - found->address >= found->size) ||
	    found->name >= index->names_size)
		return false;
	*ret = (struct symbol){.name = index->names + found->name,
			       .address = found->address,
			       .size = found->size};
	return true;
}
