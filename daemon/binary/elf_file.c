/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers, segments and sections of an ELF file: tool interface standard ELF 1.2 and the System V
 * generic ABI (extended numbering: section 0 holds what does not fit the file header).
 */
#include "binary/elf_file.h"

#include <errno.h>
#include <string.h>

#define MAX_SEGMENTS (1U << 16)
#define MAX_SECTIONS (1U << 20)

static bool read_section(const struct elf_file *elf, uint64_t table, uint64_t i, Elf64_Shdr *ret)
{
	uint64_t offset;
	if (__builtin_add_overflow(table, i * sizeof(*ret), &offset))
		return false;
	const void *bytes = elf_file_range(elf, offset, sizeof(*ret));
	if (!bytes)
		return false;
	memcpy(ret, bytes, sizeof(*ret));
	return true;
}

static void open_section_names(struct elf_file *elf, uint32_t index)
{
	Elf64_Shdr names;
	if (!elf_file_section(elf, index, &names) || names.sh_type != SHT_STRTAB)
		return;
	const char *bytes = elf_file_range(elf, names.sh_offset, names.sh_size);
	/* Requiring the last byte to be NUL makes every name inside end in bounds. */
	if (!bytes || !names.sh_size || bytes[names.sh_size - 1] != '\0')
		return;
	elf->names_offset = names.sh_offset;
	elf->names_size = names.sh_size;
}

/* Broken section headers are as good as none: a running program needs only its segments. */
static void open_sections(struct elf_file *elf, const Elf64_Ehdr *header)
{
	Elf64_Shdr first;
	if (header->e_shentsize != sizeof(Elf64_Shdr) || !header->e_shoff ||
	    !read_section(elf, header->e_shoff, 0, &first))
		return;
	uint64_t count = header->e_shnum ? header->e_shnum : first.sh_size;
	if (count > MAX_SECTIONS ||
	    !elf_file_range(elf, header->e_shoff, count * sizeof(Elf64_Shdr)))
		return;
	elf->sections_offset = header->e_shoff;
	elf->section_count = count;
	open_section_names(elf, header->e_shstrndx == SHN_XINDEX ? first.sh_link
								 : header->e_shstrndx);
}

static int open_segments(struct elf_file *elf, const Elf64_Ehdr *header)
{
	uint64_t count = header->e_phnum;
	Elf64_Shdr first;
	if (count == PN_XNUM) {
		if (!read_section(elf, header->e_shoff, 0, &first))
			return -EBADMSG;
		count = first.sh_info;
	}
	if (!count)
		return 0;
	if (header->e_phentsize != sizeof(Elf64_Phdr) || count > MAX_SEGMENTS ||
	    !elf_file_range(elf, header->e_phoff, count * sizeof(Elf64_Phdr)))
		return -EBADMSG;
	elf->segments_offset = header->e_phoff;
	elf->segment_count = count;
	return 0;
}

int elf_file_open(const void *bytes, size_t size, struct elf_file *ret)
{
	struct elf_file elf = {.bytes = bytes, .size = size};
	Elf64_Ehdr header;
	const void *start = elf_file_range(&elf, 0, sizeof(header));
	if (!start)
		return -EBADMSG;
	memcpy(&header, start, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG))
		return -EBADMSG;
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOTSUP;
	if (header.e_machine != EM_X86_64 && header.e_machine != EM_AARCH64)
		return -ENOTSUP;
	elf.machine = header.e_machine;
	elf.type = header.e_type;
	elf.entry = header.e_entry;
	int r = open_segments(&elf, &header);
	if (r < 0)
		return r;
	open_sections(&elf, &header);
	*ret = elf;
	return 0;
}

bool elf_file_segment(const struct elf_file *elf, uint32_t i, Elf64_Phdr *ret)
{
	if (i >= elf->segment_count)
		return false;
	const void *bytes = elf_file_range(elf, elf->segments_offset + i * sizeof(*ret),
					   sizeof(*ret));
	if (!bytes)
		return false;
	memcpy(ret, bytes, sizeof(*ret));
	return true;
}

bool elf_file_section(const struct elf_file *elf, uint32_t i, Elf64_Shdr *ret)
{
	return i < elf->section_count && read_section(elf, elf->sections_offset, i, ret);
}

const char *elf_file_section_name(const struct elf_file *elf, const Elf64_Shdr *section)
{
	if (section->sh_name >= elf->names_size)
		return "";
	return (const char *)elf->bytes + elf->names_offset + section->sh_name;
}

static bool name_matches(const char *actual, const char *wanted)
{
	if (!strcmp(actual, wanted))
		return true;
	return !strncmp(wanted, ".debug_", 7) && !strncmp(actual, ".zdebug_", 8) &&
	       !strcmp(actual + 8, wanted + 7);
}

bool elf_file_find_section(const struct elf_file *elf, const char *name, Elf64_Shdr *ret,
			   uint32_t *ret_index)
{
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		if (section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL ||
		    !name_matches(elf_file_section_name(elf, &section), name))
			continue;
		*ret = section;
		if (ret_index)
			*ret_index = i;
		return true;
	}
	return false;
}

bool elf_file_find_section_type(const struct elf_file *elf, uint32_t type, Elf64_Shdr *ret,
				uint32_t *ret_index)
{
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		if (section.sh_type != type)
			continue;
		*ret = section;
		if (ret_index)
			*ret_index = i;
		return true;
	}
	return false;
}

static bool find_load(const struct elf_file *elf, uint64_t address, Elf64_Phdr *ret)
{
	for (uint32_t i = 0; elf_file_segment(elf, i, ret); i++)
		if (ret->p_type == PT_LOAD && address >= ret->p_vaddr &&
		    address - ret->p_vaddr < ret->p_filesz)
			return true;
	return false;
}

bool elf_file_address_to_offset(const struct elf_file *elf, uint64_t address, uint64_t *ret_offset)
{
	Elf64_Phdr load;
	if (!find_load(elf, address, &load))
		return false;
	return !__builtin_add_overflow(load.p_offset, address - load.p_vaddr, ret_offset);
}

const unsigned char *elf_file_at_address(const struct elf_file *elf, uint64_t address,
					 size_t *ret_size)
{
	Elf64_Phdr load;
	if (!find_load(elf, address, &load))
		return NULL;
	uint64_t skip = address - load.p_vaddr;
	uint64_t offset;
	if (__builtin_add_overflow(load.p_offset, skip, &offset) || offset >= elf->size)
		return NULL;
	/* A segment that claims more than the file has is cut to what there is. */
	*ret_size = MIN_OF(load.p_filesz - skip, elf->size - offset);
	return elf->bytes + offset;
}
