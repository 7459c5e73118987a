/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the builder adds to a file's own descriptions: where called functions save a register that the caller's frame
 * is found by, the small functions of the compiler's start files, and assembly that a described function ends in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cfi_image.h"

/* CFA = rbx + 24 */
static const unsigned char by_rbx[] = {0x0c, 3, 24};

static void put_code(struct cfi_image *f, uint64_t offset, const char *code, size_t size)
{
	memcpy(f->bytes + IMAGE_TEXT + offset, code, size);
}

#define CODE(f, offset, code) put_code(f, offset, code, sizeof(code) - 1)

static void put_call(struct cfi_image *f, uint64_t offset, uint64_t target)
{
	int32_t distance = (int32_t)(target - (offset + 5));
	f->bytes[IMAGE_TEXT + offset] = 0xe8;
	memcpy(f->bytes + IMAGE_TEXT + offset + 1, &distance, sizeof(distance));
}

static void test_register_saved_by_the_called(void **state)
{
	struct cfi_image f = {0};
	struct built_table t;
	struct unwind_rule lost = RULE(.kind = RULE_CFA_REGISTER, .flags = 3 << 4, .cfa_offset = 24), saved = lost;
	(void)state;
	saved.fp_offset = -24;
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0, 0x40, by_rbx, sizeof(by_rbx));
	for (uint64_t i = 0; i < 5; i++) {
		put_call(&f, 8 * i, 0x100 + 0x20 * i);
		CODE(&f, 8 * i + 5, "\x0f\x1f\x00");
		cfi_image_fde(&f, 0x100 + 0x20 * i, 0x10, "", 0);
	}
	/* push %rbp; push %rbx; pop %rbx; pop %rbp; ret */
	CODE(&f, 0x100, "\x55\x53\x5b\x5d\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90");
	/* The same, but rbx is written before; it may be left by a jump; it calls first; nothing is saved. */
	CODE(&f, 0x120, "\x89\xfb\x53\x5b\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90");
	CODE(&f, 0x140, "\x55\x53\x5b\x5d\xe9\x00\x01\x00\x00\x90\x90\x90\x90\x90\x90\x90");
	CODE(&f, 0x160, "\x55\xe8\x00\x01\x00\x00\x53\x5b\x5d\xc3\x90\x90\x90\x90\x90\x90");
	CODE(&f, 0x180, "\x31\xc0\xc3\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90");
	table_build(&t, &f, EM_X86_64);
	assert_int_equal(t.result, 0);
	assert_rule(&t, 0, saved);
	assert_rule(&t, 4, saved);
	for (uint64_t at = 5; at < 0x40; at++)
		assert_rule(&t, at, lost);
	table_free(&t);
}

/* .fini of a library may begin in the 16 bytes that a described function ends in. */
static void test_small_start_file_sections(void **state)
{
	static const char names[] = "\0.fini";
	static struct cfi_image f;
	struct built_table t = {0};
	struct elf_file elf;
	(void)state;
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0, 0x26, "", 0);
	/* sub $8,%rsp; add $8,%rsp; ret */
	CODE(&f, 0x28, "\x48\x83\xec\x08\x48\x83\xc4\x08\xc3");
	cfi_image_headers(&f, EM_X86_64);
	Elf64_Shdr sections[4], *fini = &sections[3];
	memcpy(sections, f.bytes + 0x100, 3 * sizeof(*sections));
	*fini = (Elf64_Shdr){.sh_name = sections[2].sh_size, .sh_type = SHT_PROGBITS,
			     .sh_flags = SHF_ALLOC | SHF_EXECINSTR, .sh_addr = IMAGE_ADDRESS + IMAGE_TEXT + 0x28,
			     .sh_offset = IMAGE_TEXT + 0x28, .sh_size = 9};
	memcpy(f.bytes + 0x300 + sections[2].sh_size, names + 1, sizeof(names) - 1);
	sections[2].sh_size += sizeof(names) - 1;
	memcpy(f.bytes + 0x100, sections, 4 * sizeof(*sections));
	((Elf64_Ehdr *)f.bytes)->e_shnum = 4;
	assert_int_equal(elf_file_open(f.bytes, sizeof(f.bytes), &elf), 0);
	assert_int_equal(unwind_build(&elf, &t.image, NULL), 0);
	table_check(&t);
	assert_int_equal(t.result, 0);
	assert_rule(&t, 0x28, RULE(.kind = RULE_CFA_SP, .cfa_offset = 8));
	assert_rule(&t, 0x2c, RULE(.kind = RULE_CFA_SP, .cfa_offset = 16));
	assert_rule(&t, 0x30, RULE(.kind = RULE_CFA_SP, .cfa_offset = 8));
	table_free(&t);
}

static void test_function_that_is_jumped_to(void **state)
{
	struct cfi_image f = {0};
	struct built_table t;
	(void)state;
	cfi_image_cie(&f);
	cfi_image_fde(&f, 0, 0x10, "", 0);
	CODE(&f, 0, "\xe9\xfb\x00\x00\x00"); /* jmp 0x100 */
	CODE(&f, 0x100, "\x53\x5b\xc3");	      /* push %rbx; pop %rbx; ret */
	table_build(&t, &f, EM_X86_64);
	assert_int_equal(t.result, 0);
	assert_rule(&t, 0x100, RULE(.kind = RULE_CFA_SP, .cfa_offset = 8));
	assert_rule(&t, 0x101, RULE(.kind = RULE_CFA_SP, .cfa_offset = 16));
	assert_rule(&t, 0x102, RULE(.kind = RULE_CFA_SP, .cfa_offset = 8));
	table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register_saved_by_the_called),
		cmocka_unit_test(test_small_start_file_sections),
		cmocka_unit_test(test_function_that_is_jumped_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
