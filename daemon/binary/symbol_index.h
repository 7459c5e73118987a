/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function names by address, read from an ARTIFACT_SYMBOLS: addresses sorted ascending in one array,
 * names in another; found by binary search without building anything, in memory or where the cache has them.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"

struct artifact_cache;
struct artifact_key;
struct stored_symbols;
struct symbol_debug;

/* A view of a checked artifact in memory, whose bytes are to be kept alive as long as it; or of one in a file. */
struct symbol_index {
	struct artifact artifact;
	const void *symbols;
	size_t symbol_count;
	const char *names;
	size_t names_size;
	const struct symbol_debug *debug;
	struct stored_symbols *stored;	/* owned; in a file, and only `debug` of the above is there */
	struct symbol_debug *own_debug; /* owned; what `debug` is then */
};

/* Returns 0 or -EBADMSG. */
int symbol_index_open(const struct artifact *artifact, struct symbol_index *ret);

/* Takes over the artifact's descriptor, also on failure. Returns 0 or -errno; to be closed. */
int symbol_index_open_file(const struct artifact_file *artifact, struct symbol_index *ret);

/* The same of an entry that was just read from the cache or written. Reads the disk. Returns 0 or -errno; to be closed. */
int symbol_index_open_cached(const struct artifact_cache *cache, const struct artifact_key *key, struct symbol_index *ret);

/* Gives back what it owns; of an artifact in memory that is nothing. */
void symbol_index_close(struct symbol_index *index);

/* Of one in a file: is that still as long as it was? */
bool symbol_index_is_whole(const struct symbol_index *index);

/* What it holds in memory, the artifact's bytes included, bytes. */
size_t symbol_index_size(const struct symbol_index *index);

/* One function a frame stands for. The name is valid as long as the artifact's bytes, of one in a file until the next
 * is found. */
struct symbol {
	const char *name;     /* as in the file: mangled */
	uint64_t address;     /* start of the function */
	uint64_t size;	      /* 0: unknown */
	uint32_t span;	      /* from its start on, so far each address is in it and in no other; 0: not known */
};

/* The function that contains an ELF virtual address. Symbols without a size match only up to the
 * next symbol. Returns false when there is none. */
bool symbol_index_find(const struct symbol_index *index, uint64_t address, struct symbol *ret);
