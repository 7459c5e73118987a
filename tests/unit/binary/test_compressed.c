/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed sections of files, as linkers write them and as they lie; and the file that dwarf_expand() makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "binary/dwarf_expand.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define ZSTD_TYPE 2 /* ELFCOMPRESS_ZSTD of the generic ABI */
#define TEXT_SIZE 5000

/* An ELF file being made: sections with their names, first the empty one. */
struct made {
	struct text bytes, names;
	ARRAY(Elf64_Shdr) sections;
	struct elf_file elf;
};

static void begin(struct made *m)
{
	Elf64_Ehdr header = {.e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			     .e_ehsize = sizeof(header), .e_shentsize = sizeof(Elf64_Shdr)};
	memcpy(header.e_ident, "\177ELF\2\1\1", 7);
	*m = (struct made){0};
	text_add_bytes(&m->bytes, &header, sizeof(header));
	text_add_bytes(&m->names, "", 1);
	array_add(&m->sections, (Elf64_Shdr){0});
}

static void add(struct made *m, const char *name, uint64_t flags, const void *bytes, size_t size)
{
	array_add(&m->sections, (Elf64_Shdr){.sh_name = (Elf64_Word)m->names.length, .sh_type = SHT_PROGBITS,
					     .sh_flags = flags, .sh_offset = m->bytes.length, .sh_size = size});
	text_add_bytes(&m->bytes, bytes, size);
	text_add_bytes(&m->names, name, strlen(name) + 1);
}

static void finish(struct made *m)
{
	add(m, ".shstrtab", 0, NULL, 0);
	Elf64_Shdr *names = &m->sections.items[m->sections.count - 1];
	names->sh_type = SHT_STRTAB;
	names->sh_offset = m->bytes.length;
	names->sh_size = m->names.length;
	text_add_bytes(&m->bytes, m->names.bytes, m->names.length);
	uint64_t at = m->bytes.length;
	text_add_bytes(&m->bytes, m->sections.items, m->sections.count * sizeof(Elf64_Shdr));
	Elf64_Ehdr *header = (Elf64_Ehdr *)m->bytes.bytes;
	header->e_shoff = at;
	header->e_shnum = (Elf64_Half)m->sections.count;
	header->e_shstrndx = (Elf64_Half)(m->sections.count - 1);
	assert_int_equal(elf_file_open(m->bytes.bytes, m->bytes.length, &m->elf), 0);
}

static void made_free(struct made *m)
{
	text_free(&m->bytes);
	text_free(&m->names);
	array_free(&m->sections);
}

/* What compresses well, and differs from one `seed` to another. */
static const char *text_of(char seed)
{
	static char text[TEXT_SIZE];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(seed + i / 100 % 7);
	return text;
}

/* With the generic ABI's header, which claims `claimed` bytes. */
static void add_compressed(struct made *m, const char *name, uint32_t type, uint64_t claimed)
{
	unsigned char out[2 * TEXT_SIZE];
	Elf64_Chdr header = {.ch_type = type, .ch_size = claimed, .ch_addralign = 1};
	uLongf size = sizeof(out) - sizeof(header);
	memcpy(out, &header, sizeof(header));
	if (type == ZSTD_TYPE)
		size = ZSTD_compress(out + sizeof(header), size, text_of('z'), TEXT_SIZE, 1);
	else
		assert_int_equal(compress2(out + sizeof(header), &size, (const Bytef *)text_of('a'), TEXT_SIZE, 6),
				 Z_OK);
	add(m, name, SHF_COMPRESSED, out, sizeof(header) + size);
}

/* The older form: "ZLIB" and the size, big-endian. */
static void add_zdebug(struct made *m, const char *name)
{
	unsigned char out[2 * TEXT_SIZE] = "ZLIB";
	uint64_t claimed = htobe64(TEXT_SIZE);
	uLongf size = sizeof(out) - 12;
	memcpy(out + 4, &claimed, sizeof(claimed));
	assert_int_equal(compress2(out + 12, &size, (const Bytef *)text_of('o'), TEXT_SIZE, 6), Z_OK);
	add(m, name, 0, out, 12 + size);
}

static int read_section(const struct made *m, const char *name, uint64_t limit)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	return elf_file_data(&m->elf, name, limit, &data);
}

static void expect_text(const struct elf_file *elf, const char *name, char seed)
{
	_cleanup_elf_data_ struct elf_data data = {0};
	assert_int_equal(elf_file_data(elf, name, TEXT_SIZE, &data), 0);
	assert_int_equal(data.size, TEXT_SIZE);
	assert_memory_equal(data.bytes, text_of(seed), TEXT_SIZE);
}

static void test_forms(void **state)
{
	struct made m;
	begin(&m);
	add(&m, ".debug_line", 0, text_of('p'), TEXT_SIZE);
	add_compressed(&m, ".debug_info", ELFCOMPRESS_ZLIB, TEXT_SIZE);
	add_compressed(&m, ".debug_str", ZSTD_TYPE, TEXT_SIZE);
	add_zdebug(&m, ".zdebug_abbrev");
	finish(&m);
	expect_text(&m.elf, ".debug_line", 'p');
	expect_text(&m.elf, ".debug_info", 'a');
	expect_text(&m.elf, ".debug_str", 'z');
	expect_text(&m.elf, ".debug_abbrev", 'o');
	made_free(&m);
}

