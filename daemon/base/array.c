/* SPDX-License-Identifier: Apache-2.0 */
/* Growth policy of ARRAY(): doubling, so that adding n items copies at most 2n. */
#include "base/array.h"

#include <errno.h>

#define LEAST_CAPACITY 8

int array_reserve_bytes(void **items, size_t *capacity, size_t wanted, size_t item_size)
{
	if (wanted <= *capacity)
		return 0;
	size_t grown = *capacity ? *capacity : LEAST_CAPACITY;
	while (grown < wanted) {
		if (grown > SIZE_MAX / 2)
			return -ENOMEM;
		grown *= 2;
	}
	if (grown > SIZE_MAX / item_size)
		return -ENOMEM;
	void *moved = realloc(*items, grown * item_size);
	if (!moved)
		return -ENOMEM;
	*items = moved;
	*capacity = grown;
	return 0;
}

void array_shrink_bytes(void **items, size_t *capacity, size_t wanted, size_t item_size)
{
	size_t shrunk = *capacity;
	while (shrunk / 2 >= MAX_OF(wanted, LEAST_CAPACITY))
		shrunk /= 2;
	if (shrunk == *capacity)
		return;
	void *moved = realloc(*items, shrunk * item_size);
	if (!moved)
		return;
	*items = moved;
	*capacity = shrunk;
}
