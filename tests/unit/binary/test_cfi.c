/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of hand-made call frame information, rule by rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "binary/unwind_code.h"

#include "cfi_image.h"

#include <dwarf.h>
#include <errno.h>

static void build_one(struct built_table *t, const void *program, size_t size)
{
	struct cfi_image f = {0};
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0x100, 0x80, program, size);
	table_build(t, &f, EM_X86_64);
	assert_int_equal(t->result, 0);
}

static void test_prologue_and_epilogue(void **state)
{
	/* push %rbp (1 byte); mov %rsp,%rbp (3 bytes); ...; leave; ret */
	static const unsigned char program[] = {
		DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
		DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6,
		DW_CFA_advance_loc | 0x20, DW_CFA_def_cfa, 7, 8, DW_CFA_restore | 6};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x0ff, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x100, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x101, RULE(RULE_CFA_SP, RULE_FP_AT_CFA, -16, 16));
	assert_rule(&t, 0x103, RULE(RULE_CFA_SP, RULE_FP_AT_CFA, -16, 16));
	assert_rule(&t, 0x104, RULE(RULE_CFA_FP, RULE_FP_AT_CFA, -16, 16));
	assert_rule(&t, 0x123, RULE(RULE_CFA_FP, RULE_FP_AT_CFA, -16, 16));
	assert_rule(&t, 0x124, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x17f, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x180, RULE(RULE_NONE, 0, 0, 0));
	table_free(&t);
}

static void test_merged_pushes(void **state)
{
	/* Two pushes of one and two bytes, and a pop: four rows in fewer words. */
	static const unsigned char program[] = {
		DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16,
		DW_CFA_advance_loc | 2, DW_CFA_def_cfa_offset, 24,
		DW_CFA_advance_loc | 0x10, DW_CFA_def_cfa_offset, 16,
		DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 8};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x100, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x101, RULE(RULE_CFA_SP, 0, 0, 16));
	assert_rule(&t, 0x102, RULE(RULE_CFA_SP, 0, 0, 16));
	assert_rule(&t, 0x103, RULE(RULE_CFA_SP, 0, 0, 24));
	assert_rule(&t, 0x112, RULE(RULE_CFA_SP, 0, 0, 24));
	assert_rule(&t, 0x113, RULE(RULE_CFA_SP, 0, 0, 16));
	assert_rule(&t, 0x114, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_true(t.table.header->row_words < t.table.header->raw_rows);
	table_free(&t);
}

static void test_remember_and_restore(void **state)
{
	static const unsigned char program[] = {
		DW_CFA_advance_loc | 4, DW_CFA_def_cfa_offset, 32, DW_CFA_remember_state,
		DW_CFA_advance_loc | 8, DW_CFA_def_cfa_offset, 8,
		DW_CFA_advance_loc | 1, DW_CFA_restore_state};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x104, RULE(RULE_CFA_SP, 0, 0, 32));
	assert_rule(&t, 0x10c, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x10d, RULE(RULE_CFA_SP, 0, 0, 32));
	table_free(&t);
}

static void test_expressions(void **state)
{
	/* CFA = *(rbp - 8); rbp at rbp + 0: what GCC writes for a realigned stack. */
	static const unsigned char program[] = {
		DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 3, DW_OP_breg6, 0x78, DW_OP_deref,
		DW_CFA_expression, 6, 2, DW_OP_breg6, 0,
		DW_CFA_advance_loc | 4, DW_CFA_def_cfa_expression, 2, DW_OP_addr, 0};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x104, RULE(RULE_CFA_DEREF_FP, RULE_FP_AT_FP, 0, 0xfff8));
	assert_rule(&t, 0x108, RULE(RULE_NONE, 0, 0, 0));
	table_free(&t);
}

static void test_plt(void **state)
{
	static const unsigned char program[] = {
		DW_CFA_def_cfa_expression, 11, DW_OP_breg7, 8, DW_OP_breg16, 0, DW_OP_lit15,
		DW_OP_and, DW_OP_lit11, DW_OP_ge, DW_OP_lit3, DW_OP_shl, DW_OP_plus};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x100, RULE(RULE_PLT, 11 << 4, 0, 0));
	table_free(&t);
}

static void test_outermost_frame(void **state)
{
	static const unsigned char program[] = {DW_CFA_undefined, 16};
	struct built_table t;
	build_one(&t, program, sizeof(program));
	assert_rule(&t, 0x100, RULE(RULE_END, 0, 0, 0));
	table_free(&t);
}

static void test_unknown_instruction_spoils_only_its_function(void **state)
{
	static const unsigned char bad[] = {DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, 0x3f};
	struct cfi_image f = {0};
	struct built_table t;
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0x100, 0x80, bad, sizeof(bad));
	cfi_image_fde(&f, 0x180, 0x80, "", 0);
	table_build(&t, &f, EM_X86_64);
	assert_int_equal(t.result, 0);
	assert_rule(&t, 0x110, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x180, RULE(RULE_CFA_SP, 0, 0, 8));
	table_free(&t);
}

