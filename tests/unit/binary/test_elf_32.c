/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hand-made 32-bit x86 file: its headers, its names, its unwind rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "cfi_image.h"

#include <dwarf.h>
#include <errno.h>

#define ADDRESS 0x8048000
#define TEXT IMAGE_TEXT
#define CFI 0x2000
#define SYMBOLS 0x3000
#define NAMES 0x3100
#define DYNAMIC_SYMBOLS 0x3200
#define RELOCATIONS 0x3300
#define TABLE 0x3400
#define SIZE 0x3500
#define PLT (TEXT + 0x400)

struct image_32 {
	unsigned char bytes[SIZE];
	size_t cfi_size;
};

static void add_bytes(struct image_32 *f, const void *bytes, size_t size)
{
	memcpy(f->bytes + CFI + f->cfi_size, bytes, size);
	f->cfi_size += size;
}

static void add_u32(struct image_32 *f, uint32_t word)
{
	add_bytes(f, &word, sizeof(word));
}

/* Code factor 1, data factor -4, return address in 8, absolute addresses; CFA is esp + 4. */
static void add_cie(struct image_32 *f)
{
	static const unsigned char body[] = {1, 0, 1, 0x7c, 8, DW_CFA_def_cfa, 4, 4, DW_CFA_offset | 8, 1, 0, 0};
	add_u32(f, 4 + sizeof(body));
	add_u32(f, 0);
	add_bytes(f, body, sizeof(body));
}

static void add_fde(struct image_32 *f, uint32_t offset, uint32_t size, const void *program, size_t program_size)
{
	add_u32(f, 4 + 8 + program_size);
	add_u32(f, f->cfi_size);
	add_u32(f, ADDRESS + TEXT + offset);
	add_u32(f, size);
	add_bytes(f, program, program_size);
}

enum { EH_FRAME = 1, TEXT_SECTION, SYMTAB, STRTAB, SHSTRTAB, DYNSYM, REL_PLT, GOT_PLT, PLT_SECTION, SECTION_COUNT };

static void add_headers(struct image_32 *f)
{
	static const char names[] = "\0.eh_frame\0.text\0the_function\0.rel.plt\0.got.plt\0.plt\0first\0second";
	Elf32_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1, .e_entry = ADDRESS + TEXT,
			     .e_phoff = 0x40, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1,
			     .e_shoff = 0x100, .e_shentsize = sizeof(Elf32_Shdr), .e_shnum = SECTION_COUNT,
			     .e_shstrndx = SHSTRTAB};
	Elf32_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = ADDRESS, .p_filesz = SIZE,
			   .p_memsz = SIZE, .p_align = 0x1000};
	Elf32_Shdr sections[SECTION_COUNT] = {
		[EH_FRAME] = {.sh_name = 1, .sh_type = SHT_PROGBITS, .sh_addr = ADDRESS + CFI, .sh_offset = CFI,
			      .sh_size = f->cfi_size},
		[TEXT_SECTION] = {.sh_name = 11, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				  .sh_addr = ADDRESS + TEXT, .sh_offset = TEXT, .sh_size = CFI - TEXT},
		[SYMTAB] = {.sh_type = SHT_SYMTAB, .sh_offset = SYMBOLS, .sh_size = 2 * sizeof(Elf32_Sym),
			    .sh_link = STRTAB, .sh_entsize = sizeof(Elf32_Sym)},
		[STRTAB] = {.sh_type = SHT_STRTAB, .sh_offset = NAMES, .sh_size = sizeof(names)},
		[SHSTRTAB] = {.sh_type = SHT_STRTAB, .sh_offset = NAMES, .sh_size = sizeof(names)},
		[DYNSYM] = {.sh_type = SHT_DYNSYM, .sh_offset = DYNAMIC_SYMBOLS, .sh_size = 3 * sizeof(Elf32_Sym),
			    .sh_link = STRTAB, .sh_entsize = sizeof(Elf32_Sym)},
		[REL_PLT] = {.sh_name = 30, .sh_type = SHT_REL, .sh_offset = RELOCATIONS,
			     .sh_size = 2 * sizeof(Elf32_Rel), .sh_entsize = sizeof(Elf32_Rel)},
		[GOT_PLT] = {.sh_name = 39, .sh_type = SHT_PROGBITS, .sh_addr = ADDRESS + TABLE, .sh_offset = TABLE,
			     .sh_size = 0x40},
		[PLT_SECTION] = {.sh_name = 48, .sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
				 .sh_addr = ADDRESS + PLT, .sh_offset = PLT, .sh_size = 0x30},
	};
	Elf32_Sym symbols[2] = {{0},
				{.st_name = 17, .st_info = ELF32_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = TEXT_SECTION,
				 .st_value = ADDRESS + TEXT + 0x100, .st_size = 0x80}};
	memcpy(f->bytes, &header, sizeof(header));
	memcpy(f->bytes + 0x40, &load, sizeof(load));
	memcpy(f->bytes + 0x100, sections, sizeof(sections));
	memcpy(f->bytes + SYMBOLS, symbols, sizeof(symbols));
	memcpy(f->bytes + NAMES, names, sizeof(names));
}

