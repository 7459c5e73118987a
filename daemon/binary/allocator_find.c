/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From names to probes. Every function with an allocator's name is a candidate. Whose it is follows from
 * its prefix, or for plain names (malloc) from what else the file defines: mimalloc and gperftools make
 * malloc an alias of their own name, jemalloc has mallctl, the C libraries their own marks. Of the names at
 * one address one stays; of functions that hand on to each other the last one does.
 */
#include "binary/allocator_find.h"

#include "base/array.h"
#include "base/hash.h"
#include "binary/allocator_calls.h"
#include "binary/allocator_names.h"
#include "binary/allocator_point.h"
#include "binary/allocator_sampler.h"
#include "binary/symbol_list.h"
#include "binary/symbol_table.h"

#include <errno.h>
#include <string.h>

/* How many calls deep a function is looked for a call of another one. */
#define NESTING_DEPTH 2
#define LONGEST_NAME (sizeof(GPERFTOOLS_SAMPLER_SYMBOL) - 1) /* most C++ names are longer */
#define ANY_ROLE UINT64_MAX
#define MAX_CANDIDATES (ALLOCATOR_MAX_PROBES - 2 * ALLOCATOR_MAX_SAMPLER_PROBES)

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

static const struct {
	const char *name;
	enum evidence evidence;
} marks[] = {
	{"mallctl", HAS_MALLCTL},	      {"gnu_get_libc_version", HAS_GLIBC},
	{"_int_malloc", HAS_GLIBC},	      {"__libc_malloc_impl", HAS_MUSL},
	{"__malloc_donate", HAS_MUSL},	      {"__libc_start_main", HAS_LIBC_START},
	{"_rtld_global", HAS_LOADER},
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

/* ---- Candidates ------------------------------------------------------------------------------- */

static void take_mark(struct finder *finder, const char *name, size_t length)
{
	for (size_t i = 0; i < ARRAY_LENGTH(marks); i++)
		if (strlen(marks[i].name) == length && !memcmp(marks[i].name, name, length))
			finder->evidence |= marks[i].evidence;
}

static void take_symbol(struct finder *finder, const struct symbol_table *table, size_t i)
{
	Elf64_Sym symbol = symbol_table_get(table, i);
	unsigned int type = ELF64_ST_TYPE(symbol.st_info);
	if (symbol.st_shndx == SHN_UNDEF || symbol.st_shndx == SHN_ABS || type == STT_FILE ||
	    type == STT_SECTION)
		return;
	const char *name = NULL;
	size_t length = symbol_table_name(table, &symbol, &name);
	if (length == 0 || length > LONGEST_NAME)
		return;
	take_mark(finder, name, length);
	if (type == STT_FUNC && length == strlen(GPERFTOOLS_SAMPLER_SYMBOL) &&
	    !memcmp(name, GPERFTOOLS_SAMPLER_SYMBOL, length))
		allocator_sampler_of_gperftools(finder->elf, symbol.st_value, symbol.st_size,
						&finder->gperftools);
	struct candidate candidate = {.address = symbol.st_value, .size = symbol.st_size};
	candidate.name = allocator_name_find(name, length, &candidate.spelling);
	if (!candidate.name || (type != STT_FUNC && type != STT_NOTYPE) || finder->error < 0)
		return;
	finder->error = strings_add(&finder->names, name, length, &candidate.text);
	if (finder->error == 0)
		finder->error = array_add(&finder->candidates, candidate);
}

static void take_symbols(struct finder *finder, uint32_t section_type)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	if (symbol_table_open(finder->elf, section_type, &table) < 0)
		return;
	for (size_t i = 0; i < table.count; i++)
		take_symbol(finder, &table, i);
}

/* ---- Whose they are ---------------------------------------------------------------------------- */

