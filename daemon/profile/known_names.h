/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of addresses that were read from the disk's cache: a profile of an interval has mostly those of the one
 * before. A place is a key that the caller makes of an address and of what it is an address in.
 * Bounded: when it is full it is emptied. Zero-initialised it is empty.
 */
#pragma once

#include "base/hash.h"

#define KNOWN_NAMES_MAX 16384 /* places, with some 100 bytes each */

struct known_names {
	struct hash places; /* key -> index of name, index of module (halves) */
	struct strings texts;
};

/* Returns false when the place is not known. Strings are valid until the next put. */
bool known_names_get(const struct known_names *known, uint64_t place, const char **ret_name, const char **ret_module);

/* The strings are copied. Without memory the place stays unknown. */
void known_names_put(struct known_names *known, uint64_t place, const char *name, const char *module);

/* Forgets all. */
void known_names_clear(struct known_names *known);

/* Of memory, about. */
size_t known_names_bytes(const struct known_names *known);
