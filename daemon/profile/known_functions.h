/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions of one binary whose names were read from the disk's cache, by their ranges: a profile meets the hot ones at
 * many addresses, and the next profile again. Bounded: when it is full it is emptied. Zero-initialised it is empty.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"

#define KNOWN_FUNCTIONS_MAX 4096 /* with some 80 bytes each */

struct known_function {
	uint64_t start;
	uint32_t length;
	uint32_t name; /* in texts */
};

struct known_functions {
	ARRAY(struct known_function) list; /* sorted, none overlaps another */
	struct strings texts;
};

/* The name of the function at an address, valid until the next one is added; NULL: not known. */
const char *known_functions_find(const struct known_functions *known, uint64_t address);

/* One that is not known yet; the name is copied. Without memory it stays unknown. */
void known_functions_add(struct known_functions *known, uint64_t start, uint32_t length, const char *name);

/* Forgets all. */
void known_functions_clear(struct known_functions *known);

/* Of memory, about. */
size_t known_functions_bytes(const struct known_functions *known);
