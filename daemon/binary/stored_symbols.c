/* SPDX-License-Identifier: Apache-2.0 */
/* See stored_symbols.h. The first addresses of the blocks are read once, when it is opened. */
#include "binary/stored_symbols.h"

#include "base/file.h"
#include "binary/symbol_layout.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCKS_AT_ONCE 32
#define FIRST_NAME_BYTES 128UL

struct stored_symbols {
	int file;
	uint64_t symbols_offset, names_offset; /* in the file */
	uint64_t names_size;
	size_t count;
	uint64_t *firsts; /* address of the first symbol of each block */
	char *name;	  /* the last one asked for; NULL: none yet */
	size_t name_capacity;
};

static size_t block_count(const struct stored_symbols *s)
{
	return (s->count + STORED_SYMBOLS_BLOCK - 1) / STORED_SYMBOLS_BLOCK;
}

static int read_symbols(const struct stored_symbols *s, size_t first, size_t count, struct stored_symbol *ret)
{
	return read_exactly_at(s->file, ret, count * sizeof(*ret),
			       s->symbols_offset + first * sizeof(*ret));
}

static int read_firsts(struct stored_symbols *s)
{
	size_t step = (size_t)BLOCKS_AT_ONCE * STORED_SYMBOLS_BLOCK;
	_cleanup_free_ struct stored_symbol *some = malloc(step * sizeof(*some));
	s->firsts = malloc(MAX_OF(block_count(s), (size_t)1) * sizeof(*s->firsts));
	int r = some && s->firsts ? 0 : -ENOMEM;
	for (size_t from = 0; r == 0 && from < s->count; from += step) {
		size_t count = MIN_OF(step, s->count - from);
		r = read_symbols(s, from, count, some);
		for (size_t i = 0; r == 0 && i < count; i += STORED_SYMBOLS_BLOCK)
			s->firsts[(from + i) / STORED_SYMBOLS_BLOCK] = some[i].address;
	}
	return r;
}

int stored_symbols_open(const struct artifact_file *artifact, enum artifact_section_kind symbols,
			enum artifact_section_kind names, struct stored_symbols **ret)
{
	const struct artifact_section *of_symbols = artifact_file_section(artifact, symbols);
	const struct artifact_section *of_names = artifact_file_section(artifact, names);
	struct stored_symbols *s = calloc(1, sizeof(*s));
	if (!s) {
		close_fd(artifact->file);
		return -ENOMEM;
	}
	s->file = artifact->file;
	int r = of_symbols && of_names && of_symbols->size % sizeof(struct stored_symbol) == 0 ? 0 : -EBADMSG;
	if (r == 0) {
		s->symbols_offset = of_symbols->offset;
		s->count = of_symbols->size / sizeof(struct stored_symbol);
		s->names_offset = of_names->offset;
		s->names_size = of_names->size;
		r = read_firsts(s);
	}
	if (r < 0) {
		stored_symbols_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct stored_symbols *stored_symbols_free(struct stored_symbols *s)
{
	if (!s)
		return NULL;
	close_fd(s->file);
	free(s->firsts);
	free(s->name);
	free(s);
	return NULL;
}

/* How many blocks begin at or before the address. */
static size_t blocks_until(const struct stored_symbols *s, uint64_t address)
{
	size_t low = 0, high = block_count(s);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->firsts[middle] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

size_t stored_symbols_read(const struct stored_symbols *s, uint64_t address,
			   struct stored_symbol window[static STORED_SYMBOLS_WINDOW])
{
	size_t block = blocks_until(s, address);
	if (block == 0)
		return 0;
	size_t from = (block - 1) * STORED_SYMBOLS_BLOCK;
	size_t first = from - MIN_OF(from, (size_t)STORED_SYMBOLS_BEFORE);
	size_t count = MIN_OF(from + STORED_SYMBOLS_BLOCK + 1, s->count) - first;
	return read_symbols(s, first, count, window) == 0 ? count : 0;
}

static bool make_name_room(struct stored_symbols *s, size_t size)
{
	if (size <= s->name_capacity)
		return true;
	char *name = realloc(s->name, size);
	if (!name)
		return false;
	s->name = name;
	s->name_capacity = size;
	return true;
}

const char *stored_symbols_name(struct stored_symbols *s, uint32_t offset)
{
	if (offset >= s->names_size)
		return NULL;
	uint64_t left = s->names_size - offset;
	for (size_t size = FIRST_NAME_BYTES; size <= SYMBOL_MAX_NAME; size *= 2) {
		size_t length = MIN_OF(size, left);
		if (!make_name_room(s, length) ||
		    read_exactly_at(s->file, s->name, length, s->names_offset + offset) < 0)
			return NULL;
		if (memchr(s->name, '\0', length))
			return s->name;
	}
	return NULL;
}

bool stored_symbols_are_whole(const struct stored_symbols *s)
{
	struct stat st;
	uint64_t end = MAX_OF(s->symbols_offset + s->count * sizeof(struct stored_symbol),
			      s->names_offset + s->names_size);
	return fstat(s->file, &st) == 0 && (uint64_t)st.st_size >= end;
}

size_t stored_symbols_size(const struct stored_symbols *s)
{
	return sizeof(*s) + block_count(s) * sizeof(*s->firsts) + s->name_capacity;
}
