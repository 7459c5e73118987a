/* SPDX-License-Identifier: Apache-2.0 */
/* How full the BPF maps are that can be full. The kernel keeps no count of a hash map's entries, so they are
 * counted when somebody asks. */
#pragma once

#include "base/attributes.h"

struct bpf_object;

struct map_usage {
	const char *name; /* the object's */
	uint64_t entries, capacity;
};

#define MAP_USAGE_MAX 16
/* A larger map would take too long to count: it is left out. */
#define MAP_USAGE_MAX_CAPACITY (128U << 10)

/* Fills in at most `capacity` maps: hash tables, and arrays of maps with the places that are taken. Returns
 * how many. Takes about a microsecond for each entry. */
size_t map_usage_read(const struct bpf_object *object, struct map_usage *ret, size_t capacity);
