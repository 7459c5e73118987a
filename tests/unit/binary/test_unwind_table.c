/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout, search and check of unwind tables, against a list of rules a byte for made-up ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "cfi_image.h"

#include <errno.h>

#define CODE_SIZE (1U << 19)

struct fixture {
	struct elf_file elf;
	struct unwind_rows rows;
	unsigned char *bytes;
	uint32_t random;
};

static uint32_t next_random(struct fixture *f)
{
	f->random = f->random * 1664525 + 1013904223;
	return f->random >> 8;
}

/* A file that is nothing but code. */
static void open_fixture(struct fixture *f)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			     .e_phoff = 0x40, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1};
	Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = CODE_SIZE,
			   .p_memsz = CODE_SIZE};
	*f = (struct fixture){.bytes = calloc(1, CODE_SIZE), .random = 7};
	memcpy(f->bytes, &header, sizeof(header));
	memcpy(f->bytes + 0x40, &load, sizeof(load));
	assert_int_equal(elf_file_open(f->bytes, CODE_SIZE, &f->elf), 0);
	assert_int_equal(unwind_rows_init(&f->rows, &f->elf), 0);
}

static void close_fixture(struct fixture *f)
{
	unwind_rows_free(&f->rows);
	free(f->bytes);
}

static void lay_out(struct fixture *f, struct built_table *t)
{
	*t = (struct built_table){0};
	assert_int_equal(unwind_layout(&f->rows, true, (struct unwind_rule){0}, &t->image), 0);
	table_check(t);
	assert_int_equal(t->result, 0);
}

static struct unwind_rule sp_rule(int32_t offset)
{
	return (struct unwind_rule){.kind = RULE_CFA_SP, .cfa_offset = offset};
}

/* Rows `spacing` bytes apart on average with `rule_count` different rules, compared byte by byte. */
static void compare_bytewise(uint32_t spacing, uint32_t rule_count)
{
	struct fixture f;
	struct built_table t;
	open_fixture(&f);
	int32_t *wanted = calloc(CODE_SIZE, sizeof(*wanted));
	uint32_t at = 0x1000, end = CODE_SIZE - 0x1000;
	assert_true(unwind_rows_begin(&f.rows, at, end - at, UNWIND_FROM_EH_FRAME));
	while (at < end) {
		int32_t offset = 8 + 8 * (next_random(&f) % rule_count);
		uint32_t size = 1 + next_random(&f) % (2 * spacing - 1);
		assert_int_equal(unwind_rows_add(&f.rows, at, sp_rule(offset)), 0);
		for (uint32_t i = at; i < at + size && i < end; i++)
			wanted[i] = offset;
		at += size;
	}
	assert_int_equal(unwind_rows_end(&f.rows), 0);
	lay_out(&f, &t);
	for (uint32_t i = 0; i < CODE_SIZE; i++) {
		struct unwind_rule rule = unwind_table_find(&t.table, i);
		if (rule.cfa_offset != wanted[i] ||
		    rule.kind != (wanted[i] ? RULE_CFA_SP : RULE_NONE))
			fail_msg("at %#x: kind %u, %d instead of %d", i, rule.kind, rule.cfa_offset,
				 wanted[i]);
	}
	table_free(&t);
	close_fixture(&f);
	free(wanted);
}

static void test_narrow_pages(void **state)
{
	compare_bytewise(40, 100);
}

static void test_wide_pages_over_several_chunks(void **state)
{
	compare_bytewise(6, 5000);
}

static void test_mixed_pages(void **state)
{
	compare_bytewise(200, 180);
}

static void test_merges(void **state)
{
	compare_bytewise(4, 3);
}

#define ORDERED_RANGES 4096
#define ORDERED_SIZE 0x40

