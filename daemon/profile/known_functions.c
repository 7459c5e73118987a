/* SPDX-License-Identifier: Apache-2.0 */
/* See known_functions.h. */
#include "profile/known_functions.h"

#include <string.h>

/* Index of the first function above the address. */
static size_t upper_bound(const struct known_functions *known, uint64_t address)
{
	size_t low = 0, high = known->list.count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (known->list.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const char *known_functions_find(const struct known_functions *known, uint64_t address)
{
	size_t above = upper_bound(known, address);
	if (above == 0)
		return NULL;
	const struct known_function *function = &known->list.items[above - 1];
	return address - function->start < function->length ? strings_get(&known->texts, function->name) : NULL;
}

void known_functions_add(struct known_functions *known, uint64_t start, uint32_t length, const char *name)
{
	struct known_function function = {.start = start, .length = length};
	if (known->list.count >= KNOWN_FUNCTIONS_MAX)
		known_functions_clear(known);
	size_t at = upper_bound(known, start);
	if (strings_add_text(&known->texts, name, &function.name) < 0 || array_add(&known->list, function) < 0)
		return;
	struct known_function *items = known->list.items;
	memmove(&items[at + 1], &items[at], (known->list.count - 1 - at) * sizeof(*items));
	items[at] = function;
}

void known_functions_clear(struct known_functions *known)
{
	array_free(&known->list);
	strings_free(&known->texts);
	*known = (struct known_functions){0};
}

size_t known_functions_bytes(const struct known_functions *known)
{
	const struct strings *texts = &known->texts;
	return known->list.capacity * sizeof(struct known_function) + texts->bytes_capacity +
	       texts->capacity * sizeof(texts->offsets[0]) + texts->bucket_count * sizeof(texts->buckets[0]);
}
