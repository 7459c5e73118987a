/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small hand-made ELF files with call frame information, and the tables built of them.
 */
#pragma once

#include "binary/unwind_build.h"

#include <string.h>

#define IMAGE_ADDRESS 0x400000
#define IMAGE_TEXT 0x1000 /* offset of the code */
#define IMAGE_TEXT_SIZE 0x1000
#define IMAGE_SIZE 0x4000
#define IMAGE_CFI 0x2000

/* One load segment over the whole file, .eh_frame (or .debug_frame) at IMAGE_CFI. */
struct cfi_image {
	unsigned char bytes[IMAGE_SIZE];
	size_t cfi_size;
};

struct built_table {
	struct unwind_image image;
	struct text artifact;
	struct unwind_table table;
	int result; /* of unwind_build() or unwind_table_check() */
};

static inline void cfi_image_bytes(struct cfi_image *f, const void *bytes, size_t size)
{
	memcpy(f->bytes + IMAGE_CFI + f->cfi_size, bytes, size);
	f->cfi_size += size;
}

static inline void cfi_image_u32(struct cfi_image *f, uint32_t word)
{
	cfi_image_bytes(f, &word, sizeof(word));
}

/* A CIE of x86-64: code factor 1, data factor -8, return address in 16, absolute addresses; CFA is
 * rsp + 8, return address at CFA - 8. Must come first. */
static inline void cfi_image_cie(struct cfi_image *f)
{
	static const unsigned char body[] = {1, 0, 1, 0x78, 16, 0x0c, 7, 8, 0x90, 1, 0, 0};
	cfi_image_u32(f, 4 + sizeof(body));
	cfi_image_u32(f, 0);
	cfi_image_bytes(f, body, sizeof(body));
}

/* A function at `offset` into the code. */
static inline void cfi_image_fde(struct cfi_image *f, uint64_t offset, uint64_t size,
				 const void *program, size_t program_size)
{
	uint64_t address = IMAGE_ADDRESS + IMAGE_TEXT + offset;
	cfi_image_u32(f, 4 + 16 + program_size);
	cfi_image_u32(f, f->cfi_size);
	cfi_image_bytes(f, &address, sizeof(address));
	cfi_image_bytes(f, &size, sizeof(size));
	cfi_image_bytes(f, program, program_size);
}

static inline void cfi_image_headers(struct cfi_image *f, uint16_t machine)
{
	static const char names[] = "\0.eh_frame\0.names";
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = machine, .e_version = 1,
			     .e_phoff = 0x40, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
			     .e_shoff = 0x100, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3,
			     .e_shstrndx = 2};
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = IMAGE_ADDRESS,
			   .p_filesz = IMAGE_SIZE, .p_memsz = IMAGE_SIZE};
	Elf64_Shdr sections[3] = {
		{0},
		{.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_addr = IMAGE_ADDRESS + IMAGE_CFI,
		 .sh_offset = IMAGE_CFI, .sh_size = f->cfi_size},
		{.sh_name = 11, .sh_type = SHT_STRTAB, .sh_offset = 0x300, .sh_size = sizeof(names)},
	};
	memcpy(f->bytes, &header, sizeof(header));
	memcpy(f->bytes + 0x40, &load, sizeof(load));
	memcpy(f->bytes + 0x100, sections, sizeof(sections));
	memcpy(f->bytes + 0x300, names, sizeof(names));
}

/* Wraps header and body as the daemon receives them and checks them. */
static inline void table_check(struct built_table *t)
{
	struct artifact artifact;
	text_free(&t->artifact);
	t->artifact = (struct text){0};
	artifact_begin(&t->artifact, ARTIFACT_UNWIND);
	artifact_add_section(&t->artifact, SECTION_UNWIND_HEADER, &t->image.header,
			     sizeof(t->image.header));
	artifact_add_section(&t->artifact, SECTION_UNWIND_BODY, t->image.body, t->image.body_size);
	t->result = artifact_finish(&t->artifact);
	if (t->result == 0)
		t->result = artifact_check(t->artifact.bytes, t->artifact.length, ARTIFACT_UNWIND,
					   &artifact);
	if (t->result == 0)
		t->result = unwind_table_check(&artifact, &t->table);
}

static inline void table_build(struct built_table *t, struct cfi_image *f, uint16_t machine)
{
	struct elf_file elf;
	*t = (struct built_table){0};
	cfi_image_headers(f, machine);
	t->result = elf_file_open(f->bytes, sizeof(f->bytes), &elf);
	if (t->result == 0)
		t->result = unwind_build(&elf, &t->image, NULL);
	if (t->result == 0)
		table_check(t);
}

static inline struct unwind_rule rule_at(const struct built_table *t, uint64_t text_offset)
{
	return unwind_table_find(&t->table, IMAGE_TEXT + text_offset);
}

/* So far into the code the table has this rule. */
#define assert_rule(t, text_offset, want)                                                                      \
	do {                                                                                                   \
		struct unwind_rule is_ = rule_at(t, text_offset), want_ = want;                                \
		if (memcmp(&is_, &want_, sizeof(is_)))                                                         \
			fail_msg("at %#llx: kind %u flags %#x fp %d cfa %d, want kind %u flags %#x fp %d cfa %d", \
				 (unsigned long long)(text_offset), is_.kind, is_.flags, is_.fp_offset,        \
				 is_.cfa_offset, want_.kind, want_.flags, want_.fp_offset, want_.cfa_offset);  \
	} while (0)

#define RULE(...) ((struct unwind_rule){__VA_ARGS__})

static inline void table_free(struct built_table *t)
{
	text_free(&t->artifact);
	unwind_image_free(&t->image);
}