static void open_image(struct image_32 *f, struct elf_file *ret)
{
	add_headers(f);
	assert_int_equal(elf_file_open(f->bytes, sizeof(f->bytes), ret), 0);
}

static void test_headers(void **state)
{
	struct image_32 f = {0};
	struct elf_file elf;
	Elf64_Phdr load;
	Elf64_Shdr section;
	open_image(&f, &elf);
	assert_true(elf_file_is_32_bit(&elf));
	assert_int_equal(elf.entry, ADDRESS + TEXT);
	assert_true(elf_file_segment(&elf, 0, &load));
	assert_int_equal(load.p_vaddr, ADDRESS);
	assert_int_equal(load.p_filesz, SIZE);
	assert_int_equal(load.p_flags, PF_R | PF_X);
	assert_int_equal(load.p_align, 0x1000);
	assert_false(elf_file_segment(&elf, 1, &load));
	assert_true(elf_file_find_section(&elf, ".text", &section, NULL));
	assert_int_equal(section.sh_addr, ADDRESS + TEXT);
	assert_int_equal(section.sh_offset, TEXT);
	assert_int_equal(section.sh_flags, SHF_ALLOC | SHF_EXECINSTR);
}

/* However short the file is, nothing is read behind its end. */
static void test_cut_short(void **state)
{
	struct image_32 f = {0};
	struct elf_file elf;
	Elf64_Shdr section;
	add_cie(&f);
	add_fde(&f, 0x100, 0x80, "", 0);
	add_headers(&f);
	for (size_t size = 0; size < sizeof(f.bytes); size += size < 0x300 ? 1 : 61) {
		unsigned char *part = malloc(size + 1);
		assert_non_null(part);
		memcpy(part, f.bytes, size);
		int r = elf_file_open(part, size, &elf);
		assert_int_equal(r, size < 0x40 + sizeof(Elf32_Phdr) ? -EBADMSG : 0);
		if (r == 0 && size < 0x100 + SECTION_COUNT * sizeof(Elf32_Shdr))
			assert_false(elf_file_section(&elf, 0, &section));
		struct unwind_image image = {0};
		if (r == 0)
			unwind_build(&elf, &image, NULL);
		unwind_image_free(&image);
		free(part);
	}
}

static void test_other_machines(void **state)
{
	struct image_32 f = {0};
	struct elf_file elf;
	static const uint16_t machines[] = {EM_X86_64, EM_ARM, EM_AARCH64};
	add_headers(&f);
	for (size_t i = 0; i < ARRAY_LENGTH(machines); i++) {
		memcpy(f.bytes + offsetof(Elf32_Ehdr, e_machine), &machines[i], sizeof(machines[i]));
		assert_int_equal(elf_file_open(f.bytes, sizeof(f.bytes), &elf), -ENOTSUP);
	}
}