/* Nothing is allocated for a claim past the limit, and nothing is written past a claim. */
static void test_lies(void **state)
{
	struct made m;
	Elf64_Chdr header = {.ch_type = ELFCOMPRESS_ZLIB, .ch_size = TEXT_SIZE};
	begin(&m);
	add_compressed(&m, ".less", ELFCOMPRESS_ZLIB, TEXT_SIZE - 1);
	add_compressed(&m, ".more", ELFCOMPRESS_ZLIB, TEXT_SIZE + 1);
	add_compressed(&m, ".less_zstd", ZSTD_TYPE, TEXT_SIZE - 1);
	add_compressed(&m, ".more_zstd", ZSTD_TYPE, TEXT_SIZE + 1);
	add_compressed(&m, ".ratio", ELFCOMPRESS_ZLIB, 100 << 20);
	add_compressed(&m, ".unknown", 99, TEXT_SIZE);
	add_compressed(&m, ".huge", ZSTD_TYPE, UINT64_MAX);
	add(&m, ".cut", SHF_COMPRESSED, &header, sizeof(header) - 1);
	add(&m, ".empty", SHF_COMPRESSED, &header, sizeof(header));
	add(&m, ".plain", 0, text_of('p'), TEXT_SIZE);
	finish(&m);
	static const char *const damaged[] = {".less", ".more", ".less_zstd", ".more_zstd", ".ratio", ".cut", ".empty"};
	for (size_t i = 0; i < ARRAY_LENGTH(damaged); i++)
		assert_int_equal(read_section(&m, damaged[i], ELF_DATA_LIMIT), -EBADMSG);
	assert_int_equal(read_section(&m, ".unknown", ELF_DATA_LIMIT), -ENOTSUP);
	assert_int_equal(read_section(&m, ".huge", ELF_DATA_LIMIT), -E2BIG);
	assert_int_equal(read_section(&m, ".more", TEXT_SIZE), -E2BIG);
	assert_int_equal(read_section(&m, ".plain", TEXT_SIZE - 1), -E2BIG);
	assert_int_equal(read_section(&m, ".none", ELF_DATA_LIMIT), -ENODATA);
	made_free(&m);
}

static int expand(struct made *m, struct text *ret)
{
	finish(m);
	*ret = (struct text){0};
	int r = dwarf_expand(&m->elf, ret);
	made_free(m);
	return r;
}

/* The new file has what lines need, under the names that readers know, and nothing else. */
static void test_expand(void **state)
{
	struct made m;
	struct text file;
	struct elf_file expanded;
	Elf64_Shdr section;
	begin(&m);
	add(&m, ".text", SHF_ALLOC | SHF_EXECINSTR, text_of('t'), TEXT_SIZE);
	add(&m, ".debug_line", 0, text_of('p'), TEXT_SIZE);
	add_compressed(&m, ".debug_info", ELFCOMPRESS_ZLIB, TEXT_SIZE);
	add_compressed(&m, ".debug_loclists", ELFCOMPRESS_ZLIB, TEXT_SIZE);
	add_zdebug(&m, ".zdebug_abbrev");
	assert_int_equal(expand(&m, &file), 0);
	assert_int_equal(elf_file_open(file.bytes, file.length, &expanded), 0);
	expect_text(&expanded, ".debug_line", 'p');
	expect_text(&expanded, ".debug_info", 'a');
	expect_text(&expanded, ".debug_abbrev", 'o');
	assert_false(elf_file_find_section(&expanded, ".text", &section, NULL));
	assert_false(elf_file_find_section(&expanded, ".debug_loclists", &section, NULL));
	for (uint32_t i = 0; elf_file_section(&expanded, i, &section); i++)
		assert_false(section.sh_flags & SHF_COMPRESSED);
	text_free(&file);
}

static void test_nothing_to_expand(void **state)
{
	struct made m;
	struct text file;
	begin(&m);
	add(&m, ".debug_info", 0, text_of('p'), TEXT_SIZE);
	add_compressed(&m, ".debug_macro", ELFCOMPRESS_ZLIB, TEXT_SIZE); /* which lines do not need */
	assert_int_equal(expand(&m, &file), -ENODATA);
	text_free(&file);
	begin(&m);
	add_compressed(&m, ".debug_info", ZSTD_TYPE, DWARF_EXPANDED_LIMIT + 1); /* decompressed each time */
	assert_int_equal(expand(&m, &file), -ENODATA);
	text_free(&file);
	begin(&m);
	add_compressed(&m, ".debug_info", ELFCOMPRESS_ZLIB, TEXT_SIZE + 1);
	assert_int_equal(expand(&m, &file), -EBADMSG);
	text_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_nothing_to_expand),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
