/* SPDX-License-Identifier: Apache-2.0 */
/* See known_names.h. */
#include "profile/known_names.h"

bool known_names_get(const struct known_names *known, uint64_t place, const char **ret_name, const char **ret_module)
{
	const uint64_t *value = hash_get(&known->places, place);
	if (!value)
		return false;
	*ret_name = strings_get(&known->texts, (uint32_t)(*value >> 32));
	*ret_module = strings_get(&known->texts, (uint32_t)*value);
	return true;
}

void known_names_put(struct known_names *known, uint64_t place, const char *name, const char *module)
{
	uint32_t name_index, module_index;
	if (known->places.count >= KNOWN_NAMES_MAX)
		known_names_clear(known);
	if (strings_add_text(&known->texts, name, &name_index) < 0 ||
	    strings_add_text(&known->texts, module, &module_index) < 0)
		return;
	hash_put(&known->places, place, (uint64_t)name_index << 32 | module_index);
}

void known_names_clear(struct known_names *known)
{
	hash_free(&known->places);
	strings_free(&known->texts);
	*known = (struct known_names){0};
}

size_t known_names_bytes(const struct known_names *known)
{
	const struct strings *texts = &known->texts;
	return known->places.capacity * sizeof(struct hash_slot) + texts->bytes_capacity +
	       texts->capacity * sizeof(texts->offsets[0]) + texts->bucket_count * sizeof(texts->buckets[0]);
}
