/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unwind tables from foreign bytes. The first byte of the input chooses what the rest is: a whole ELF
 * file, a section of call frame information in a well-formed file, Go's function table in one, machine
 * code that nothing describes, or a finished table. Whatever the builder makes must pass the check, and
 * whatever passes the check must be searchable. So must the allocators that are found in it.
 */
#include "binary/allocator_find.h"
#include "binary/unwind_build.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LARGEST_INPUT (1U << 20)
#define CODE_SIZE 0x1000
#define ADDRESS 0x400000

enum { WHOLE_FILE, EH_FRAME, DEBUG_FRAME, GO_TABLE, FINISHED_TABLE, CODE, MODES };

static void search(const struct unwind_table *table)
{
	uint64_t first = (uint64_t)table->header->first_page << UNWIND_PAGE_SHIFT;
	uint64_t size = MIN_OF((uint64_t)table->header->page_count << UNWIND_PAGE_SHIFT, 1U << 16);
	for (uint64_t i = 0; i < size + UNWIND_PAGE_SIZE; i += 7)
		if (unwind_table_find(table, first + i).kind >= RULE_KIND_MAX)
			abort();
}

/* Checks and searches a table as the daemon does with what the parser child sends. */
static int use_table(const struct unwind_table_header *header, const char *body, size_t size)
{
	struct text bytes = {0};
	struct artifact artifact;
	struct unwind_table table;
	artifact_begin(&bytes, ARTIFACT_UNWIND);
	artifact_add_section(&bytes, SECTION_UNWIND_HEADER, header, sizeof(*header));
	artifact_add_section(&bytes, SECTION_UNWIND_BODY, body, size);
	int r = artifact_finish(&bytes);
	if (r == 0)
		r = artifact_check(bytes.bytes, bytes.length, ARTIFACT_UNWIND, &artifact);
	if (r == 0)
		r = unwind_table_check(&artifact, &table);
	if (r == 0)
		search(&table);
	text_free(&bytes);
	return r;
}

static void find_allocators(const struct elf_file *elf)
{
	struct allocator_sections sections = {0};
	struct text bytes = {0};
	struct artifact artifact;
	struct allocator_table table;
	if (allocator_find(elf, &sections) == 0) {
		artifact_begin(&bytes, ARTIFACT_ALLOCATORS);
		allocator_sections_add(&sections, &bytes);
		if (artifact_finish(&bytes) < 0 ||
		    artifact_check(bytes.bytes, bytes.length, ARTIFACT_ALLOCATORS, &artifact) < 0 ||
		    allocator_table_open(&artifact, &table) < 0)
			abort();
	}
	allocator_sections_free(&sections);
	text_free(&bytes);
}

static void build(const unsigned char *bytes, size_t size)
{
	struct elf_file elf;
	struct unwind_image image = {0};
	if (elf_file_open(bytes, size, &elf) < 0)
		return;
	find_allocators(&elf);
	if (unwind_build(&elf, &image, NULL) < 0)
		return;
	if (use_table(&image.header, image.body, image.body_size) < 0)
		abort();
	unwind_image_free(&image);
}

/* A file of one executable segment, with the input as section `name`. Its entry is the input's start. */
static void build_section(const char *name, uint8_t variant, const uint8_t *data, size_t size)
{
	size_t file_size = CODE_SIZE + size;
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_version = 1,
			     .e_entry = ADDRESS + CODE_SIZE, .e_phoff = 0x40,
			     .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1, .e_shoff = 0x80,
			     .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3, .e_shstrndx = 2};
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = ADDRESS,
			   .p_filesz = file_size, .p_memsz = file_size};
	Elf64_Shdr sections[3] = {
		{0},
		{.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_addr = ADDRESS + CODE_SIZE,
		 .sh_offset = CODE_SIZE, .sh_size = size},
		{.sh_type = SHT_STRTAB, .sh_offset = 0x180, .sh_size = 32},
	};
	unsigned char *bytes = calloc(1, file_size);
	if (!bytes)
		return;
	header.e_machine = variant & 1 ? EM_AARCH64 : EM_X86_64;
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 0x40, &load, sizeof(load));
	memcpy(bytes + 0x80, sections, sizeof(sections));
	memcpy(bytes + 0x181, name, strlen(name));
	memcpy(bytes + CODE_SIZE, data, size);
	build(bytes, file_size);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct unwind_table_header header;
	if (size < 2 || size > LARGEST_INPUT)
		return 0;
	uint8_t mode = data[0] % MODES, variant = data[1];
	data += 2;
	size -= 2;
	if (mode == WHOLE_FILE)
		build(data, size);
	else if (mode == EH_FRAME)
		build_section(".eh_frame", variant, data, size);
	else if (mode == DEBUG_FRAME)
		build_section(".debug_frame", variant, data, size);
	else if (mode == GO_TABLE)
		build_section(".gopclntab", variant, data, size);
	else if (mode == CODE)
		build_section(".text", variant, data, size);
	else if (size >= sizeof(header)) {
		memcpy(&header, data, sizeof(header));
		use_table(&header, (const char *)data + sizeof(header), size - sizeof(header));
	}
	return 0;
}
