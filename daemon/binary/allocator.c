/* SPDX-License-Identifier: Apache-2.0 */
/* Checks the allocators of an artifact; afterwards every index and register in them is in range. */
#include "binary/allocator.h"

#include <errno.h>

static bool register_is_sound(uint8_t number)
{
	return number == PROBE_NO_REGISTER || number < PROBE_REGISTER_LIMIT;
}

/* Does the role have the arguments that it cannot be understood without? */
static bool has_arguments(const struct allocator_probe *probe)
{
	bool size = probe->size != PROBE_NO_REGISTER, count = probe->count != PROBE_NO_REGISTER;
	bool pointer = probe->pointer != PROBE_NO_REGISTER;
	switch (probe->role) {
	case ALLOCATOR_MALLOC:
	case ALLOCATOR_ALIGNED:
	case ALLOCATOR_SAMPLED:
	case ALLOCATOR_SAMPLED_FREE:
		return size;
	case ALLOCATOR_CALLOC:
		return size && count;
	case ALLOCATOR_REALLOC:
	case ALLOCATOR_POSIX_MEMALIGN:
		return size && pointer;
	case ALLOCATOR_FREE:
		return pointer;
	default:
		return false;
	}
}

/* A return probe where the return address is not takes another word of the stack for it: the program would be lost. */
static bool has_return(const struct allocator_probe *probe)
{
	return probe->role >= ALLOCATOR_FREE || probe->flags & PROBE_CAN_RETURN;
}

static bool probe_is_sound(const struct allocator_table *table, const struct allocator_probe *probe)
{
	return probe->name < table->names_size && probe->kind < ALLOCATOR_KIND_MAX &&
	       register_is_sound(probe->size) && register_is_sound(probe->count) &&
	       register_is_sound(probe->pointer) && has_arguments(probe) && has_return(probe) &&
	       probe->entry <= probe->offset && probe->offset < 1ULL << 63;
}

static bool facts_are_sound(const struct allocator_table *table, const struct allocator_facts *facts)
{
	return facts->kind < ALLOCATOR_KIND_MAX && facts->sampling < SAMPLING_MAX &&
	       (facts->sampling == SAMPLING_NONE) == (facts->interval == 0) &&
	       facts->first_probe <= table->probe_count &&
	       facts->probe_count <= table->probe_count - facts->first_probe;
}

static bool table_is_sound(const struct allocator_table *table)
{
	if (!table->probes || !table->names || table->facts_count > ALLOCATOR_MAX_FACTS ||
	    table->probe_count > ALLOCATOR_MAX_PROBES || table->names_size == 0 ||
	    table->names[table->names_size - 1] != '\0')
		return false;
	for (size_t i = 0; i < table->facts_count; i++)
		if (!facts_are_sound(table, &table->facts[i]))
			return false;
	for (size_t i = 0; i < table->probe_count; i++)
		if (!probe_is_sound(table, &table->probes[i]))
			return false;
	return true;
}

int allocator_table_open(const struct artifact *artifact, struct allocator_table *ret)
{
	struct allocator_table table = {0};
	size_t facts_size, probes_size;
	table.facts = artifact_section(artifact, SECTION_ALLOCATORS, &facts_size);
	table.probes = artifact_section(artifact, SECTION_ALLOCATOR_PROBES, &probes_size);
	table.names = artifact_section(artifact, SECTION_ALLOCATOR_NAMES, &table.names_size);
	if (!table.facts)
		return -ENODATA;
	if (facts_size % sizeof(*table.facts) || probes_size % sizeof(*table.probes))
		return -EBADMSG;
	table.facts_count = facts_size / sizeof(*table.facts);
	table.probe_count = probes_size / sizeof(*table.probes);
	if (!table_is_sound(&table))
		return -EBADMSG;
	*ret = table;
	return 0;
}

const char *allocator_table_name(const struct allocator_table *table,
				 const struct allocator_probe *probe)
{
	return table->names + probe->name;
}

const char *allocator_kind_name(enum allocator_kind kind)
{
	static const char *const names[ALLOCATOR_KIND_MAX] = {
		[ALLOCATOR_UNKNOWN] = "unknown",
		[ALLOCATOR_GLIBC] = "glibc",
		[ALLOCATOR_MUSL] = "musl",
		[ALLOCATOR_JEMALLOC] = "jemalloc",
		[ALLOCATOR_GPERFTOOLS] = "gperftools",
		[ALLOCATOR_GOOGLE_TCMALLOC] = "tcmalloc",
		[ALLOCATOR_MIMALLOC] = "mimalloc",
		[ALLOCATOR_GO] = "Go",
	};
	return (unsigned int)kind < ALLOCATOR_KIND_MAX ? names[kind] : "?";
}

const char *allocator_role_name(enum allocator_role role)
{
	static const char *const names[ALLOCATOR_ROLE_MAX] = {
		[ALLOCATOR_MALLOC] = "malloc",
		[ALLOCATOR_CALLOC] = "calloc",
		[ALLOCATOR_REALLOC] = "realloc",
		[ALLOCATOR_ALIGNED] = "aligned",
		[ALLOCATOR_POSIX_MEMALIGN] = "posix_memalign",
		[ALLOCATOR_FREE] = "free",
		[ALLOCATOR_SAMPLED] = "sampled",
		[ALLOCATOR_SAMPLED_FREE] = "sampled free",
	};
	return (unsigned int)role < ALLOCATOR_ROLE_MAX && names[role] ? names[role] : "?";
}
