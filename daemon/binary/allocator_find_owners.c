/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose a function is follows from its prefix, or for plain names (malloc) from what else the file defines: mimalloc and
 * gperftools make malloc an alias of their own name, jemalloc has mallctl, the C libraries their own marks.
 */
#include "binary/allocator_find_state.h"

#include <stdlib.h>

const struct candidate *finder_find_role(const struct finder *finder, enum allocator_spelling spelling,
					 enum allocator_role role)
{
	for (size_t i = 0; i < finder->candidates.count; i++) {
		const struct candidate *c = &finder->candidates.items[i];
		if (c->spelling == spelling && c->name->role == (uint8_t)role &&
		    c->name->base[0] != '_')
			return c;
	}
	return NULL;
}

static bool has_alias(const struct finder *finder, const struct candidate *of,
		      enum allocator_spelling spelling)
{
	for (size_t i = 0; i < finder->candidates.count; i++)
		if (finder->candidates.items[i].spelling == spelling &&
		    finder->candidates.items[i].address == of->address)
			return true;
	return false;
}

static enum allocator_kind plain_kind(const struct finder *finder)
{
	const struct candidate *plain = finder_find_role(finder, SPELLED_PLAIN, ALLOCATOR_MALLOC);
	if (!plain)
		return ALLOCATOR_UNKNOWN;
	if (has_alias(finder, plain, SPELLED_MIMALLOC))
		return ALLOCATOR_MIMALLOC;
	if (has_alias(finder, plain, SPELLED_GPERFTOOLS))
		return ALLOCATOR_GPERFTOOLS;
	if (has_alias(finder, plain, SPELLED_TCMALLOC))
		return ALLOCATOR_GOOGLE_TCMALLOC;
	if (finder->evidence & HAS_MALLCTL)
		return ALLOCATOR_JEMALLOC;
	if (finder->evidence & HAS_GLIBC)
		return ALLOCATOR_GLIBC;
	return finder->evidence & (HAS_MUSL | HAS_LIBC_START) ? ALLOCATOR_MUSL : ALLOCATOR_UNKNOWN;
}

static enum allocator_kind kind_of(enum allocator_spelling spelling, enum allocator_kind plain)
{
	switch (spelling) {
	case SPELLED_JEMALLOC:
		return ALLOCATOR_JEMALLOC;
	case SPELLED_GPERFTOOLS:
		return ALLOCATOR_GPERFTOOLS;
	case SPELLED_MIMALLOC:
		return ALLOCATOR_MIMALLOC;
	case SPELLED_TCMALLOC:
		return ALLOCATOR_GOOGLE_TCMALLOC;
	default:
		return plain;
	}
}

/* Elsewhere operator new and delete are the C++ library's, over malloc and free. */
static bool has_own_operators(enum allocator_kind kind)
{
	return kind == ALLOCATOR_JEMALLOC || kind == ALLOCATOR_GPERFTOOLS ||
	       kind == ALLOCATOR_GOOGLE_TCMALLOC || kind == ALLOCATOR_MIMALLOC;
}

/* Is it a function of an allocator, and not one of the same name that belongs to something else? */
static bool belongs(const struct finder *finder, const struct candidate *c)
{
	uint64_t offset;
	/* __libc_… is the plain functions' own other name. */
	enum allocator_spelling family = c->spelling == SPELLED_LIBC ? SPELLED_PLAIN : c->spelling;
	if (!finder_find_role(finder, family, ALLOCATOR_MALLOC) ||
	    !finder_find_role(finder, family, ALLOCATOR_FREE))
		return false;
	if (c->name->base[0] == '_' && !has_own_operators(c->kind))
		return false;
	/* What musl's malloc is made of; only its loader calls it directly. */
	if (c->kind == ALLOCATOR_MUSL && c->spelling == SPELLED_LIBC)
		return false;
	return elf_file_address_to_offset(finder->elf, c->address, &offset);
}

void finder_keep_owned(struct finder *finder)
{
	enum allocator_kind plain = plain_kind(finder);
	size_t kept = 0;
	for (size_t i = 0; i < finder->candidates.count; i++) {
		struct candidate *c = &finder->candidates.items[i];
		c->kind = kind_of(c->spelling, plain);
		c->is_foreign = !belongs(finder, c);
	}
	for (size_t i = 0; i < finder->candidates.count; i++)
		if (!finder->candidates.items[i].is_foreign)
			finder->candidates.items[kept++] = finder->candidates.items[i];
	finder->candidates.count = kept;
}

/* By allocator, then address; of the names at one address the preferred one first. */
static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	if (x->spelling != y->spelling)
		return x->spelling < y->spelling ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name;
}

void finder_drop_aliases(struct finder *finder)
{
	struct candidate *all = finder->candidates.items;
	size_t kept = 0;
	if (finder->candidates.count)
		qsort(all, finder->candidates.count, sizeof(*all), compare);
	for (size_t i = 0; i < finder->candidates.count; i++)
		if (kept == 0 || all[kept - 1].address != all[i].address)
			all[kept++] = all[i];
	finder->candidates.count = kept;
}
