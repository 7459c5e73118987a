/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSOs as files: ELF files of their kind, whole, that nobody can change. */
#include "base/file.h"
#include "binary/mapped_elf.h"
#include "collect/vdso_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void check(int file, bool is_32_bit)
{
	_cleanup_mapped_elf_ struct mapped_elf elf;
	Elf64_Shdr names;
	assert_int_equal(mapped_elf_open(file, &elf), 0);
	assert_int_equal(elf_file_is_32_bit(&elf.elf), is_32_bit);
	assert_true(elf_file_find_section_type(&elf.elf, SHT_DYNSYM, &names, NULL));
	assert_true(pwrite(file, "x", 1, 0) < 0);
}

static void test_own(void **state)
{
	_cleanup_fd_ int file = vdso_open();
	assert_true(file >= 0);
	check(file, false);
}

static void test_of_32_bit_programs(void **state)
{
	_cleanup_fd_ int file = vdso_open_32();
	if (file < 0) {
		assert_int_equal(file, -EOPNOTSUPP);
		printf("skipped: this kernel gives the vDSO of 32-bit programs to nobody else\n");
		skip();
	}
	check(file, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_of_32_bit_programs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
