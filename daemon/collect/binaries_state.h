/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the binaries, for the files binaries*.c alone: binaries.c (the list, and the entries on the BPF side),
 * binaries_open.c (how a file becomes known), binaries_tables.c (what the parser says of it), binaries_twins.c (one file
 * under two devices) and binaries_eviction.c.
 */
#pragma once

#include "collect/binaries.h"

/* ---- binaries.c */

/* Keys of the tables of the same names. */
uint64_t binaries_inode_hash(uint32_t device, uint64_t inode);
uint64_t binary_inode_hash(const struct binary_key *key);
uint64_t binary_content_hash(const struct binary_key *key);

/* Makes the object and files it under its slot and inode; `path` is copied, and may be NULL. NULL when out of memory. */
struct binary *binaries_add(struct binaries *binaries, const struct binary_key *key, uint32_t slot,
			    const char *path);

/* Of one that is in no list and no table any more. */
void binary_free(struct binary *binary);

/* Descriptor of the BPF side's map, which stays the programs'. */
int binaries_entries_map(const struct binaries *binaries);

/* Makes *entry, with the slot filled in, the BPF side's word on this binary. A map without room is no error: then the
 * BPF side will tell of the file. */
void binary_publish(struct binary *binary, struct binary_entry *entry);

/* ---- binaries_tables.c */

/* Asks for the table; without one, frame pointers have to do. */
void binary_request_table(struct binary *binary, enum parser_priority priority);

/* ---- binaries_twins.c */

/* The binary that is this file under another device, or NULL. */
struct binary *binaries_find_twin(const struct binaries *binaries, const struct binary_key *key);

/* From now on binaries_find_file() finds the slot's binary by this identity too. */
void binaries_remember_alias(struct binaries *binaries, uint64_t identity, uint32_t slot);

/* A file that was mapped has met its first sample: now the BPF side's key and slot are known, and nothing can
 * have referred to the others. Returns false when it has to be a binary beside it. */
bool binary_adopt(struct binary *twin, const struct record_new_binary *notice);
