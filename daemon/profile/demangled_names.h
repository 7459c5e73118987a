/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for people, made once for each mangled name, of whatever binary: a profile's frames repeat them by the thousand.
 * Zero-initialised it is empty.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"

struct demangled_names {
	struct hash known;   /* hash of a mangled name -> index into texts */
	ARRAY(char *) texts; /* owned */
	uint64_t bytes;	     /* of all this, about */
};

/* The name for people, which stays until demangled_names_clear(); the mangled one itself when it is none, or when more
 * than `max_bytes` are held or memory is out. */
const char *demangled_names_find(struct demangled_names *names, const char *mangled, uint64_t max_bytes);

/* Forgets all of them. */
void demangled_names_clear(struct demangled_names *names);
