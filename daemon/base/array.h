/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing array of values of one type.
 *
 *	ARRAY(uint32_t) ids = {0};
 *	if (array_add(&ids, 7) < 0) ...          // -ENOMEM
 *	for (size_t i = 0; i < ids.count; i++) use(ids.items[i]);
 *	array_free(&ids);
 *
 * Items move when the array grows: keep indices, not pointers, across an add.
 */
#pragma once

#include "base/attributes.h"

#define ARRAY(type)             \
	struct {                \
		type *items;    \
		size_t count;   \
		size_t capacity; \
	}

/* Makes room for `wanted` items in all. Returns 0 or -ENOMEM; on failure nothing changed. */
int array_reserve_bytes(void **items, size_t *capacity, size_t wanted, size_t item_size);

#define array_reserve(array, wanted)                                                        \
	array_reserve_bytes((void **)&(array)->items, &(array)->capacity, (wanted),         \
			    sizeof(*(array)->items))

/* Gives back, as far as doubling would have made it, the room beyond `wanted` items, which must not be fewer than there
 * are. */
void array_shrink_bytes(void **items, size_t *capacity, size_t wanted, size_t item_size);

#define array_shrink(array, wanted)                                                         \
	array_shrink_bytes((void **)&(array)->items, &(array)->capacity, (wanted),          \
			   sizeof(*(array)->items))

/* Appends one value. Returns 0 or -ENOMEM. */
#define array_add(array, ...)                                                               \
	({                                                                                  \
		int _r = (array)->count < (array)->capacity                                 \
				 ? 0                                                        \
				 : array_reserve((array), (array)->count + 1);              \
		if (_r == 0)                                                                \
			(array)->items[(array)->count++] = (__VA_ARGS__);                   \
		_r;                                                                         \
	})

#define array_free(array)               \
	do {                            \
		free((array)->items);   \
		(array)->items = NULL;  \
		(array)->count = 0;     \
		(array)->capacity = 0;  \
	} while (0)
