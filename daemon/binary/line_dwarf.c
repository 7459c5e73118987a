/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is mapped privately and the headers of the sections that are not needed are changed to say that
 * there is nothing in them (SHT_NOBITS); the file itself stays as it is. Of a C library's compressed debug
 * file, a tenth of the time for its lines goes into decompressing where variables live.
 */
#include "binary/line_dwarf.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sections that libdw reads and that hold nothing of lines, functions and calls (DWARF 5, section 7 and
 * appendix B). */
static bool is_needless(const char *name)
{
	static const char *const needless[] = {
		"loc", "loclists", "macinfo", "macro", "frame", "pubnames", "pubtypes",
	};
	if (!strncmp(name, ".zdebug_", 8))
		name += 8;
	else if (!strncmp(name, ".debug_", 7))
		name += 7;
	else
		return false;
	for (size_t i = 0; i < ARRAY_LENGTH(needless); i++)
		if (!strcmp(name, needless[i]))
			return true;
	return false;
}

/* The headers lie inside the file: elf_file_open() saw to that. Their pages are mapped once more over
 * themselves, writable for us alone: the sandbox allows no mprotect(), and the whole file writable would count
 * against the child's memory. */
static int hide_needless(int fd, struct mapped_elf *file)
{
	const struct elf_file *elf = &file->elf;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t start = elf->sections_offset & ~(page - 1);
	size_t end = elf->sections_offset + elf->section_count * sizeof(Elf64_Shdr);
	Elf64_Shdr section;
	if (!elf->section_count)
		return 0;
	if (mmap((char *)file->bytes + start, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
		 (off_t)start) == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		if (!is_needless(elf_file_section_name(elf, &section)))
			continue;
		section.sh_type = SHT_NOBITS;
		memcpy((char *)file->bytes + elf->sections_offset + i * sizeof(section), &section,
		       sizeof(section));
	}
	return 0;
}

int line_dwarf_open(int fd, struct line_dwarf *ret)
{
	*ret = (struct line_dwarf){0};
	int r = mapped_elf_open(fd, &ret->file);
	if (r == 0)
		r = hide_needless(fd, &ret->file);
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