/* The malloc (or free) of a spelling; NULL when there is none. */
static const struct candidate *find_role(const struct finder *finder, enum allocator_spelling spelling,
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
	const struct candidate *plain = find_role(finder, SPELLED_PLAIN, ALLOCATOR_MALLOC);
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
	if (!find_role(finder, family, ALLOCATOR_MALLOC) ||
	    !find_role(finder, family, ALLOCATOR_FREE))
		return false;
	if (c->name->base[0] == '_' && !has_own_operators(c->kind))
		return false;
	/* What musl's malloc is made of; only its loader calls it directly. */
	if (c->kind == ALLOCATOR_MUSL && c->spelling == SPELLED_LIBC)
		return false;
	return elf_file_address_to_offset(finder->elf, c->address, &offset);
}

static void keep_owned(struct finder *finder)
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

static void drop_aliases(struct finder *finder)
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

/* ---- Who calls whom ---------------------------------------------------------------------------- */

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
		if (name && find_role(finder, spelling, ALLOCATOR_MALLOC))
			r = hash_put(&finder->targets, list.symbols.items[i].address,
				     1ULL << name->role);
	}
	return r < 0 ? r : list.error;
}

/* The small library (tcmalloc_minimal) has gperftools' sampler without ever calling it. */
static int drop_idle_sampler(struct finder *finder)
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

static int collect_targets(struct finder *finder)
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

static void drop_wrappers(struct finder *finder)
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

/* ---- Output ------------------------------------------------------------------------------------ */

/* The registers of the first integer arguments: System V psABI for x86-64; AAPCS64. */
static uint8_t argument_register(const struct elf_file *elf, int position)
{
	static const uint8_t x86[] = {5, 4, 1, 2, 8, 9};
	if (position == NO_ARGUMENT)
		return PROBE_NO_REGISTER;
	return elf->machine == EM_X86_64 ? x86[position] : (uint8_t)position;
}

/* Sets the probe where it is cheapest. Its name, role, kind and PROBE_NESTS are given. */
static void add_probe(const struct elf_file *elf, struct allocator_probe probe,
		      const struct allocator_function *function, struct text *probes)
{
	struct allocator_point point = allocator_point_find(elf, function);
	probe.flags |= point.flags;
	probe.size = point.size_register;
	probe.count = point.count_register;
	probe.pointer = point.pointer_register;
	if (!elf_file_address_to_offset(elf, function->address, &probe.entry) ||
	    !elf_file_range(elf, probe.entry, point.address - function->address + 1))
		return;
	probe.offset = probe.entry + (point.address - function->address);
	text_add_bytes(probes, &probe, sizeof(probe));
}

static void add_candidate(const struct finder *finder, const struct candidate *c, struct text *probes)
{
	bool frees = c->name->role == ALLOCATOR_FREE;
	struct allocator_probe probe = {.name = finder->names.offsets[c->text],
					.role = c->name->role,
					.kind = (uint8_t)c->kind,
					.flags = c->nests ? PROBE_NESTS : 0};
	struct allocator_function function = {
		.address = c->address,
		.size = c->size,
		.size_register = argument_register(finder->elf, c->name->size),
		.count_register = argument_register(finder->elf, c->name->count),
		.pointer_register = argument_register(finder->elf, c->name->pointer),
		.needs_return = !frees,
		.null_is_trivial = frees,
	};
	add_probe(finder->elf, probe, &function, probes);
}

static int add_sampler(struct finder *finder, const struct allocator_sampler *sampler,
		       enum allocator_kind kind, struct text *probes)
{
	for (size_t i = 0; i < sampler->function_count; i++) {
		const struct sampler_function *f = &sampler->functions[i];
		struct allocator_probe probe = {.role = f->role, .kind = (uint8_t)kind};
		struct allocator_function function = {.address = f->address,
						      .size = f->size,
						      .size_register = f->size_register,
						      .count_register = PROBE_NO_REGISTER,
						      .pointer_register = f->pointer_register};
		uint32_t text;
		int r = strings_add_text(&finder->names, f->name, &text);
		if (r < 0)
			return r;
		probe.name = finder->names.offsets[text];
		add_probe(finder->elf, probe, &function, probes);
	}
	return 0;
}