static void test_padding_keeps_the_rule_and_gaps_do_not(void **state)
{
	struct cfi_image f = {0};
	struct built_table t;
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0x100, 0x19, "", 0);
	cfi_image_fde(&f, 0x120, 0x10, "", 0);
	cfi_image_fde(&f, 0x150, 0x10, "", 0);
	table_build(&t, &f, EM_X86_64);
	assert_rule(&t, 0x11c, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x12f, RULE(RULE_CFA_SP, 0, 0, 8));
	assert_rule(&t, 0x130, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x150, RULE(RULE_CFA_SP, 0, 0, 8));
	table_free(&t);
}

static void test_entry_and_trampoline_without_description(void **state)
{
	/* xor %rbp,%rbp; mov %rsp,%rdi; call */
	static const unsigned char entry[] = {0x48, 0x31, 0xed, 0x48, 0x89, 0xe7, 0xe8, 0, 0, 0, 0};
	/* mov $15,%rax; syscall */
	static const unsigned char trampoline[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5};
	struct cfi_image f = {0};
	struct unwind_image image = {0};
	struct elf_file elf;
	cfi_image_headers(&f, EM_X86_64);
	memcpy(f.bytes + IMAGE_TEXT, entry, sizeof(entry));
	memcpy(f.bytes + IMAGE_TEXT + 0x200, trampoline, sizeof(trampoline));
	assert_int_equal(elf_file_open(f.bytes, sizeof(f.bytes), &elf), 0);
	elf.entry = IMAGE_ADDRESS + IMAGE_TEXT;
	assert_int_equal(unwind_build(&elf, &image, NULL), 0);
	struct built_table t = {.image = image};
	table_check(&t);
	assert_int_equal(t.result, 0);
	assert_rule(&t, 0, RULE(RULE_END, 0, 0, 0));
	assert_rule(&t, 10, RULE(RULE_END, 0, 0, 0));
	assert_rule(&t, 11, RULE(RULE_NONE, 0, 0, 0));
	assert_rule(&t, 0x1ff, RULE(RULE_SIGNAL, 0, 0, 0)); /* looked up one byte before the return address */
	assert_rule(&t, 0x208, RULE(RULE_SIGNAL, 0, 0, 0));
	assert_rule(&t, 0x209, RULE(RULE_NONE, 0, 0, 0));
	table_free(&t);
}

static void test_nothing_to_build(void **state)
{
	struct cfi_image f = {0};
	struct built_table t;
	table_build(&t, &f, EM_X86_64);
	assert_int_equal(t.result, -ENODATA);
	table_free(&t);
}

/* A file whose segments are all the same bytes must not be searched as often as it has segments. */
static void test_search_of_code_is_bounded(void **state)
{
	enum { SEGMENTS = UNWIND_MAX_SEGMENTS, SIZE = 8 << 20, SEARCHED = 32 };
	static const unsigned char trampoline[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 5};
	static Elf64_Phdr loads[SEGMENTS];
	unsigned char *bytes = calloc(1, SIZE + sizeof(loads));
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1, .e_phoff = SIZE,
			     .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = SEGMENTS};
	for (uint64_t i = 0; i < SEGMENTS; i++)
		loads[i] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = (i + 1) * SIZE,
					.p_filesz = SIZE, .p_memsz = SIZE};
	assert_non_null(bytes);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + 0x1000, trampoline, sizeof(trampoline));
	memcpy(bytes + SIZE, loads, sizeof(loads));
	struct elf_file elf;
	struct unwind_rows *rows = calloc(1, sizeof(*rows));
	assert_non_null(rows);
	assert_int_equal(elf_file_open(bytes, SIZE + sizeof(loads), &elf), 0);
	assert_int_equal(unwind_rows_init(rows, &elf), 0);
	assert_int_equal(unwind_code_read(&elf, rows), 0);
	assert_int_equal(rows->ranges.count, SEARCHED);
	unwind_rows_free(rows);
	free(rows);
	free(bytes);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prologue_and_epilogue),
		cmocka_unit_test(test_merged_pushes),
		cmocka_unit_test(test_remember_and_restore),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_outermost_frame),
		cmocka_unit_test(test_unknown_instruction_spoils_only_its_function),
		cmocka_unit_test(test_padding_keeps_the_rule_and_gaps_do_not),
		cmocka_unit_test(test_entry_and_trampoline_without_description),
		cmocka_unit_test(test_search_of_code_is_bounded),
		cmocka_unit_test(test_nothing_to_build),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
