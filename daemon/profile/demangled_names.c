/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table from the hash of a mangled name to its text.
 */
#include "profile/demangled_names.h"

#include "base/text.h"
#include "binary/demangle.h"

#include <stdlib.h>
#include <string.h>

const char *demangled_names_find(struct demangled_names *names, const char *mangled, uint64_t max_bytes)
{
	uint64_t key = hash_bytes(mangled, strlen(mangled));
	const uint64_t *known = hash_get(&names->known, key);
	if (known)
		return names->texts.items[*known];
	if (names->bytes > max_bytes)
		return mangled;
	struct text text = {0};
	if (demangle(mangled, &text) < 0) {
		text_free(&text);
		return mangled;
	}
	char *name = text_take(&text);
	if (!name || array_add(&names->texts, name) < 0) {
		free(name);
		return mangled;
	}
	names->bytes += strlen(name) + 1 + sizeof(char *) + 2 * sizeof(struct hash_slot);
	hash_put(&names->known, key, names->texts.count - 1); /* else it is made again */
	return name;
}

void demangled_names_clear(struct demangled_names *names)
{
	for (size_t i = 0; i < names->texts.count; i++)
		free(names->texts.items[i]);
	array_free(&names->texts);
	hash_free(&names->known);
	names->bytes = 0;
}
