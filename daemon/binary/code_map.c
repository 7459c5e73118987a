/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address range is divided into blocks, as small as their number allows; each knows the first stretch to look at.
 */
#include "binary/code_map.h"

#include <errno.h>
#include <stdlib.h>

#define LEAST_BLOCKS 256

int code_map_add(struct code_map *map, uint64_t address, const unsigned char *bytes, uint64_t size)
{
	if (!size || !bytes)
		return 0;
	struct code_stretch stretch = {address, size, map->size, bytes};
	map->too_much |= size > (uint64_t)map->max_size - map->size;
	if (!map->too_much)
		map->size += size;
	else if (size < map->least_past_max)
		return 0;
	return array_add(&map->stretches, stretch);
}

static int compare_stretches(const void *a, const void *b)
{
	const struct code_stretch *x = a, *y = b;
	return x->address < y->address ? -1 : x->address > y->address;
}

void code_map_order(struct code_map *map)
{
	struct code_stretch *items = map->stretches.items;
	size_t kept = 0;
	if (!map->stretches.count)
		return;
	qsort(items, map->stretches.count, sizeof(*items), compare_stretches);
	for (size_t i = 1; i < map->stretches.count; i++)
		if (items[i].address - items[kept].address >= items[kept].size &&
		    items[i].address + items[i].size > items[i].address)
			items[++kept] = items[i];
	map->stretches.count = kept + 1;
}

static uint64_t end_of(const struct code_stretch *stretch)
{
	return stretch->address + stretch->size;
}

int code_map_index(struct code_map *map)
{
	const struct code_stretch *items = map->stretches.items;
	size_t count = map->stretches.count;
	if (!count)
		return 0;
	map->base = items[0].address;
	map->span = end_of(&items[count - 1]) - map->base;
	while (map->span >> map->block_shift > MAX_OF(2 * count, (size_t)LEAST_BLOCKS))
		map->block_shift++;
	size_t blocks = (map->span >> map->block_shift) + 1, first = 0;
	map->blocks = malloc(blocks * sizeof(*map->blocks));
	if (!map->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < blocks; i++) {
		uint64_t start = (uint64_t)i << map->block_shift;
		while (first < count - 1 && end_of(&items[first]) - map->base <= start)
			first++;
		map->blocks[i] = first;
	}
	return 0;
}

void code_map_free(struct code_map *map)
{
	array_free(&map->stretches);
	free(map->blocks);
	map->blocks = NULL;
}

const struct code_stretch *code_map_search(const struct code_map *map, uint64_t address)
{
	uint64_t distance = address - map->base;
	if (distance >= map->span)
		return NULL;
	const struct code_stretch *stretch = &map->stretches.items[map->blocks[distance >> map->block_shift]];
	const struct code_stretch *stop = map->stretches.items + map->stretches.count;
	for (; stretch < stop && stretch->address <= address; stretch++)
		if (address - stretch->address < stretch->size)
			return stretch;
	return NULL;
}
