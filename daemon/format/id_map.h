/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of a file to indices of the model. Producers number from 1, so small ids sit in an array;
 * files with sparse or huge ids (addresses, hashes) fall back to a hash table.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"

#include <errno.h>

#define ID_MAP_NONE UINT32_MAX

struct id_map {
	ARRAY(uint32_t) small; /* id -> index or ID_MAP_NONE */
	struct hash large;
};

static inline uint32_t id_map_get(const struct id_map *map, uint64_t id)
{
	if (id < map->small.count)
		return map->small.items[id];
	const uint64_t *index = hash_get(&map->large, id);
	return index ? (uint32_t)*index : ID_MAP_NONE;
}

/* Returns 0, -EEXIST for an id that is there, or -ENOMEM. */
static inline int id_map_add(struct id_map *map, uint64_t id, uint32_t index)
{
	if (id_map_get(map, id) != ID_MAP_NONE)
		return -EEXIST;
	if (id > (uint64_t)index + 1024)
		return hash_put(&map->large, id, index);
	while (map->small.count <= id) {
		/* What was too large for the array before must stay visible behind it. */
		const uint64_t *known = hash_get(&map->large, map->small.count);
		if (array_add(&map->small, known ? (uint32_t)*known : ID_MAP_NONE) < 0)
			return -ENOMEM;
	}
	map->small.items[id] = index;
	return 0;
}

static inline void id_map_free(struct id_map *map)
{
	array_free(&map->small);
	hash_free(&map->large);
}