static uint32_t count_probes(const struct allocator_sections *sections)
{
	return (uint32_t)(sections->probes.length / sizeof(struct allocator_probe));
}

/* One allocator: the candidates [from, to) and its sampler (NULL: none). */
static int add_allocator(struct finder *finder, enum allocator_kind kind, size_t from, size_t to,
			 const struct allocator_sampler *sampler, struct allocator_sections *ret)
{
	struct allocator_facts facts = {.kind = kind, .first_probe = count_probes(ret)};
	int r = 0;
	for (size_t i = from; i < to; i++)
		add_candidate(finder, &finder->candidates.items[i], &ret->probes);
	if (sampler) {
		facts.sampling = sampler->sampling;
		facts.interval = sampler->interval;
		r = add_sampler(finder, sampler, kind, &ret->probes);
	}
	facts.probe_count = count_probes(ret) - facts.first_probe;
	text_add_bytes(&ret->facts, &facts, sizeof(facts));
	return r;
}

static int write_sections(struct finder *finder, struct allocator_sections *ret)
{
	size_t count = MIN_OF(finder->candidates.count, (size_t)MAX_CANDIDATES);
	int r = 0;
	for (size_t from = 0, to; r == 0 && from < count; from = to) {
		enum allocator_kind kind = finder->candidates.items[from].kind;
		for (to = from; to < count && finder->candidates.items[to].kind == kind;)
			to++;
		bool samples = kind == ALLOCATOR_GPERFTOOLS && finder->gperftools.function_count;
		r = add_allocator(finder, kind, from, to, samples ? &finder->gperftools : NULL, ret);
	}
	if (r == 0 && finder->is_go)
		r = add_allocator(finder, ALLOCATOR_GO, 0, 0, &finder->go, ret);
	if (r == 0)
		text_add_bytes(&ret->names, finder->names.bytes, finder->names.bytes_used);
	/* A Go program whose sampler is off has no name at all. */
	if (r == 0 && finder->names.bytes_used == 0)
		text_add_bytes(&ret->names, "", 1);
	return r;
}

static int find(struct finder *finder, struct allocator_sections *ret)
{
	take_symbols(finder, SHT_SYMTAB);
	take_symbols(finder, SHT_DYNSYM);
	if (finder->error < 0)
		return finder->error;
	keep_owned(finder);
	finder->is_go = allocator_sampler_find_go(finder->elf, &finder->go);
	if (finder->evidence & HAS_LOADER)
		finder->candidates.count = 0;
	if (finder->candidates.count == 0 && !finder->is_go)
		return -ENODATA;
	int r = collect_targets(finder);
	if (r == 0)
		r = drop_idle_sampler(finder);
	if (r < 0)
		return r;
	drop_aliases(finder);
	drop_wrappers(finder);
	r = write_sections(finder, ret);
	if (r < 0)
		return r;
	return ret->facts.failed || ret->probes.failed || ret->names.failed ? -ENOMEM : 0;
}

int allocator_find(const struct elf_file *elf, struct allocator_sections *ret)
{
	struct finder finder = {.elf = elf};
	int r = find(&finder, ret);
	array_free(&finder.candidates);
	strings_free(&finder.names);
	hash_free(&finder.targets);
	return r;
}

void allocator_sections_free(struct allocator_sections *sections)
{
	text_free(&sections->facts);
	text_free(&sections->probes);
	text_free(&sections->names);
}

void allocator_sections_add(const struct allocator_sections *sections, struct text *artifact)
{
	artifact_add_section(artifact, SECTION_ALLOCATORS, sections->facts.bytes,
			     sections->facts.length);
	artifact_add_section(artifact, SECTION_ALLOCATOR_PROBES, sections->probes.bytes,
			     sections->probes.length);
	artifact_add_section(artifact, SECTION_ALLOCATOR_NAMES, sections->names.bytes,
			     sections->names.length);
}
