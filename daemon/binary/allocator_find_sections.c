/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocator by allocator: its facts, and a probe for each function, where it is cheapest.
 */
#include "binary/allocator_find_state.h"

#include "binary/allocator_point.h"

#include <elf.h>

#define MAX_CANDIDATES (ALLOCATOR_MAX_PROBES - 2 * ALLOCATOR_MAX_SAMPLER_PROBES)

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

int finder_write(struct finder *finder, struct allocator_sections *ret)
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