/* Ranges whose starts are place[i] * ORDERED_SIZE from the code's, each with a rule of its place. */
static void compare_order(const uint32_t *place)
{
	struct fixture f;
	struct built_table t;
	open_fixture(&f);
	for (uint32_t i = 0; i < ORDERED_RANGES; i++)
		assert_int_equal(unwind_rows_add_range(&f.rows, 0x1000 + place[i] * ORDERED_SIZE, ORDERED_SIZE,
						       UNWIND_FROM_EH_FRAME, sp_rule(8 + 8 * place[i])), 0);
	lay_out(&f, &t);
	for (uint32_t i = 0; i < ORDERED_RANGES * ORDERED_SIZE; i++)
		assert_int_equal(unwind_table_find(&t.table, 0x1000 + i).cfa_offset, 8 + 8 * (i / ORDERED_SIZE));
	table_free(&t);
	close_fixture(&f);
}

/* As linkers leave them: a few ascending runs that take turns, one of which may go on in another one's place. */
static void test_runs_of_ranges(void **state)
{
	uint32_t place[ORDERED_RANGES];
	for (unsigned runs = 1; runs <= 64; runs *= 2) {
		uint32_t length = ORDERED_RANGES / runs;
		for (uint32_t i = 0; i < ORDERED_RANGES; i++)
			place[i] = (i % runs * 3 + 2) % runs * length + i / runs;
		compare_order(place);
	}
	for (uint32_t i = 0; i < ORDERED_RANGES; i++)
		place[i] = ORDERED_RANGES - 1 - i; /* as many runs as ranges */
	compare_order(place);
	for (uint32_t i = 0; i < ORDERED_RANGES; i++)
		place[i] = i * 1365 % ORDERED_RANGES;
	compare_order(place);
}

static void test_better_source_inside_a_range(void **state)
{
	struct fixture f;
	struct built_table t;
	open_fixture(&f);
	unwind_rows_add_range(&f.rows, 0x1000, 0x1000, UNWIND_FROM_DEBUG_FRAME, sp_rule(8));
	unwind_rows_add_range(&f.rows, 0x1400, 0x100, UNWIND_FROM_EH_FRAME, sp_rule(16));
	unwind_rows_add_range(&f.rows, 0x1440, 0x10, UNWIND_FROM_CODE, sp_rule(24));
	lay_out(&f, &t);
	assert_int_equal(unwind_table_find(&t.table, 0x13ff).cfa_offset, 8);
	assert_int_equal(unwind_table_find(&t.table, 0x143f).cfa_offset, 16);
	assert_int_equal(unwind_table_find(&t.table, 0x144f).cfa_offset, 24);
	assert_int_equal(unwind_table_find(&t.table, 0x1450).cfa_offset, 16);
	assert_int_equal(unwind_table_find(&t.table, 0x1500).cfa_offset, 8);
	assert_int_equal(unwind_table_find(&t.table, 0x1fff).cfa_offset, 8);
	assert_int_equal(unwind_table_find(&t.table, 0x2000).kind, RULE_NONE);
	table_free(&t);
	close_fixture(&f);
}

/* Nested ranges by the hundred thousand, as only a hostile file has them: 10^10 steps if each were
 * compared with each. */
static void test_overlaps_in_linear_time(void **state)
{
	struct fixture f;
	struct built_table t;
	open_fixture(&f);
	uint64_t start = monotonic_ns();
	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t at = 0x1000 + i % 0x10000;
		unwind_rows_add_range(&f.rows, at, CODE_SIZE - at,
				      i & 1 ? UNWIND_FROM_EH_FRAME : UNWIND_FROM_DEBUG_FRAME,
				      sp_rule(8 + i % 64 * 8));
	}
	lay_out(&f, &t);
	assert_true(monotonic_ns() - start < 5 * NS_PER_SECOND);
	table_free(&t);
	close_fixture(&f);
}

/* A file of so many executable segments: a page each, in the file's order but at addresses that descend. */
static int open_segments(unsigned count, unsigned char *bytes, struct elf_file *elf, struct unwind_rows *rows)
{
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			     .e_phoff = 0x40, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = count};
	memcpy(bytes, &header, sizeof(header));
	for (unsigned i = 0; i < count; i++) {
		Elf64_Phdr load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000 * i,
				   .p_vaddr = 0x100000 - 0x1000 * i, .p_filesz = 0x1000, .p_memsz = 0x1000};
		memcpy(bytes + 0x40 + i * sizeof(load), &load, sizeof(load));
	}
	assert_int_equal(elf_file_open(bytes, CODE_SIZE, elf), 0);
	return unwind_rows_init(rows, elf);
}