static void test_names(void **state)
{
	struct image_32 f = {0};
	struct elf_file elf;
	struct artifact artifact;
	struct symbol_index index;
	struct symbol found;
	_cleanup_(text_free) struct text text = {0};
	open_image(&f, &elf);
	assert_int_equal(symbol_build(&elf, NULL, &text), 0);
	assert_int_equal(artifact_check(text.bytes, text.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), 0);
	assert_true(symbol_index_find(&index, ADDRESS + TEXT + 0x110, &found));
	assert_string_equal(found.name, "the_function");
	assert_false(symbol_index_find(&index, ADDRESS + TEXT + 0x180, &found));
	symbol_index_close(&index);
}

/* Stubs that name their slot, as in programs with a fixed address, and that count from EBX, as in libraries. */
static void test_stubs(void **state)
{
	static const unsigned char fixed[] = {0xff, 0x25};
	static const unsigned char from_ebx[] = {0xf3, 0x0f, 0x1e, 0xfb, 0xff, 0xa3, 0x14, 0, 0, 0};
	Elf32_Sym symbols[3] = {{0}, {.st_name = 53}, {.st_name = 59}};
	Elf32_Rel relocations[2] = {{ADDRESS + TABLE + 0x10, ELF32_R_INFO(1, R_386_JMP_SLOT)},
				    {ADDRESS + TABLE + 0x14, ELF32_R_INFO(2, R_386_JMP_SLOT)}};
	struct image_32 f = {0};
	struct elf_file elf;
	struct artifact artifact;
	struct symbol_index index;
	struct symbol found;
	_cleanup_(text_free) struct text text = {0};
	memcpy(f.bytes + DYNAMIC_SYMBOLS, symbols, sizeof(symbols));
	memcpy(f.bytes + RELOCATIONS, relocations, sizeof(relocations));
	memcpy(f.bytes + PLT + 0x10, fixed, sizeof(fixed));
	memcpy(f.bytes + PLT + 0x12, &relocations[0].r_offset, sizeof(relocations[0].r_offset));
	memcpy(f.bytes + PLT + 0x20, from_ebx, sizeof(from_ebx));
	open_image(&f, &elf);
	assert_int_equal(symbol_build(&elf, NULL, &text), 0);
	assert_int_equal(artifact_check(text.bytes, text.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), 0);
	assert_true(symbol_index_find(&index, ADDRESS + PLT + 0x18, &found));
	assert_string_equal(found.name, "first@plt");
	assert_true(symbol_index_find(&index, ADDRESS + PLT + 0x24, &found));
	assert_string_equal(found.name, "second@plt");
	assert_false(symbol_index_find(&index, ADDRESS + PLT + 8, &found));
	symbol_index_close(&index);
}

static void build(struct image_32 *f, struct built_table *t)
{
	struct elf_file elf;
	*t = (struct built_table){0};
	open_image(f, &elf);
	assert_int_equal(unwind_build(&elf, &t->image, NULL), 0);
	table_check(t);
	assert_int_equal(t->result, 0);
}

/* push %ebp; mov %esp,%ebp; …; leave; ret, and a second function without a frame that pushes two words. */
static void test_common_frames(void **state)
{
	static const unsigned char frame[] = {
		DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8, DW_CFA_offset | 5, 2,
		DW_CFA_advance_loc | 2, DW_CFA_def_cfa_register, 5,
		DW_CFA_advance_loc | 0x20, DW_CFA_def_cfa, 4, 4, DW_CFA_restore | 5};
	static const unsigned char pushes[] = {
		DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8, DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 12,
		DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 20};
	struct image_32 f = {0};
	struct built_table t;
	add_cie(&f);
	add_fde(&f, 0x100, 0x80, frame, sizeof(frame));
	add_fde(&f, 0x200, 0x80, pushes, sizeof(pushes));
	build(&f, &t);
	assert_rule(&t, 0x100, RULE(RULE_CFA_SP, 0, 0, 4));
	assert_rule(&t, 0x101, RULE(RULE_CFA_SP, RULE_FP_AT_CFA, -8, 8));
	assert_rule(&t, 0x103, RULE(RULE_CFA_FP, RULE_FP_AT_CFA, -8, 8));
	assert_rule(&t, 0x123, RULE(RULE_CFA_SP, 0, 0, 4));
	assert_rule(&t, 0x180, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x201, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x202, RULE(RULE_CFA_SP, 0, 0, 12));
	assert_rule(&t, 0x20a, RULE(RULE_CFA_SP, 0, 0, 20));
	table_free(&t);
}

