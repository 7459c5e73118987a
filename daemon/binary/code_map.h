/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stretches of code that nobody described, and which of them an address is in.
 *
 * All code is counted through: a byte's position is its place in that count, by which others keep what they know of it
 * in arrays.
 */
#pragma once

#include "base/array.h"

struct code_stretch {
	uint64_t address;
	uint32_t size;
	uint32_t position; /* of its first byte */
	const unsigned char *bytes;
};

/* Zero-initialised but for its limits it is empty. Free with code_map_free(). */
struct code_map {
	ARRAY(struct code_stretch) stretches;
	uint32_t size;		 /* of all code */
	uint32_t max_size;	 /* set by the caller before code_map_add(); below 2 GiB */
	uint32_t least_past_max; /* likewise: smaller stretches are not kept past max_size */
	bool too_much;		 /* past max_size: nothing can be followed */

	/* From code_map_index() on. */
	uint64_t base, span; /* all code lies there */
	unsigned block_shift;
	uint32_t *blocks; /* by address / block size: the first stretch that ends behind the block's start */
	const struct code_stretch *here; /* where the next question is about, mostly; NULL: anywhere */
};

/* Adds a stretch, whose bytes stay the caller's; past max_size too_much is set, code_map_index() must not follow, and
 * only large stretches are kept: a damaged file may have millions. Returns 0 or -ENOMEM. */
int code_map_add(struct code_map *map, uint64_t address, const unsigned char *bytes, uint64_t size);

/* Sorts them by address and keeps none that overlaps one before it. Positions stay as they are. */
void code_map_order(struct code_map *map);

/* Once all is added, in order. Returns 0 or -ENOMEM. */
int code_map_index(struct code_map *map);

/* Frees what it owns; the bytes are not its own. */
void code_map_free(struct code_map *map);

/* Which stretch has the address, or NULL. Once it is indexed. */
const struct code_stretch *code_map_search(const struct code_map *map, uint64_t address);

/* The stretch that the address is in, mostly the one at hand; or NULL. */
static inline const struct code_stretch *code_map_at(const struct code_map *map, uint64_t address)
{
	const struct code_stretch *here = map->here;
	return here && address - here->address < here->size ? here : code_map_search(map, address);
}

/* Of the byte at an address within the stretch. */
static inline uint32_t code_position(const struct code_stretch *code, uint64_t address)
{
	return code->position + (uint32_t)(address - code->address);
}
