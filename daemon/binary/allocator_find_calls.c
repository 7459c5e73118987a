/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of functions that hand on to each other the last one is probed, or an allocation would be seen twice; one that calls
 * another only at times is probed too, and known to nest.
 */
#include "binary/allocator_find_state.h"

#include "binary/allocator_calls.h"
#include "binary/symbol_list.h"

#include <string.h>

/* How many calls deep a function is looked for a call of another one. */
#define NESTING_DEPTH 2
#define ANY_ROLE UINT64_MAX

/* A call of an exported function may go through its stub in the procedure linkage table. */
static int add_stub_targets(struct finder *finder)
{
	_cleanup_(symbol_list_free) struct symbol_list list;
	int r = 0;
	symbol_list_init(&list, finder->elf);
	symbol_plt_add(&list, finder->elf);
	for (size_t i = 0; r == 0 && i < list.symbols.count; i++) {
		const char *stub = strings_get(&list.names, list.symbols.items[i].name);
		size_t length = strcspn(stub, "@");
		enum allocator_spelling spelling;
		const struct allocator_name *name = allocator_name_find(stub, length, &spelling);
		if (name && finder_find_role(finder, spelling, ALLOCATOR_MALLOC))
			r = hash_put(&finder->targets, list.symbols.items[i].address,
				     1ULL << name->role);
	}
	return r < 0 ? r : list.error;
}

/* The small library (tcmalloc_minimal) has gperftools' sampler without ever calling it. */
int finder_drop_idle_sampler(struct finder *finder)
{
	_cleanup_(symbol_list_free) struct symbol_list list = {0};
	_cleanup_(hash_free) struct hash targets = {0};
	if (finder->gperftools.function_count == 0)
		return 0;
	symbol_list_init(&list, finder->elf);
	symbol_plt_add(&list, finder->elf);
	int r = hash_put(&targets, finder->gperftools.functions[0].address, 1);
	for (size_t i = 0; r == 0 && i < list.symbols.count; i++)
		if (!strcmp(strings_get(&list.names, list.symbols.items[i].name),
			    GPERFTOOLS_SAMPLER_SYMBOL "@plt"))
			r = hash_put(&targets, list.symbols.items[i].address, 1);
	if (r == 0 && !allocator_anything_calls(finder->elf, &targets))
		finder->gperftools.function_count = 0;
	return r;
}

int finder_collect_targets(struct finder *finder)
{
	int r = add_stub_targets(finder);
	for (size_t i = 0; r == 0 && i < finder->candidates.count; i++)
		r = hash_put(&finder->targets, finder->candidates.items[i].address,
			     1ULL << finder->candidates.items[i].name->role);
	return r;
}

/* The roles that a function may be no more than a way to. In the C libraries that is known: glibc's memalign
 * and calloc allocate themselves and call malloc in special cases only. */
static uint64_t hands_on_to(const struct candidate *c)
{
	const char *base = c->name->base;
	bool is_last = c->name->role == ALLOCATOR_MALLOC || c->name->role == ALLOCATOR_FREE;
	if (c->kind == ALLOCATOR_GLIBC)
		return strcmp(base, "reallocarray") ? 0 : ANY_ROLE;
	if (c->kind == ALLOCATOR_MUSL)
		return strcmp(base, "realloc") && strcmp(base, "aligned_alloc") && !is_last ? ANY_ROLE : 0;
	if (c->name->may_hand_on)
		return ANY_ROLE;
	/* To malloc and free realloc goes at times, to another realloc only to hand on. */
	return c->name->role == ALLOCATOR_REALLOC ? 1ULL << ALLOCATOR_REALLOC : 0;
}

void finder_drop_wrappers(struct finder *finder)
{
	size_t kept = 0;
	for (size_t i = 0; i < finder->candidates.count; i++) {
		struct candidate *c = &finder->candidates.items[i];
		uint64_t roles = hands_on_to(c);
		if (roles && allocator_calls_any(finder->elf, c->address, c->size, &finder->targets,
						 roles, 0))
			continue;
		c->nests = allocator_calls_any(finder->elf, c->address, c->size, &finder->targets,
					       ANY_ROLE, NESTING_DEPTH);
		finder->candidates.items[kept++] = *c;
	}
	finder->candidates.count = kept;
}