/* lea 4(%esp),%ecx; and $-16,%esp: the CFA is in ecx, then where it was saved. Registers in rules have the numbers of
 * x86-64: ecx is 2. */
static void test_realigned_stack(void **state)
{
	static const unsigned char program[] = {
		DW_CFA_advance_loc | 4, DW_CFA_def_cfa, 1, 0,
		DW_CFA_advance_loc | 8, DW_CFA_def_cfa_expression, 3, DW_OP_breg5, 0x7c, DW_OP_deref,
		DW_CFA_expression, 5, 2, DW_OP_breg5, 0,
		DW_CFA_advance_loc | 8, DW_CFA_register, 8, 2};
	struct image_32 f = {0};
	struct built_table t;
	add_cie(&f);
	add_fde(&f, 0x100, 0x80, program, sizeof(program));
	build(&f, &t);
	assert_rule(&t, 0x104, RULE(RULE_CFA_REGISTER, 2 << 4, 0, 0));
	assert_rule(&t, 0x10c, RULE(RULE_CFA_DEREF_FP, RULE_FP_AT_FP, 0, 0xfffc));
	table_free(&t);
}

static void test_return_address_in_register(void **state)
{
	static const unsigned char program[] = {DW_CFA_def_cfa_offset, 0, DW_CFA_register, 8, 2};
	struct image_32 f = {0};
	struct built_table t;
	add_cie(&f);
	add_fde(&f, 0x100, 0x80, program, sizeof(program));
	build(&f, &t);
	assert_rule(&t, 0x100, RULE(RULE_RETURN_REGISTER, 1 << 4, 0, 0)); /* edx */
	table_free(&t);
}

static void test_plt(void **state)
{
	static const unsigned char program[] = {
		DW_CFA_def_cfa_expression, 11, DW_OP_breg4, 4, DW_OP_breg8, 0, DW_OP_lit15,
		DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit2, DW_OP_shl, DW_OP_plus};
	struct image_32 f = {0};
	struct built_table t;
	add_cie(&f);
	add_fde(&f, 0x100, 0x80, program, sizeof(program));
	build(&f, &t);
	assert_rule(&t, 0x100, RULE(RULE_PLT, 11 << 4, 0, 0));
	table_free(&t);
}

static void test_code_without_description(void **state)
{
	/* xor %ebp,%ebp; mov %esp,%eax; call */
	static const unsigned char entry[] = {0x31, 0xed, 0x89, 0xe0, 0xe8, 0, 0, 0, 0};
	static const unsigned char with_info[] = {0xb8, 0xad, 0, 0, 0, 0xcd, 0x80};
	static const unsigned char plain[] = {0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80};
	struct image_32 f = {0};
	struct built_table t;
	memcpy(f.bytes + TEXT, entry, sizeof(entry));
	memcpy(f.bytes + TEXT + 0x100, with_info, sizeof(with_info));
	memcpy(f.bytes + TEXT + 0x200, plain, sizeof(plain));
	build(&f, &t);
	assert_rule(&t, 0, RULE(RULE_END, 0, 0, 0));
	assert_rule(&t, 8, RULE(RULE_END, 0, 0, 0));
	assert_rule(&t, 9, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0xff, RULE(RULE_SIGNAL, 0, 0, 0));
	assert_rule(&t, 0x106, RULE(RULE_SIGNAL, 0, 0, 0));
	assert_rule(&t, 0x107, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x1ff, RULE(RULE_SIGNAL, 0, 0, 0));
	assert_rule(&t, 0x207, RULE(RULE_SIGNAL, 0, 0, 0));
	assert_rule(&t, 0x208, RULE(RULE_NONE, 0, 0, 0));
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_stubs),
		cmocka_unit_test(test_common_frames),
		cmocka_unit_test(test_realigned_stack),
		cmocka_unit_test(test_return_address_in_register),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_code_without_description),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
