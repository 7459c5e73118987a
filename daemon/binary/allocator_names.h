/* SPDX-License-Identifier: Apache-2.0 */
/* Which function names belong to an allocator and what they mean. Private to the finder. */
#pragma once

#include "binary/allocator.h"

/* How a name is spelled: an allocator may be linked beside another one under a prefix. In the order in
 * which one name at an address is preferred over its aliases. */
enum allocator_spelling {
	SPELLED_PLAIN,	  /* malloc, and the mangled operators of C++ */
	SPELLED_LIBC,	  /* __libc_malloc */
	SPELLED_JEMALLOC, /* je_malloc, _rjem_malloc (Rust's) */
	SPELLED_GPERFTOOLS, /* tc_malloc */
	SPELLED_MIMALLOC, /* mi_malloc */
	SPELLED_TCMALLOC, /* TCMallocInternalMalloc */
	SPELLING_MAX
};

#define NO_ARGUMENT (-1)

struct allocator_name {
	const char *base; /* without its prefix */
	uint8_t spellings; /* bits: 1 << enum allocator_spelling */
	uint8_t role;	   /* enum allocator_role */
	/* Often only hands on to another of these: where it does, it is not probed. */
	bool may_hand_on;
	int8_t size, count, pointer; /* position among the arguments, or NO_ARGUMENT */
};

/* NULL when it is none of them. `name` need not be terminated. */
const struct allocator_name *allocator_name_find(const char *name, size_t length,
						 enum allocator_spelling *ret);
