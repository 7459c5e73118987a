/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the search for allocators, for the files allocator_find*.c alone: allocator_find.c (candidates by name),
 * allocator_find_owners.c (whose they are), allocator_find_calls.c (who calls whom) and allocator_find_sections.c (what
 * is left, as sections).
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "binary/allocator_find.h"
#include "binary/allocator_names.h"
#include "binary/allocator_sampler.h"

struct candidate {
	uint64_t address, size;
	const struct allocator_name *name;
	enum allocator_spelling spelling;
	enum allocator_kind kind;
	uint32_t text; /* the whole name, among the finder's */
	bool nests;   /* PROBE_NESTS */
	bool is_foreign; /* of the same name as an allocator's function only */
};

/* Symbols that tell whose a plain malloc is. */
enum evidence {
	HAS_MALLCTL = 1 << 0,
	HAS_GLIBC = 1 << 1,
	HAS_MUSL = 1 << 2,
	HAS_LIBC_START = 1 << 3,
	HAS_LOADER = 1 << 4, /* glibc's ld.so: its malloc is for itself, before libc's is there */
};

struct finder {
	const struct elf_file *elf;
	ARRAY(struct candidate) candidates;
	struct strings names;
	uint32_t evidence;
	struct allocator_sampler gperftools, go;
	bool is_go;
	struct hash targets; /* where a call reaches a candidate (its address, its stub) -> 1 << role */
	int error;
};

/* ---- allocator_find_owners.c */

/* The malloc (or free) of a spelling; NULL when there is none. */
const struct candidate *finder_find_role(const struct finder *finder, enum allocator_spelling spelling,
					 enum allocator_role role);

/* Gives candidates their kind, and keeps those that are an allocator's. */
void finder_keep_owned(struct finder *finder);

/* Keeps one of the names at each address; sorts by allocator, then address. */
void finder_drop_aliases(struct finder *finder);

/* ---- allocator_find_calls.c */

/* Where calls of candidates lead to. Returns 0 or -ENOMEM. */
int finder_collect_targets(struct finder *finder);

/* Forgets gperftools' sampler where nothing calls it. Returns 0 or -ENOMEM. */
int finder_drop_idle_sampler(struct finder *finder);

/* Drops functions that only hand on to another one, and tells which of the others nest. */
void finder_drop_wrappers(struct finder *finder);

/* ---- allocator_find_sections.c */

/* Writes what is left. Returns 0 or -ENOMEM; a text of *ret that failed says so itself. */
int finder_write(struct finder *finder, struct allocator_sections *ret);
