/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds every source of unwind information in a file and has it read.
 */
#include "binary/unwind_build.h"

#include "binary/unwind_code.h"
#include "binary/unwind_gaps.h"
#include "binary/unwind_go.h"
#include "binary/unwind_saves.h"

#include <dwarf.h>
#include <errno.h>

#define MAX_CFI_SIZE (512ULL << 20)

static int read_section(const struct elf_file *elf, const Elf64_Shdr *header, bool debug_frame,
			struct unwind_rows *rows, struct unwind_build_statistics *statistics)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	int r = elf_file_section_data(elf, header, MAX_CFI_SIZE, &data);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	struct cfi_section section = {.bytes = data.bytes, .size = data.size,
				      .address = header->sh_addr, .debug_frame = debug_frame,
				      .is_32_bit = elf_file_is_32_bit(elf)};
	statistics->cfi_bytes += data.size;
	return cfi_read(elf, &section, rows, &statistics->cfi);
}

/*
 * PT_GNU_EH_FRAME leads to .eh_frame_hdr (LSB, "DWARF exception header"), whose first field leads to
 * .eh_frame; its size is not known, a zero length ends it.
 */
static int read_by_segment(const struct elf_file *elf, struct unwind_rows *rows,
			   struct unwind_build_statistics *statistics)
{
	Elf64_Phdr segment;
	for (uint32_t i = 0; elf_file_segment(elf, i, &segment); i++) {
		const unsigned char *bytes = elf_file_range(elf, segment.p_offset,
							    segment.p_filesz);
		if (segment.p_type != PT_GNU_EH_FRAME || !bytes || segment.p_filesz < 8)
			continue;
		struct cfi_section header = {.bytes = bytes, .size = segment.p_filesz,
					     .address = segment.p_vaddr,
					     .is_32_bit = elf_file_is_32_bit(elf)};
		struct cursor c = cursor_over(bytes, segment.p_filesz);
		uint8_t version = cursor_u8(&c);
		uint8_t encoding = cursor_u8(&c);
		cursor_u16(&c); /* encodings of the search table */
		struct cfi_section section = {.ends_with_zero = true, .is_32_bit = header.is_32_bit};
		section.address = cfi_encoded(&c, encoding, &header);
		section.bytes = elf_file_at_address(elf, section.address, &section.size);
		if (version != 1 || c.failed || !section.bytes)
			continue;
		return cfi_read(elf, &section, rows, &statistics->cfi);
	}
	return 0;
}

/* A separate debug file names .eh_frame without having it; its segments lead nowhere. */
static bool names_eh_frame(const struct elf_file *elf)
{
	Elf64_Shdr section;
	for (uint32_t i = 0; elf_file_section(elf, i, &section); i++)
		if (!strcmp(elf_file_section_name(elf, &section), ".eh_frame"))
			return true;
	return false;
}

static int read_all(const struct elf_file *elf, struct unwind_rows *rows,
		    struct unwind_build_statistics *statistics)
{
	Elf64_Shdr section;
	int r = 0;
	if (elf_file_find_section(elf, ".eh_frame", &section, NULL))
		r = read_section(elf, &section, false, rows, statistics);
	else if (!names_eh_frame(elf))
		r = read_by_segment(elf, rows, statistics);
	bool go = unwind_go_has_table(elf);
	if (r == 0 && go)
		r = unwind_go_read(elf, rows, &statistics->go_functions);
	else if (r == 0 && elf_file_find_section(elf, ".debug_frame", &section, NULL))
		r = read_section(elf, &section, true, rows, statistics);
	if (r == 0)
		r = unwind_saves_read(elf, rows);
	if (r == 0)
		r = unwind_code_read(elf, rows);
	/* Go's compiler keeps frame pointers: see outside_rule(). */
	return r < 0 || go ? r : unwind_gaps_read(elf, UNWIND_GAPS_WORTHWHILE, rows);
}

/* Go code, whose compiler keeps frame pointers, is outside when its table was not understood. */
static struct unwind_rule outside_rule(const struct elf_file *elf)
{
	bool go = unwind_go_has_table(elf);
	return (struct unwind_rule){.kind = go ? RULE_FRAME_POINTER : RULE_NONE};
}

int unwind_build(const struct elf_file *elf, struct unwind_image *ret,
		 struct unwind_build_statistics *statistics)
{
	struct unwind_build_statistics ignored = {0};
	_cleanup_free_ struct unwind_rows *rows = malloc(sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	int r = unwind_rows_init(rows, elf);
	if (r == 0)
		r = read_all(elf, rows, statistics ? statistics : &ignored);
	if (r == 0)
		r = unwind_layout(rows, elf->machine == EM_X86_64, outside_rule(elf), ret);
	unwind_rows_free(rows);
	return r;
}
