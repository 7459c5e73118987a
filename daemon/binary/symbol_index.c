/* SPDX-License-Identifier: Apache-2.0 */
/* Binary search over symbols in the artifact; names are checked when they are used. */
#include "binary/symbol_index.h"

#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>

/* Functions inside one function that a look-up passes on its way to the outer one. */
#define MAX_NESTED 16

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
	index.debug = artifact_section(artifact, SECTION_SYMBOL_DEBUG, &size);
	if (size != sizeof(*index.debug) || index.debug->supplementary_id_size > BUILD_ID_MAX ||
	    !memchr(index.debug->supplementary_path, '\0',
		    sizeof(index.debug->supplementary_path)))
		return -EBADMSG;
	*ret = index;
	return 0;
}

/* The nearest function at or before `at` that reaches the address: one that ended before it may be a
 * part of a larger one (a local entry point). */
static const struct symbol_record *innermost(const struct symbol_record *symbols, size_t at,
					     uint64_t address)
{
	for (size_t steps = 0; steps < MAX_NESTED; steps++, at--) {
		if (!symbols[at].size)
			return steps ? NULL : &symbols[at];
		if (address - symbols[at].address < symbols[at].size)
			return &symbols[at];
		if (at == 0)
			return NULL;
	}
	return NULL;
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
	const struct symbol_record *found = innermost(symbols, low - 1, address);
	if (!found || found->name >= index->names_size)
		return false;
	*ret = (struct symbol){.name = index->names + found->name,
			       .address = found->address,
			       .size = found->size};
	return true;
}
