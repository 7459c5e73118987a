/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers, segments and sections of an ELF file: tool interface standard ELF 1.2 and the System V
 * generic ABI (extended numbering: section 0 holds what does not fit the file header). The headers of 32-bit files
 * have the same fields, of other sizes and in another order: they are widened where they are copied out.
 */
#include "binary/elf_file.h"

#include <errno.h>
#include <string.h>

#define MAX_SEGMENTS (1U << 16)
#define MAX_SECTIONS (1U << 20)

static Elf64_Ehdr widen_header(const void *bytes)
{
	Elf32_Ehdr h;
	memcpy(&h, bytes, sizeof(h));
	Elf64_Ehdr wide = {
		.e_type = h.e_type,
		.e_machine = h.e_machine,
		.e_version = h.e_version,
		.e_entry = h.e_entry,
		.e_phoff = h.e_phoff,
		.e_shoff = h.e_shoff,
		.e_flags = h.e_flags,
		.e_ehsize = h.e_ehsize,
		.e_phentsize = h.e_phentsize,
		.e_phnum = h.e_phnum,
		.e_shentsize = h.e_shentsize,
		.e_shnum = h.e_shnum,
		.e_shstrndx = h.e_shstrndx,
	};
	memcpy(wide.e_ident, h.e_ident, EI_NIDENT);
	return wide;
}

static Elf64_Shdr widen_section(const void *bytes)
{
	Elf32_Shdr s;
	memcpy(&s, bytes, sizeof(s));
	return (Elf64_Shdr){
		.sh_name = s.sh_name,
		.sh_type = s.sh_type,
		.sh_flags = s.sh_flags,
		.sh_addr = s.sh_addr,
		.sh_offset = s.sh_offset,
		.sh_size = s.sh_size,
		.sh_link = s.sh_link,
		.sh_info = s.sh_info,
		.sh_addralign = s.sh_addralign,
		.sh_entsize = s.sh_entsize,
	};
}

static Elf64_Phdr widen_segment(const void *bytes)
{
	Elf32_Phdr s;
	memcpy(&s, bytes, sizeof(s));
	return (Elf64_Phdr){
		.p_type = s.p_type,
		.p_flags = s.p_flags,
		.p_offset = s.p_offset,
		.p_vaddr = s.p_vaddr,
		.p_paddr = s.p_paddr,
		.p_filesz = s.p_filesz,
		.p_memsz = s.p_memsz,
		.p_align = s.p_align,
	};
}

static size_t section_size(const struct elf_file *elf)
{
	return elf_file_is_32_bit(elf) ? sizeof(Elf32_Shdr) : sizeof(Elf64_Shdr);
}

static size_t segment_size(const struct elf_file *elf)
{
	return elf_file_is_32_bit(elf) ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr);
}

static bool read_section(const struct elf_file *elf, uint64_t table, uint64_t i, Elf64_Shdr *ret)
{
	uint64_t offset, size = section_size(elf);
	if (__builtin_add_overflow(table, i * size, &offset))
		return false;
	const void *bytes = elf_file_range(elf, offset, size);
	if (!bytes)
		return false;
	if (elf_file_is_32_bit(elf))
		*ret = widen_section(bytes);
	else
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
	if (header->e_shentsize != section_size(elf) || !header->e_shoff ||
	    !read_section(elf, header->e_shoff, 0, &first))
		return;
	uint64_t count = header->e_shnum ? header->e_shnum : first.sh_size;
	if (count > MAX_SECTIONS ||
	    !elf_file_range(elf, header->e_shoff, count * section_size(elf)))
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
	if (header->e_phentsize != segment_size(elf) || count > MAX_SEGMENTS ||
	    !elf_file_range(elf, header->e_phoff, count * segment_size(elf)))
		return -EBADMSG;
	elf->segments_offset = header->e_phoff;
	elf->segment_count = count;
	return 0;
}

/* Returns 0, -EBADMSG or -ENOTSUP. */
static int read_header(const struct elf_file *elf, Elf64_Ehdr *ret)
{
	const unsigned char *start = elf_file_range(elf, 0, sizeof(Elf32_Ehdr));
	if (!start || memcmp(start, ELFMAG, SELFMAG))
		return -EBADMSG;
	if (start[EI_DATA] != ELFDATA2LSB)
		return -ENOTSUP;
	if (start[EI_CLASS] == ELFCLASS32) {
		*ret = widen_header(start);
		return ret->e_machine == EM_386 ? 0 : -ENOTSUP;
	}
	if (start[EI_CLASS] != ELFCLASS64)
		return -ENOTSUP;
	if (!elf_file_range(elf, 0, sizeof(*ret)))
		return -EBADMSG;
	memcpy(ret, start, sizeof(*ret));
	return ret->e_machine == EM_X86_64 || ret->e_machine == EM_AARCH64 ? 0 : -ENOTSUP;
}

int elf_file_open(const void *bytes, size_t size, struct elf_file *ret)
{
	struct elf_file elf = {.bytes = bytes, .size = size};
	Elf64_Ehdr header;
	int r = read_header(&elf, &header);
	if (r < 0)
		return r;
	elf.machine = header.e_machine;
	elf.type = header.e_type;
	elf.entry = header.e_entry;
	r = open_segments(&elf, &header);
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
	uint64_t size = segment_size(elf);
	const void *bytes = elf_file_range(elf, elf->segments_offset + i * size, size);
	if (!bytes)
		return false;
	if (elf_file_is_32_bit(elf))
		*ret = widen_segment(bytes);
	else
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
