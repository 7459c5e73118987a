/* SPDX-License-Identifier: Apache-2.0 */
#include "binary/elf_file.h"
#include "binary/facts.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A PIE as GNU ld lays it out; the data segment's page shows code bytes of the file again. */
static struct binary_facts example(void)
{
	return (struct binary_facts){
		.machine = EM_X86_64,
		.elf_type = ET_DYN,
		.segment_count = 3,
		.build_id_size = 3,
		.build_id = {0x0a, 0xff, 0x10},
		.debuglink = "program.debug",
		.segments = {
			{.offset = 0x2000, .address = 0x3000, .file_size = 0x500,
			 .memory_size = 0x500, .flags = PF_R | PF_X},
			{.offset = 0, .address = 0, .file_size = 0x2100, .memory_size = 0x2100,
			 .flags = PF_R},
			{.offset = 0x2400, .address = 0x5400, .file_size = 0x100,
			 .memory_size = 0x900, .flags = PF_R | PF_W},
		},
	};
}

static void test_addresses(void **state)
{
	struct binary_facts facts = example();
	uint64_t address;
	assert_true(facts_offset_to_address(&facts, 0x2010, &address));
	assert_int_equal(address, 0x3010);
	assert_true(facts_offset_to_address(&facts, 0x24ff, &address)); /* code before data */
	assert_int_equal(address, 0x34ff);
	assert_true(facts_offset_to_address(&facts, 0x1fff, &address));
	assert_int_equal(address, 0x1fff);
	assert_false(facts_offset_to_address(&facts, 0x2500, &address));
	assert_false(facts_offset_to_address(&facts, UINT64_MAX, &address));

	assert_ptr_equal(facts_segment_of(&facts, 0x34ff), &facts.segments[0]);
	assert_ptr_equal(facts_segment_of(&facts, 0x5cff), &facts.segments[2]); /* .bss */
	assert_null(facts_segment_of(&facts, 0x5d00));
}

/* A file of notes without names, which are zeros, and a build id so far into them. */
static bool is_build_id_found(size_t offset)
{
	enum { NOTES = 0x1000, SIZE = 2 << 20 };
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1}, .e_type = ET_DYN,
			     .e_machine = EM_X86_64, .e_version = 1, .e_phoff = sizeof(header),
			     .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1};
	Elf64_Phdr notes = {.p_type = PT_NOTE, .p_offset = NOTES, .p_filesz = SIZE, .p_align = 4};
	struct {
		Elf64_Nhdr header;
		char owner[4], id[4];
	} note = {{.n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID}, "GNU", "abcd"};
	unsigned char *bytes = calloc(1, NOTES + SIZE);
	struct elf_file elf;
	size_t size;
	assert_non_null(bytes);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + header.e_phoff, &notes, sizeof(notes));
	memcpy(bytes + NOTES + offset, &note, sizeof(note));
	assert_int_equal(elf_file_open(bytes, NOTES + SIZE, &elf), 0);
	const unsigned char *id = elf_file_find_note(&elf, "GNU", NT_GNU_BUILD_ID, &size);
	bool found = id && size == 4 && !memcmp(id, "abcd", 4);
	free(bytes);
	return found;
}

static void test_notes_are_searched_within_a_limit(void **state)
{
	assert_true(is_build_id_found(0));
	assert_true(is_build_id_found(1200)); /* zeros are notes of 12 bytes */
	assert_true(is_build_id_found(1044000));
	assert_false(is_build_id_found(1572864));
}

static void test_build_id_text(void **state)
{
	struct binary_facts facts = example();
	char buffer[2 * BUILD_ID_MAX + 1];
	assert_string_equal(facts_build_id_text(&facts, buffer), "0aff10");
	facts.build_id_size = 0;
	assert_string_equal(facts_build_id_text(&facts, buffer), "");
	facts.htlhash[0] = 0xab;
	facts.htlhash[FACTS_HTLHASH_SIZE - 1] = 0x01;
	assert_string_equal(facts_htlhash_text(&facts, buffer),
			    "ab000000000000000000000000000001");
}

static void test_lies_are_refused(void **state)
{
	struct binary_facts facts = example();
	assert_int_equal(facts_check(&facts, sizeof(facts)), 0);
	assert_int_equal(facts_check(&facts, sizeof(facts) - 1), -EBADMSG);
	assert_int_equal(facts_check(NULL, 0), -EBADMSG);

	facts = example();
	facts.segment_count = FACTS_MAX_SEGMENTS + 1;
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	facts = example();
	facts.build_id_size = BUILD_ID_MAX + 1;
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	facts = example();
	memset(facts.go_build_id, 'x', sizeof(facts.go_build_id));
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	facts = example();
	memset(facts.debuglink, 'x', sizeof(facts.debuglink));
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	facts = example();
	facts.segments[2].address = UINT64_MAX - 5;
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	facts = example();
	facts.segments[1].file_size = UINT64_MAX;
	facts.segments[1].offset = 1;
	assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
}

static void test_debuglink_cannot_leave_its_directory(void **state)
{
	static const char *const links[] = {"../../etc/shadow", "/etc/shadow", "..", "."};
	for (size_t i = 0; i < ARRAY_LENGTH(links); i++) {
		struct binary_facts facts = example();
		strcpy(facts.debuglink, links[i]);
		assert_int_equal(facts_check(&facts, sizeof(facts)), -EBADMSG);
	}
	struct binary_facts facts = example();
	strcpy(facts.debuglink, "");
	assert_int_equal(facts_check(&facts, sizeof(facts)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_notes_are_searched_within_a_limit),
		cmocka_unit_test(test_build_id_text),
		cmocka_unit_test(test_lies_are_refused),
		cmocka_unit_test(test_debuglink_cannot_leave_its_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
