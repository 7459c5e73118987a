/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A relocation of the variable says how it is reached. Where there is none in an executable, the linker knew its
 * place: the executable's variables are the ones next to the thread pointer.
 */
#include "binary/thread_variable.h"

#include <string.h>

/* Not in every elf.h. */
#define AARCH64_TLS_DTPMOD 1028
#define AARCH64_TLS_TPREL 1030
#define AARCH64_TLSDESC 1031

#define AARCH64_THREAD_HEADER 16 /* between the thread pointer and the first variable */

struct found_symbol {
	uint32_t index;
	uint64_t value; /* offset in the module's block */
	bool is_defined;
};

static bool name_matches(const struct elf_data *names, uint32_t at, const char *name)
{
	size_t size = strlen(name) + 1;
	return at < names->size && names->size - at >= size && !memcmp(names->bytes + at, name, size);
}

static bool find_symbol(const struct elf_file *elf, const char *name, struct found_symbol *ret)
{
	Elf64_Shdr section, name_section;
	_cleanup_elf_data_ struct elf_data symbols = {0}, names = {0};
	if (!elf_file_find_section_type(elf, SHT_DYNSYM, &section, NULL) ||
	    !elf_file_section(elf, section.sh_link, &name_section) ||
	    elf_file_section_data(elf, &section, ELF_DATA_LIMIT, &symbols) < 0 ||
	    elf_file_section_data(elf, &name_section, ELF_DATA_LIMIT, &names) < 0)
		return false;
	for (size_t i = 1; i < symbols.size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym symbol;
		memcpy(&symbol, symbols.bytes + i * sizeof(symbol), sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) != STT_TLS || !name_matches(&names, symbol.st_name, name))
			continue;
		*ret = (struct found_symbol){(uint32_t)i, symbol.st_value, symbol.st_shndx != SHN_UNDEF};
		return true;
	}
	return false;
}

static enum thread_variable_access access_of(const struct elf_file *elf, uint64_t type)
{
	bool is_arm64 = elf->machine == EM_AARCH64;
	if (type == (is_arm64 ? AARCH64_TLSDESC : R_X86_64_TLSDESC))
		return THREAD_VARIABLE_DESCRIPTOR;
	if (type == (is_arm64 ? AARCH64_TLS_DTPMOD : R_X86_64_DTPMOD64))
		return THREAD_VARIABLE_MODULE_SLOT;
	if (type == (is_arm64 ? AARCH64_TLS_TPREL : R_X86_64_TPOFF64))
		return THREAD_VARIABLE_OFFSET_SLOT;
	return THREAD_VARIABLE_NONE;
}

/* Is the relocation of the symbol, by its index, or (linked with -Bsymbolic) by its place in the block? The number
 * of the own module alone is that of any of its variables. */
static bool is_of_symbol(const Elf64_Rela *relocation, enum thread_variable_access access,
			 const struct found_symbol *symbol)
{
	uint64_t index = ELF64_R_SYM(relocation->r_info);
	return index == symbol->index ||
	       (index == 0 && access != THREAD_VARIABLE_MODULE_SLOT && symbol->is_defined &&
		(uint64_t)relocation->r_addend == symbol->value);
}

static bool find_in_section(const struct elf_file *elf, const Elf64_Shdr *section,
			    const struct found_symbol *symbol, struct thread_variable *ret)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	if (section->sh_type != SHT_RELA || elf_file_section_data(elf, section, ELF_DATA_LIMIT, &data) < 0)
		return false;
	for (size_t i = 0; i < data.size / sizeof(Elf64_Rela); i++) {
		Elf64_Rela relocation;
		memcpy(&relocation, data.bytes + i * sizeof(relocation), sizeof(relocation));
		enum thread_variable_access access = access_of(elf, ELF64_R_TYPE(relocation.r_info));
		if (access == THREAD_VARIABLE_NONE || !is_of_symbol(&relocation, access, symbol))
			continue;
		ret->access = access;
		ret->slot = relocation.r_offset;
		return true;
	}
	return false;
}

/* In an executable, which is the first module: its block's end (x86-64) or begin (arm64) is at the thread pointer,
 * as far as the block's alignment lets it. */
static void place_in_executable(const struct elf_file *elf, const struct found_symbol *symbol,
				struct thread_variable *ret)
{
	Elf64_Phdr segment;
	bool has_interpreter = false, has_block = false;
	uint64_t address = 0, size = 0, mask = 0;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		has_interpreter |= segment.p_type == PT_INTERP;
		if (segment.p_type != PT_TLS)
			continue;
		has_block = true;
		address = segment.p_vaddr;
		size = segment.p_memsz;
		mask = segment.p_align ? segment.p_align - 1 : 0;
	}
	if (!has_block || !symbol->is_defined || (elf->type != ET_EXEC && !has_interpreter))
		return;
	uint64_t offset = elf->machine == EM_AARCH64
				  ? symbol->value + AARCH64_THREAD_HEADER + ((address - AARCH64_THREAD_HEADER) & mask)
				  : symbol->value - size - ((-address - size) & mask);
	ret->access = THREAD_VARIABLE_FIXED;
	ret->offset = (int64_t)offset;
}

void thread_variable_find(const struct elf_file *elf, const char *name, struct thread_variable *ret)
{
	struct found_symbol symbol;
	Elf64_Shdr section;
	*ret = (struct thread_variable){.access = THREAD_VARIABLE_NONE};
	/* Where 32-bit programs have it no reader looks yet. */
	if (elf_file_is_32_bit(elf) || !find_symbol(elf, name, &symbol))
		return;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++)
		if (find_in_section(elf, &section, &symbol, ret))
			return;
	place_in_executable(elf, &symbol, ret);
}
