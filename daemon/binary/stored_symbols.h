/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols in an entry of the cache, sorted by address, read where they lie: the pages belong to the disk's cache, and
 * only the first address of every 64 symbols is held. A look-up reads some 80 symbols and a name.
 *
 * What is read is foreign bytes: the entry was checked when it was opened and may have changed since.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"

/* One symbol; what the numbers mean is for those to say who stored it. */
struct stored_symbol {
	uint64_t address;
	uint32_t numbers[2];
};

#define STORED_SYMBOLS_BLOCK 64
/* So many symbols before those of the address are read with them, for functions inside functions. */
#define STORED_SYMBOLS_BEFORE 16
#define STORED_SYMBOLS_WINDOW (STORED_SYMBOLS_BEFORE + STORED_SYMBOLS_BLOCK + 1)

struct stored_symbols;

/* Takes over the artifact's descriptor, also on failure. `symbols` and `names` are its sections. Returns 0, -EBADMSG
 * or another -errno. */
int stored_symbols_open(const struct artifact_file *artifact, enum artifact_section_kind symbols,
			enum artifact_section_kind names, struct stored_symbols **ret);
struct stored_symbols *stored_symbols_free(struct stored_symbols *symbols); /* accepts NULL */

/* Reads the last symbol at or before the address, those before it, and at least one behind it if there is one.
 * Returns how many; 0: none is at or before the address, or they cannot be read. */
size_t stored_symbols_read(const struct stored_symbols *symbols, uint64_t address,
			   struct stored_symbol window[static STORED_SYMBOLS_WINDOW]);

/* The name at an offset among the names, valid until the next call; NULL: there is none. */
const char *stored_symbols_name(struct stored_symbols *symbols, uint32_t offset);

/* Is the entry still as long as it was? An error of reading is another matter. */
bool stored_symbols_are_whole(const struct stored_symbols *symbols);

/* What is held in memory, bytes. */
size_t stored_symbols_size(const struct stored_symbols *symbols);
