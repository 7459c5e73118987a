/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is mapped privately, and the headers of some of its sections are changed there; the file itself stays
 * as it is. Sections that are not needed get a header that says there is nothing in them (SHT_NOBITS). Compressed
 * ones are decompressed behind the file, into the same mapping, and their headers say so: libdw would do it by
 * itself, through zlib, which takes more than twice the time. Of a C library's debug file, that is most of the
 * time for its lines.
 */
#include "binary/line_dwarf.h"

#include "binary/dwarf_expand.h"
#include "binary/file_pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECTION_ALIGNMENT 16UL
/* All sections of a file together; past it they are left to libdw, and to the child's limit of memory. */
#define MAX_EXPANDED (1UL << 30)

static size_t round_up(size_t size, size_t multiple)
{
	return (size + multiple - 1) / multiple * multiple;
}

/* The size of a section decompressed that is needed and is compressed; otherwise 0. */
static size_t expanded_size(const struct elf_file *elf, const Elf64_Shdr *section)
{
	size_t size;
	const char *name = elf_file_section_name(elf, section);
	if (!dwarf_needs_section(name) || name[1] == 'z' ||
	    elf_file_expanded_size(elf, section, &size) < 0)
		return 0;
	return size;
}

static size_t room_for_expanded(const struct elf_file *elf)
{
	Elf64_Shdr section;
	size_t room = 0;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++)
		room += round_up(expanded_size(elf, &section), SECTION_ALIGNMENT);
	return room <= MAX_EXPANDED ? room : 0;
}

/* Maps the file anew, with `room` bytes of memory behind it. *ret_start: where they begin. */
static int map_with_room(int fd, struct mapped_elf *file, size_t room, size_t *ret_start)
{
	size_t file_size = file->elf.size, start = round_up(file_size, (size_t)sysconf(_SC_PAGESIZE));
	size_t whole = start + room;
	char *bytes = mmap(NULL, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	mapped_elf_close(file);
	*file = (struct mapped_elf){.bytes = bytes, .size = whole};
	if (mmap(bytes, file_size, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED ||
	    mmap(bytes + start, room, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == MAP_FAILED)
		return -errno;
	*ret_start = start;
	return elf_file_open(bytes, file_size, &file->elf);
}

/* The headers lie inside the file: elf_file_open() saw to that. Their pages are mapped once more over
 * themselves, writable for us alone: the sandbox allows no mprotect(), and the whole file writable would count
 * against the child's memory. */
static int make_headers_writable(int fd, const struct mapped_elf *file)
{
	const struct elf_file *elf = &file->elf;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t start = elf->sections_offset & ~(page - 1);
	size_t end = elf->sections_offset + elf->section_count * sizeof(Elf64_Shdr);
	size_t behind = MIN_OF(round_up(end, page), elf->size);
	char *bytes = file->bytes;
	file_pages_remove(bytes, file->size);
	if (mmap(bytes + start, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (off_t)start) ==
	    MAP_FAILED)
		return -errno;
	file_pages_add(bytes, start);
	file_pages_add(bytes + behind, elf->size - behind);
	return 0;
}

/* Decompresses a section to `at` of the mapping and changes its header accordingly; one that is damaged stays
 * as it is. Returns the bytes used. */
static size_t expand(const struct mapped_elf *file, Elf64_Shdr *section, size_t at)
{
	size_t size = expanded_size(&file->elf, section);
	if (size == 0 || size > file->size - at ||
	    elf_file_expand(&file->elf, section, (char *)file->bytes + at, size) < 0)
		return 0;
	section->sh_offset = at;
	section->sh_size = size;
	section->sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
	section->sh_addralign = 1;
	return round_up(size, SECTION_ALIGNMENT);
}

static bool is_debug(const char *name)
{
	return !strncmp(name, ".debug_", 7) || !strncmp(name, ".zdebug_", 8);
}

static void change_sections(const struct mapped_elf *file, size_t room_start, size_t room)
{
	const struct elf_file *elf = &file->elf;
	Elf64_Shdr section;
	size_t at = room_start;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		const char *name = elf_file_section_name(elf, &section);
		if (is_debug(name) && !dwarf_needs_section(name))
			section.sh_type = SHT_NOBITS;
		else if (room)
			at += expand(file, &section, at);
		memcpy((char *)file->bytes + elf->sections_offset + i * sizeof(section), &section,
		       sizeof(section));
	}
}

static int prepare_sections(int fd, struct mapped_elf *file)
{
	if (elf_file_is_32_bit(&file->elf)) /* headers of another shape; libdw expands them, if need be */
		return 0;
	size_t room = room_for_expanded(&file->elf), start = file->elf.size;
	int r = room ? map_with_room(fd, file, room, &start) : 0;
	if (r < 0 || !file->elf.section_count)
		return r;
	r = make_headers_writable(fd, file);
	if (r == 0)
		change_sections(file, start, room);
	return r;
}

int line_dwarf_open(int fd, struct line_dwarf *ret)
{
	*ret = (struct line_dwarf){0};
	int r = mapped_elf_open(fd, &ret->file);
	if (r == 0)
		r = prepare_sections(fd, &ret->file);
	if (r < 0)
		return r;
	elf_version(EV_CURRENT);
	ret->elf = elf_memory(ret->file.bytes, ret->file.size);
	ret->dwarf = ret->elf ? dwarf_begin_elf(ret->elf, DWARF_C_READ, NULL) : NULL;
	return ret->dwarf ? 0 : -ENODATA;
}

void line_dwarf_close(struct line_dwarf *dwarf)
{
	dwarf_end(dwarf->dwarf);
	elf_end(dwarf->elf);
	mapped_elf_close(&dwarf->file);
	dwarf->dwarf = NULL;
	dwarf->elf = NULL;
}
