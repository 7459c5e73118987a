/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Identity of an ELF file: notes (GNU and Go build ids), its load segments, and whether it tells trace contexts,
 * as struct binary_facts.
 */
#include "binary/elf_file.h"
#include "binary/facts.h"
#include "binary/file_identity.h"
#include "binary/thread_variable.h"

#include <errno.h>
#include <string.h>

#define NT_GO_BUILD_ID 4 /* cmd/internal/buildid of the Go toolchain: owner "Go" */
/* Programs have some hundred bytes of notes. A file may claim all of itself, and zeros are notes without end. */
#define MAX_NOTE_BYTES (1UL << 20)

struct note_range {
	const unsigned char *bytes;
	size_t size;
	size_t alignment; /* of name and description: 4, or 8 in a segment aligned to 8 */
};

static size_t align_up(size_t n, size_t alignment)
{
	return (n + alignment - 1) & ~(alignment - 1);
}

/* The owner's size counts its NUL, and Go's linker even the padding after it. */
static bool owner_matches(const unsigned char *name, size_t size, const char *owner)
{
	size_t length = strlen(owner);
	return size > length && size <= align_up(length + 1, 4) && !memcmp(name, owner, length) &&
	       name[length] == '\0';
}

static const unsigned char *find_in_range(const struct note_range *range, const char *owner,
					  uint32_t type, size_t *ret_size)
{
	size_t at = 0;
	Elf64_Nhdr note;
	while (at <= range->size && range->size - at >= sizeof(note)) {
		memcpy(&note, range->bytes + at, sizeof(note));
		size_t name = at + sizeof(note);
		/* Both sizes are 32-bit numbers: these sums cannot overflow 64 bits. */
		size_t description = align_up(name + note.n_namesz, range->alignment);
		size_t end = description + note.n_descsz;
		if (end > range->size)
			return NULL;
		if (note.n_type == type && owner_matches(range->bytes + name, note.n_namesz, owner)) {
			*ret_size = note.n_descsz;
			return range->bytes + description;
		}
		at = align_up(end, range->alignment);
	}
	return NULL;
}

/* What may still be looked at of so many bytes. */
static size_t take_from(size_t *budget, uint64_t size)
{
	size_t taken = MIN_OF(size, (uint64_t)*budget);
	*budget -= taken;
	return taken;
}

const unsigned char *elf_file_find_note(const struct elf_file *elf, const char *owner,
					uint32_t type, size_t *ret_size)
{
	size_t budget = MAX_NOTE_BYTES;
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		struct note_range range = {elf_file_range(elf, segment.p_offset, segment.p_filesz),
					   segment.p_filesz, segment.p_align == 8 ? 8 : 4};
		if (segment.p_type != PT_NOTE || !range.bytes)
			continue;
		range.size = take_from(&budget, segment.p_filesz);
		const unsigned char *found = find_in_range(&range, owner, type, ret_size);
		if (found)
			return found;
	}
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++) {
		struct note_range range = {elf_file_range(elf, section.sh_offset, section.sh_size),
					   section.sh_size, section.sh_addralign == 8 ? 8 : 4};
		if (section.sh_type != SHT_NOTE || !range.bytes)
			continue;
		range.size = take_from(&budget, section.sh_size);
		const unsigned char *found = find_in_range(&range, owner, type, ret_size);
		if (found)
			return found;
	}
	return NULL;
}

static void add_segments(const struct elf_file *elf, struct binary_facts *facts, bool executable)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		if (segment.p_type != PT_LOAD || !!(segment.p_flags & PF_X) != executable)
			continue;
		if (facts->segment_count == FACTS_MAX_SEGMENTS)
			return;
		facts->segments[facts->segment_count++] = (struct facts_segment){
			.offset = segment.p_offset,
			.address = segment.p_vaddr,
			.file_size = segment.p_filesz,
			.memory_size = segment.p_memsz,
			.flags = segment.p_flags,
		};
	}
}

static void read_build_ids(const struct elf_file *elf, struct binary_facts *facts)
{
	size_t size;
	const unsigned char *id = elf_file_find_note(elf, "GNU", NT_GNU_BUILD_ID, &size);
	if (id && size <= BUILD_ID_MAX) {
		memcpy(facts->build_id, id, size);
		facts->build_id_size = size;
	}
	id = elf_file_find_note(elf, "Go", NT_GO_BUILD_ID, &size);
	if (id) {
		memcpy(facts->go_build_id, id, MIN_OF(size, sizeof(facts->go_build_id) - 1));
		facts->flags |= FACTS_IS_GO;
	}
}

void elf_file_facts(const struct elf_file *elf, struct binary_facts *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->machine = elf->machine;
	ret->elf_type = elf->type;
	add_segments(elf, ret, true);
	add_segments(elf, ret, false);
	read_build_ids(elf, ret);
	bytes_htlhash(elf->bytes, elf->size, ret->htlhash);
	thread_variable_find(elf, THREAD_CONTEXT_SYMBOL, &ret->context);
	if (elf_file_debuglink(elf, ret->debuglink, &ret->debuglink_crc) < 0)
		ret->debuglink[0] = '\0';
	Elf64_Shdr section;
	if (elf_file_find_section_type(elf, SHT_SYMTAB, &section, NULL))
		ret->flags |= FACTS_HAS_SYMTAB;
	if (elf_file_find_section(elf, ".debug_info", &section, NULL) &&
	    elf_file_find_section(elf, ".debug_line", &section, NULL))
		ret->flags |= FACTS_HAS_DWARF;
	if (elf_file_find_section(elf, ".gnu_debugdata", &section, NULL))
		ret->flags |= FACTS_HAS_MINIDEBUG;
	if (elf_file_find_section(elf, ".gopclntab", &section, NULL) ||
	    elf_file_find_section(elf, ".go.buildinfo", &section, NULL))
		ret->flags |= FACTS_IS_GO;
}
