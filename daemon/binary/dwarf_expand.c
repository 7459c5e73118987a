/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The new file has the old one's header without segments, the sections that are needed, and what ties a debug file
 * to others: its build id and its link to a supplementary file. Layout: header, sections, their names, their headers
 * (generic ABI).
 */
#include "binary/dwarf_expand.h"

#include "base/array.h"
#include "binary/facts.h"

#include <errno.h>
#include <string.h>

#define ALIGNMENT 16

struct image {
	struct text *file;
	struct text names;
	ARRAY(Elf64_Shdr) sections;
	bool any_compressed;
};

/* "x" of ".debug_x" and of ".zdebug_x"; NULL: another section. */
static const char *debug_word(const char *name)
{
	if (!strncmp(name, ".zdebug_", 8))
		return name + 8;
	return strncmp(name, ".debug_", 7) == 0 ? name + 7 : NULL;
}

/* Without those that libdw reads and that hold nothing of lines, functions and calls (DWARF 5, section 7 and
 * appendix B). */
bool dwarf_needs_section(const char *name)
{
	static const char *const needless[] = {
		"loc", "loclists", "macinfo", "macro", "frame", "pubnames", "pubtypes",
	};
	const char *word = debug_word(name);
	for (size_t i = 0; word && i < ARRAY_LENGTH(needless); i++)
		if (!strcmp(word, needless[i]))
			return false;
	return word != NULL;
}

static bool is_taken(const char *name, const Elf64_Shdr *section)
{
	if (section->sh_type == SHT_NOBITS)
		return false;
	return dwarf_needs_section(name) || !strcmp(name, ".gnu_debugaltlink") ||
	       !strcmp(name, ".note.gnu.build-id");
}

static void align(struct text *file)
{
	static const char zeros[ALIGNMENT];
	text_add_bytes(file, zeros, (ALIGNMENT - file->length % ALIGNMENT) % ALIGNMENT);
}

static int add_name(struct image *image, const char *name, Elf64_Word *ret)
{
	const char *word = debug_word(name);
	*ret = (Elf64_Word)image->names.length;
	if (word)
		text_add(&image->names, ".debug_%s", word);
	else
		text_add_string(&image->names, name);
	text_add_bytes(&image->names, "", 1);
	return image->names.failed ? -ENOMEM : 0;
}

static int add_section(struct image *image, const struct elf_file *elf, const char *name,
		       Elf64_Shdr section)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	int r = elf_file_section_data(elf, &section, DWARF_EXPANDED_LIMIT, &data);
	if (r == 0 && image->file->length + data.size > DWARF_EXPANDED_LIMIT)
		r = -E2BIG;
	if (r == 0)
		r = add_name(image, name, &section.sh_name);
	if (r < 0)
		return r;
	image->any_compressed |= data.owned != NULL;
	align(image->file);
	section.sh_offset = image->file->length;
	section.sh_size = data.size;
	section.sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
	section.sh_addralign = 1;
	section.sh_link = section.sh_info = 0;
	text_add_bytes(image->file, data.bytes, data.size);
	return image->file->failed ? -ENOMEM : array_add(&image->sections, section);
}

static int add_sections(struct image *image, const struct elf_file *elf)
{
	Elf64_Shdr section;
	int r = array_add(&image->sections, (Elf64_Shdr){0});
	text_add_bytes(&image->names, "", 1);
	for (uint32_t i = 0; r == 0 && elf_file_section(elf, i, &section); i++) {
		const char *name = elf_file_section_name(elf, &section);
		if (is_taken(name, &section))
			r = add_section(image, elf, name, section);
	}
	return r;
}

static int add_names(struct image *image)
{
	Elf64_Shdr section = {.sh_type = SHT_STRTAB, .sh_addralign = 1};
	int r = add_name(image, ".shstrtab", &section.sh_name);
	if (r < 0)
		return r;
	section.sh_offset = image->file->length;
	section.sh_size = image->names.length;
	text_add_bytes(image->file, image->names.bytes, image->names.length);
	return array_add(&image->sections, section);
}

static void add_headers(struct image *image)
{
	Elf64_Ehdr header;
	align(image->file);
	uint64_t at = image->file->length;
	text_add_bytes(image->file, image->sections.items,
		       image->sections.count * sizeof(Elf64_Shdr));
	if (image->file->failed)
		return;
	memcpy(&header, image->file->bytes, sizeof(header));
	header.e_shoff = at;
	header.e_shnum = (Elf64_Half)image->sections.count;
	header.e_shstrndx = (Elf64_Half)(image->sections.count - 1);
	header.e_shentsize = sizeof(Elf64_Shdr);
	header.e_phoff = 0;
	header.e_phnum = header.e_phentsize = 0;
	memcpy(image->file->bytes, &header, sizeof(header));
}

static int write_image(struct image *image, const struct elf_file *elf)
{
	text_add_bytes(image->file, elf->bytes, sizeof(Elf64_Ehdr));
	int r = add_sections(image, elf);
	if (r == 0 && !image->any_compressed)
		r = -ENODATA;
	if (r == 0)
		r = add_names(image);
	if (r == 0 && image->sections.count >= SHN_LORESERVE)
		r = -E2BIG;
	if (r < 0)
		return r;
	add_headers(image);
	return image->file->failed ? -ENOMEM : 0;
}

static bool any_is_compressed(const struct elf_file *elf)
{
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		const char *name = elf_file_section_name(elf, &section);
		if (dwarf_needs_section(name) &&
		    (section.sh_flags & SHF_COMPRESSED || !strncmp(name, ".z", 2)))
			return true;
	}
	return false;
}

int dwarf_expand(const struct elf_file *elf, struct text *ret)
{
	struct image image = {.file = ret};
	struct binary_facts facts = {0};
	if (elf_file_is_32_bit(elf) || !any_is_compressed(elf)) /* what is written here are 64-bit headers */
		return -ENODATA;
	elf_file_facts(elf, &facts);
	if (facts.flags & FACTS_IS_GO)
		return -ENODATA;
	int r = write_image(&image, elf);
	text_free(&image.names);
	array_free(&image.sections);
	return r == -E2BIG ? -ENODATA : r;
}
