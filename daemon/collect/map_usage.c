/* SPDX-License-Identifier: Apache-2.0 */
/* See map_usage.h. Hash maps are read in batches (since Linux 5.6), which costs few system calls. */
#include "collect/map_usage.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#define BATCH 4096U
#define SMALLEST_BATCH 16U /* a bucket must fit whole, or the kernel says -ENOSPC */

/* Entries change meanwhile: one that moves may count twice or not at all. */
static uint64_t count_hash(const struct bpf_map *map)
{
	uint32_t size = bpf_map__max_entries(map), batch = size < BATCH ? size : BATCH;
	if (batch < SMALLEST_BATCH)
		batch = SMALLEST_BATCH;
	_cleanup_free_ void *keys = calloc(batch, bpf_map__key_size(map));
	_cleanup_free_ void *values = calloc(batch, bpf_map__value_size(map));
	uint32_t token[64]; /* a bucket's number; room for a key, as other kinds of maps need */
	uint64_t entries = 0;
	bool has_token = false;
	while (keys && values && entries <= size) {
		uint32_t count = batch;
		int r = bpf_map_lookup_batch(bpf_map__fd(map), has_token ? token : NULL, token, keys,
					     values, &count, NULL);
		if (r < 0 && r != -ENOENT)
			break;
		entries += count;
		has_token = true;
		if (r == -ENOENT)
			break; /* that was the end */
	}
	return entries < size ? entries : size;
}

static uint64_t count_places(const struct bpf_map *map)
{
	uint64_t entries = 0;
	for (uint32_t i = 0; i < bpf_map__max_entries(map); i++) {
		uint32_t id;
		entries += bpf_map_lookup_elem(bpf_map__fd(map), &i, &id) == 0;
	}
	return entries;
}

size_t map_usage_read(const struct bpf_object *object, struct map_usage *ret, size_t capacity)
{
	size_t count = 0;
	const struct bpf_map *map;
	bpf_object__for_each_map(map, object) {
		enum bpf_map_type type = bpf_map__type(map);
		bool is_hash = type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH;
		if ((!is_hash && type != BPF_MAP_TYPE_ARRAY_OF_MAPS) || count == capacity ||
		    bpf_map__max_entries(map) > MAP_USAGE_MAX_CAPACITY)
			continue;
		ret[count++] = (struct map_usage){
			.name = bpf_map__name(map),
			.entries = is_hash ? count_hash(map) : count_places(map),
			.capacity = bpf_map__max_entries(map),
		};
	}
	return count;
}
