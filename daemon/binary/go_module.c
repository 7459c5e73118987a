/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The moduledata has no section or symbol in a stripped program. It begins with a pointer to the
 * function table, so it is found where that pointer is: in the data of a program with fixed addresses,
 * or in the relocations of a position-independent one, whose data may hold zeros until it is loaded.
 */
#include "binary/go_module.h"

#include <errno.h>
#include <string.h>

#define RELOCATIONS_LIMIT (1ULL << 30)

static bool is_relative(const struct elf_file *elf, const Elf64_Rela *rela)
{
	uint64_t type = ELF64_R_TYPE(rela->r_info);
	return type == (elf->machine == EM_AARCH64 ? R_AARCH64_RELATIVE : R_X86_64_RELATIVE);
}

static Elf64_Rela relocation_at(const struct elf_data *relocations, size_t i)
{
	Elf64_Rela rela;
	memcpy(&rela, relocations->bytes + i * sizeof(rela), sizeof(rela));
	return rela;
}

/* The words in the file at `address`, with the relocations that fall on them. */
static bool read_words(const struct elf_file *elf, const struct elf_data *relocations,
		       uint64_t address, struct go_module *ret)
{
	size_t size;
	const unsigned char *bytes = elf_file_at_address(elf, address, &size);
	if (!bytes || size < sizeof(ret->words))
		return false;
	memcpy(ret->words, bytes, sizeof(ret->words));
	for (size_t i = 0; i < relocations->size / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela = relocation_at(relocations, i);
		uint64_t offset = rela.r_offset - address;
		if (offset < sizeof(ret->words) && offset % 8 == 0 && is_relative(elf, &rela))
			ret->words[offset / 8] = (uint64_t)rela.r_addend;
	}
	return true;
}

struct search {
	const struct elf_file *elf;
	struct elf_data relocations;
	uint64_t table_address, function_count;
};

static bool is_module(const struct search *s, uint64_t address, struct go_module *ret)
{
	return read_words(s->elf, &s->relocations, address, ret) &&
	       ret->words[GO_MODULE_TABLE] == s->table_address &&
	       ret->words[GO_MODULE_FUNCTION_COUNT] == s->function_count + 1 &&
	       ret->words[GO_MODULE_FUNCTIONS] > s->table_address;
}

static bool find_in_relocations(const struct search *s, struct go_module *ret)
{
	for (size_t i = 0; i < s->relocations.size / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela = relocation_at(&s->relocations, i);
		if ((uint64_t)rela.r_addend == s->table_address && is_relative(s->elf, &rela) &&
		    is_module(s, rela.r_offset, ret))
			return true;
	}
	return false;
}

static bool find_in_data(const struct search *s, struct go_module *ret)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(s->elf, i, &segment); i++) {
		size_t size;
		const unsigned char *bytes =
			segment.p_type == PT_LOAD && (segment.p_flags & PF_W)
				? elf_file_at_address(s->elf, segment.p_vaddr, &size)
				: NULL;
		for (size_t at = -segment.p_vaddr & 7; bytes && at + 8 <= size; at += 8)
			if (!memcmp(bytes + at, &s->table_address, 8) &&
			    is_module(s, segment.p_vaddr + at, ret))
				return true;
	}
	return false;
}

bool go_module_find(const struct elf_file *elf, uint64_t table_address, uint64_t function_count,
		    struct go_module *ret)
{
	struct search s = {
		.elf = elf, .table_address = table_address, .function_count = function_count};
	if (elf_file_data(elf, ".rela.dyn", RELOCATIONS_LIMIT, &s.relocations) < 0)
		elf_file_data(elf, ".rela", RELOCATIONS_LIMIT, &s.relocations);
	bool found = find_in_relocations(&s, ret) || find_in_data(&s, ret);
	elf_data_free(&s.relocations);
	return found;
}
