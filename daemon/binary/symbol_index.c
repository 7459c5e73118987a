/* SPDX-License-Identifier: Apache-2.0 */
/* Binary search over symbols in the artifact; names are checked when they are used. */
#include "binary/symbol_index.h"

#include "base/file.h"
#include "binary/artifact_cache.h"
#include "binary/stored_symbols.h"
#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>

/* Functions inside one function that a look-up passes on its way to the outer one. */
#define MAX_NESTED 16
_Static_assert(MAX_NESTED <= STORED_SYMBOLS_BEFORE, "they are read too");
_Static_assert(sizeof(struct symbol_record) == sizeof(struct stored_symbol), "they are stored as they are");

static bool debug_is_valid(const struct symbol_debug *debug)
{
	return debug->supplementary_id_size <= BUILD_ID_MAX &&
	       memchr(debug->supplementary_path, '\0', sizeof(debug->supplementary_path));
}

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
	if (size != sizeof(*index.debug) || !debug_is_valid(index.debug))
		return -EBADMSG;
	*ret = index;
	return 0;
}

static int read_debug(const struct artifact_file *artifact, struct symbol_debug **ret)
{
	const struct artifact_section *section = artifact_file_section(artifact, SECTION_SYMBOL_DEBUG);
	_cleanup_free_ struct symbol_debug *debug = malloc(sizeof(*debug));
	if (!debug)
		return -ENOMEM;
	if (!section || section->size != sizeof(*debug) ||
	    read_exactly_at(artifact->file, debug, sizeof(*debug), section->offset) < 0 || !debug_is_valid(debug))
		return -EBADMSG;
	*ret = take_pointer(debug);
	return 0;
}

int symbol_index_open_file(const struct artifact_file *artifact, struct symbol_index *ret)
{
	struct symbol_index index = {.symbols = NULL};
	int r = read_debug(artifact, &index.own_debug);
	if (r < 0) {
		close_fd(artifact->file);
		return r;
	}
	index.debug = index.own_debug;
	r = stored_symbols_open(artifact, SECTION_SYMBOLS, SECTION_SYMBOL_NAMES, &index.stored);
	if (r < 0)
		symbol_index_close(&index);
	else
		*ret = index;
	return r;
}

int symbol_index_open_cached(const struct artifact_cache *cache, const struct artifact_key *key, struct symbol_index *ret)
{
	struct artifact_file file;
	int r = artifact_cache_reopen_artifact(cache, key, ARTIFACT_SYMBOLS, &file);
	return r < 0 ? r : symbol_index_open_file(&file, ret);
}

void symbol_index_close(struct symbol_index *index)
{
	stored_symbols_free(index->stored);
	free(index->own_debug);
	*index = (struct symbol_index){.symbols = NULL};
}

bool symbol_index_is_whole(const struct symbol_index *index)
{
	return !index->stored || stored_symbols_are_whole(index->stored);
}

size_t symbol_index_size(const struct symbol_index *index)
{
	return index->artifact.size + (index->own_debug ? sizeof(*index->own_debug) : 0) +
	       (index->stored ? stored_symbols_size(index->stored) : 0);
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

static const char *name_at(const struct symbol_index *index, uint32_t offset)
{
	if (index->stored)
		return stored_symbols_name(index->stored, offset);
	return offset < index->names_size ? index->names + offset : NULL;
}

/* Until the next symbol begins, and not past its own end. */
static uint32_t span_of(const struct symbol_record *symbol, const struct symbol_record *next)
{
	uint64_t span = symbol->size;
	if (next && (!span || next->address - symbol->address < span))
		span = next->address - symbol->address;
	return (uint32_t)MIN_OF(span, (uint64_t)UINT32_MAX);
}

bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol *ret)
{
	struct stored_symbol window[STORED_SYMBOLS_WINDOW];
	const struct symbol_record *symbols = index->symbols;
	size_t low = 0, count = index->symbol_count; /* first symbol above the address */
	if (index->stored) {
		symbols = (const struct symbol_record *)window;
		count = stored_symbols_read(index->stored, address, window);
	}
	size_t high = count;
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
	const char *name = found ? name_at(index, found->name) : NULL;
	if (!name)
		return false;
	*ret = (struct symbol){.name = name, .address = found->address, .size = found->size};
	if (found == &symbols[low - 1])
		ret->span = span_of(found, low < count ? &symbols[low] : NULL);
	return true;
}