/* Each range's segment is searched for: in a damaged file with many of either that must not take for ever. */
static void test_segments_have_a_limit(void **state)
{
	static unsigned char bytes[CODE_SIZE];
	struct elf_file elf;
	struct unwind_rows rows;
	assert_int_equal(open_segments(UNWIND_MAX_SEGMENTS, bytes, &elf, &rows), 0);
	for (unsigned i = 0; i < 4 * UNWIND_MAX_SEGMENTS; i++) {
		unsigned segment = i * 7 % UNWIND_MAX_SEGMENTS;
		assert_true(unwind_rows_begin(&rows, 0x100010 - 0x1000 * segment, 8, UNWIND_FROM_EH_FRAME));
		assert_int_equal(rows.range.start, 0x1000 * segment + 0x10);
	}
	assert_false(unwind_rows_begin(&rows, 0x101000, 8, UNWIND_FROM_EH_FRAME));
	unwind_rows_free(&rows);
	assert_int_equal(open_segments(UNWIND_MAX_SEGMENTS + 1, bytes, &elf, &rows), -E2BIG);
	unwind_rows_free(&rows);
}

/* Every damage of header and index must be refused. */
static void test_damaged_tables_are_refused(void **state)
{
	struct fixture f;
	struct built_table t;
	open_fixture(&f);
	for (uint32_t at = 0x1000; at < 0x9000; at += 0x20)
		unwind_rows_add_range(&f.rows, at, 0x20, UNWIND_FROM_EH_FRAME,
				      sp_rule(8 + at % 0x200 / 4));
	lay_out(&f, &t);
	struct unwind_table_header good = t.image.header;
	uint32_t *index = (uint32_t *)(t.image.body + good.index_offset);
	struct unwind_rule *palette = (struct unwind_rule *)(t.image.body + good.palette_offset);
	uint32_t first = index[0], word = index[1];
#define REFUSED(damage, repair)                                                             \
	do {                                                                                \
		damage;                                                                     \
		table_check(&t);                                                            \
		assert_int_equal(t.result, -EBADMSG);                                       \
		repair;                                                                     \
		table_check(&t);                                                            \
		assert_int_equal(t.result, 0);                                              \
	} while (0)
	REFUSED(t.image.header.page_count = UINT32_MAX, t.image.header = good);
	REFUSED(t.image.header.row_words = UINT32_MAX, t.image.header = good);
	REFUSED(t.image.header.row_words = 1, t.image.header = good);
	REFUSED(t.image.header.palette_count = 0, t.image.header = good);
	REFUSED(t.image.header.palette_count = 1, t.image.header = good);
	REFUSED(t.image.header.index_offset += 4, t.image.header = good);
	REFUSED(t.image.header.rows_offset = UINT32_MAX & ~15U, t.image.header = good);
	REFUSED(index[1] = UNWIND_INDEX(UNWIND_MAX_ROW_OFFSET - 1, 0, 1), index[1] = word);
	REFUSED(index[1] |= 0xff, index[1] = word);
	REFUSED(index[0] = 0, index[0] = first);
	REFUSED(palette[0].kind = RULE_KIND_MAX, palette[0].kind = RULE_CFA_SP);
	REFUSED(palette[0].flags = 0xf0, palette[0].flags = 0);
	table_free(&t);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_narrow_pages),
		cmocka_unit_test(test_wide_pages_over_several_chunks),
		cmocka_unit_test(test_mixed_pages),
		cmocka_unit_test(test_merges),
		cmocka_unit_test(test_runs_of_ranges),
		cmocka_unit_test(test_better_source_inside_a_range),
		cmocka_unit_test(test_segments_have_a_limit),
		cmocka_unit_test(test_overlaps_in_linear_time),
		cmocka_unit_test(test_damaged_tables_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
