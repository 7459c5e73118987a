/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lengths and effects of x86-64 instructions, and the frames of functions of a few bytes, among them what
 * must not be answered: ways that disagree, calls that do not return, a stack pointer from elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "binary/unwind_flow.h"
#include "binary/unwind_frame_setup.h"
#include "binary/unwind_gaps.h"
#include "binary/unwind_starts.h"
#include "binary/x86_decode.h"

#include <stdlib.h>
#include <string.h>

#define ADDRESS 0x401000

static void expect_decoded(const char *code, size_t length, enum x86_effect effect, int32_t value)
{
	struct x86_instruction i = x86_decode((const unsigned char *)code, length, ADDRESS);
	assert_int_equal(i.length, length);
	assert_int_equal(i.effect, effect);
	assert_int_equal(i.value, value);
	/* One byte less is no instruction. */
	assert_int_equal(x86_decode((const unsigned char *)code, length - 1, ADDRESS).length, 0);
}

#define EXPECT(code, effect, value) expect_decoded(code, sizeof(code) - 1, effect, value)

static void decodes_what_moves_the_stack(void **state)
{
	(void)state;
	EXPECT("\x53", X86_ADD_SP, -8);					  /* push %rbx */
	EXPECT("\x41\x55", X86_ADD_SP, -8);				  /* push %r13: not %rbp */
	EXPECT("\x55", X86_PUSH_FP, 0);
	EXPECT("\x5d", X86_POP_FP, 0);
	EXPECT("\x5c", X86_WRITES_SP, 0);				  /* pop %rsp */
	EXPECT("\x68\x00\x01\x00\x00", X86_ADD_SP, -8);			  /* push $256 */
	EXPECT("\x48\x83\xec\x28", X86_ADD_SP, -40);			  /* sub $40,%rsp */
	EXPECT("\x48\x81\xc4\x00\x01\x00\x00", X86_ADD_SP, 256);	  /* add $256,%rsp */
	EXPECT("\x48\x8d\x64\x24\x10", X86_ADD_SP, 16);			  /* lea 16(%rsp),%rsp */
	EXPECT("\x48\x83\xe4\xf0", X86_WRITES_SP, 0);			  /* and $-16,%rsp */
	EXPECT("\x48\x29\xc4", X86_WRITES_SP, 0);			  /* sub %rax,%rsp */
	EXPECT("\x83\xec\x28", X86_WRITES_SP, 0);			  /* sub $40,%esp */
	EXPECT("\x48\x89\xe5", X86_SET_FP_TO_SP, 0);			  /* mov %rsp,%rbp */
	EXPECT("\x48\x8b\xec", X86_SET_FP_TO_SP, 0);			  /* the same */
	EXPECT("\x48\x8d\x6c\x24\x20", X86_SET_FP_TO_SP, 32);		  /* lea 32(%rsp),%rbp */
	EXPECT("\x48\x8d\x65\xd8", X86_SET_SP_TO_FP, -40);		  /* lea -40(%rbp),%rsp */
	EXPECT("\x48\x89\x6c\x24\xf8", X86_STORE_FP, -8);		  /* mov %rbp,-8(%rsp) */
	EXPECT("\x48\x8b\x6c\x24\x08", X86_LOAD_FP, 8);			  /* mov 8(%rsp),%rbp */
	EXPECT("\xc8\x20\x00\x00", X86_ENTER, 32);
	EXPECT("\xc9", X86_LEAVE, 0);
	EXPECT("\xc3", X86_RETURN, 0);
	EXPECT("\xf3\xc3", X86_RETURN, 0);
	EXPECT("\x0f\x0b", X86_STOP, 0);
	EXPECT("\x31\xed", X86_WRITES_FP, 0);				  /* xor %ebp,%ebp */
	EXPECT("\x48\x87\xec", X86_WRITES_BOTH, 0);			  /* xchg %rbp,%rsp */
}

static void decodes_what_does_not(void **state)
{
	(void)state;
	EXPECT("\xf3\x0f\x1e\xfa", X86_PLAIN, 0);			  /* endbr64 */
	EXPECT("\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00", X86_PLAIN, 0); /* nopw */
	EXPECT("\x48\xb8\x01\x02\x03\x04\x05\x06\x07\x08", X86_PLAIN, 0); /* movabs */
	EXPECT("\x66\xb8\x01\x02", X86_PLAIN, 0);			  /* mov $…,%ax */
	EXPECT("\xf6\x04\x25\x00\x00\x00\x00\x01", X86_PLAIN, 0);	  /* testb $1,0 */
	EXPECT("\xf7\xd8", X86_PLAIN, 0);				  /* neg %eax: no immediate */
	EXPECT("\x39\xe5", X86_PLAIN, 0);				  /* cmp %esp,%ebp */
	EXPECT("\xb5\x01", X86_PLAIN, 0);				  /* mov $1,%ch */
	EXPECT("\x48\x89\x65\x08", X86_PLAIN, 0);			  /* mov %rsp,8(%rbp) */
	EXPECT("\x66\x0f\x6f\xe5", X86_PLAIN, 0);			  /* movdqa %xmm5,%xmm4 */
	EXPECT("\x66\x0f\x3a\x0f\xec\x08", X86_PLAIN, 0);		  /* palignr */
	EXPECT("\xc5\xf8\x77", X86_PLAIN, 0);				  /* vzeroupper */
	EXPECT("\xc4\xe3\x7d\x39\xe5\x01", X86_PLAIN, 0);		  /* vextracti128 */
	EXPECT("\xc4\xe2\xf0\xf2\xea", X86_WRITES_FP, 0);		  /* andn %rdx,%rcx,%rbp */
	EXPECT("\x62\xf1\xfe\x48\x6f\x6c\x24\x01", X86_PLAIN, 0);	  /* vmovdqu64 64(%rsp),%zmm5 */
	assert_int_equal(x86_decode((const unsigned char *)"\x06", 1, 0).length, 0);
	assert_int_equal(x86_decode((const unsigned char *)"", 0, 0).length, 0);
}

/* ---- Functions ------------------------------------------------------------------------------------ */

static struct flow follow(const char *code, size_t size)
{
	struct flow flow = {.code.max_size = 1U << 20};
	assert_int_equal(code_map_add(&flow.code, ADDRESS, (const unsigned char *)code, size), 0);
	assert_int_equal(flow_begin(&flow), 0);
	assert_int_equal(flow_add_start(&flow, ADDRESS, true), 0);
	assert_int_equal(flow_follow(&flow), 0);
	assert_int_equal(flow_sort(&flow), 0);
	return flow;
}

#define FOLLOW(code) follow(code, sizeof(code) - 1)

static struct unwind_rule rule_at(const struct flow *flow, uint64_t offset)
{
	for (size_t i = 0; i < flow->steps.count; i++)
		if (flow->steps.items[i].address == ADDRESS + offset)
			return flow_rule(&flow->steps.items[i]);
	return (struct unwind_rule){.kind = RULE_NONE};
}

static void expect_rule(const struct flow *flow, uint64_t offset, enum rule_kind kind, int32_t cfa,
			int16_t fp)
{
	struct unwind_rule rule = rule_at(flow, offset);
	assert_int_equal(rule.kind, kind);
	assert_int_equal(rule.cfa_offset, cfa);
	assert_int_equal(rule.flags & RULE_FP_AT_CFA ? rule.fp_offset : 0, fp);
}

static void follows_pushes(void **state)
{
	(void)state;
	struct flow flow = FOLLOW("\x55\x53\x48\x83\xec\x08"	/* 0 push %rbp; 1 push %rbx; 2 sub $8,%rsp */
				  "\x31\xed"			/* 6 xor %ebp,%ebp */
				  "\x74\x05"			/* 8 je 15 */
				  "\x48\x83\xc4\x08\x90"	/* 10 add $8,%rsp; 14 nop; 15 … */
				  "\x0f\x0b");
	/* 15 is reached with two heights. */
	assert_int_equal(flow.steps.count, 0);
	flow_free(&flow);
	flow = FOLLOW("\x55\x53\x48\x83\xec\x08\x31\xed\x48\x83\xc4\x08\x5b\x5d\xc3");
	expect_rule(&flow, 0, RULE_CFA_SP, 8, 0);
	expect_rule(&flow, 1, RULE_CFA_SP, 16, -16);
	expect_rule(&flow, 2, RULE_CFA_SP, 24, -16);
	expect_rule(&flow, 8, RULE_CFA_SP, 32, -16);
	expect_rule(&flow, 13, RULE_CFA_SP, 16, -16);
	expect_rule(&flow, 14, RULE_CFA_SP, 8, 0);
	flow_free(&flow);
}

static void follows_frame_pointers(void **state)
{
	(void)state;
	/* push %rbp; mov %rsp,%rbp; and $-32,%rsp; sub %rax,%rsp; leave; ret */
	struct flow flow = FOLLOW("\x55\x48\x89\xe5\x48\x83\xe4\xe0\x48\x29\xc4\xc9\xc3");
	expect_rule(&flow, 4, RULE_CFA_FP, 16, -16);
	expect_rule(&flow, 11, RULE_CFA_FP, 16, -16);
	expect_rule(&flow, 12, RULE_CFA_SP, 8, 0);
	flow_free(&flow);
	/* The caller's frame pointer is lost: xor %ebp,%ebp; ret */
	flow = FOLLOW("\x90\x31\xed\xeb\xfe");
	expect_rule(&flow, 1, RULE_CFA_SP, 8, 0);
	expect_rule(&flow, 3, RULE_NONE, 0, 0);
	flow_free(&flow);
	/* mov %rdi,%rsp; nop: another stack */
	flow = FOLLOW("\x48\x89\xfc\x90\xeb\xfe");
	expect_rule(&flow, 0, RULE_CFA_SP, 8, 0);
	expect_rule(&flow, 3, RULE_NONE, 0, 0);
	flow_free(&flow);
}

/* A function that ends in a call of one without an end; what follows that call is another's. */
static void stops_behind_calls_that_do_not_return(void **state)
{
	(void)state;
	struct flow flow = FOLLOW("\x50\xe8\x0a\x00\x00\x00"  /* 0 push %rax; 1 call 16 */
				  "\x53\x5b\xc3"	      /* 6 push %rbx; 7 pop %rbx; 8 ret */
				  "\x90\x90\x90\x90\x90\x90\x90"
				  "\x50\xeb\xfe");	      /* 16 push %rax; 17 jmp 17 */
	expect_rule(&flow, 1, RULE_CFA_SP, 16, 0);
	expect_rule(&flow, 6, RULE_NONE, 0, 0);
	expect_rule(&flow, 17, RULE_CFA_SP, 16, 0);
	flow_free(&flow);
	/* Behind a call of unknown code, and not led to anything that tells the height. */
	flow = FOLLOW("\x50\xe8\x00\x10\x00\x00\x90\xe8\x00\x10\x00\x00\x0f\x0b");
	expect_rule(&flow, 1, RULE_CFA_SP, 16, 0);
	expect_rule(&flow, 7, RULE_NONE, 0, 0);
	flow_free(&flow);
	/* The same with a return: it is proved. */
	flow = FOLLOW("\x50\xe8\x00\x10\x00\x00\x90\xe8\x00\x10\x00\x00\x58\xc3");
	expect_rule(&flow, 7, RULE_CFA_SP, 16, 0);
	flow_free(&flow);
}

/* Only what returns with its stack in order is a function because its address was taken. */
static void follows_addresses_with_care(void **state)
{
	(void)state;
	/* 0 lea 13(%rip),%rdi; 7 lea 8(%rip),%rsi; 14 ret; 15 pop %rbx; 16 ret */
	struct flow flow = FOLLOW("\x48\x8d\x3d\x08\x00\x00\x00\x48\x8d\x35\x02\x00\x00\x00\xc3\x5b\xc3");
	expect_rule(&flow, 14, RULE_CFA_SP, 8, 0);
	expect_rule(&flow, 15, RULE_NONE, 0, 0);
	expect_rule(&flow, 16, RULE_CFA_SP, 8, 0);
	flow_free(&flow);
}

/* Every jump leads to every other place: time stays bounded. */
static void is_bounded(void **state)
{
	(void)state;
	static unsigned char code[1 << 20];
	uint32_t random = 1;
	for (size_t i = 0; i < sizeof(code); i++) {
		random = random * 1664525 + 1013904223;
		code[i] = random >> 24;
	}
	struct flow flow = follow((const char *)code, sizeof(code));
	for (size_t i = 0; i < sizeof(code); i += 16)
		assert_int_equal(flow_add_start(&flow, ADDRESS + i, i % 32), 0);
	flow.steps.count = 0;
	memset(flow.at, 0, flow.code.size * sizeof(*flow.at));
	assert_int_equal(flow_follow(&flow), 0);
	flow_free(&flow);
}

/* A frame set up in every `distance` bytes of `size`. */
static bool keeps_frame_pointers(uint64_t size, uint64_t distance)
{
	unsigned char *bytes = calloc(1, size);
	for (uint64_t at = 0; at + 4 <= size; at += distance)
		memcpy(bytes + at, at & 64 ? "\x55\x48\x89\xe5" : "\x55\x48\x8b\xec", 4);
	bool ret = unwind_keeps_frame_pointers(bytes, size);
	free(bytes);
	return ret;
}

static void tells_code_with_frame_pointers(void **state)
{
	(void)state;
	assert_true(keeps_frame_pointers(64 << 10, 4096));
	assert_true(keeps_frame_pointers(1 << 20, 740));
	assert_false(keeps_frame_pointers(1 << 20, 4160));
	assert_true(keeps_frame_pointers(40 << 20, 740)); /* of which only a part is read */
	assert_false(keeps_frame_pointers(40 << 20, 5000));
	assert_false(keeps_frame_pointers((64 << 10) - 1, 64));
	assert_false(unwind_keeps_frame_pointers(NULL, 1 << 20));
}

/* Which stretch an address is in, asked of each address beside a search through all. */
static void finds_the_stretch(void **state)
{
	(void)state;
	enum { SPAN = 4096 };
	static const unsigned char code[64];
	struct code_map map = {.max_size = 1U << 20};
	uint32_t random = 1;
	for (uint64_t at = SPAN; at-- > 0;) { /* from the last to the first, and some over others */
		random = random * 1664525 + 1013904223;
		if (random >> 30 == 0)
			assert_int_equal(code_map_add(&map, ADDRESS + at, code, 1 + (random >> 8) % 40), 0);
	}
	code_map_order(&map);
	assert_int_equal(code_map_index(&map), 0);
	assert_true(map.stretches.count > 20);
	for (uint64_t address = ADDRESS - 100; address < ADDRESS + SPAN + 100; address++) {
		const struct code_stretch *expected = NULL;
		for (size_t i = 0; i < map.stretches.count; i++)
			if (address - map.stretches.items[i].address < map.stretches.items[i].size) {
				assert_null(expected); /* none overlaps another */
				expected = &map.stretches.items[i];
			}
		map.here = &map.stretches.items[address % map.stretches.count];
		assert_ptr_equal(code_map_at(&map, address), expected);
	}
	code_map_free(&map);
}

/* A damaged file may have millions of small stretches, which are of no use when there is too much to follow. */
static void keeps_no_small_code_past_the_limit(void **state)
{
	(void)state;
	struct code_map map = {.max_size = 64, .least_past_max = 32};
	const unsigned char code[64] = {0};
	assert_int_equal(code_map_add(&map, 0, code, 16), 0);
	assert_int_equal(code_map_add(&map, 64, code, 48), 0);
	assert_false(map.too_much);
	for (uint64_t i = 2; i < 1000; i++)
		assert_int_equal(code_map_add(&map, 64 * i, code, 31), 0);
	assert_true(map.too_much);
	assert_int_equal(map.stretches.count, 2);
	assert_int_equal(code_map_add(&map, 64000, code, 32), 0);
	assert_int_equal(map.stretches.count, 3);
	assert_int_equal(map.stretches.items[2].address, 64000);
	code_map_free(&map);
}

/* A damaged file's sections, all the same bytes at other addresses: they are read once. */
static void reads_no_bytes_as_often_as_sections_have_them(void **state)
{
	enum { SECTIONS = 32, SIZE = 1 << 20 };
	static Elf64_Phdr loads[SECTIONS];
	static Elf64_Shdr sections[SECTIONS];
	unsigned char *bytes = calloc(1, SIZE + sizeof(loads) + sizeof(sections));
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			     .e_phoff = SIZE, .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = SECTIONS,
			     .e_shoff = SIZE + sizeof(loads), .e_shentsize = sizeof(Elf64_Shdr),
			     .e_shnum = SECTIONS};
	(void)state;
	assert_non_null(bytes);
	for (uint64_t i = 0; i < SECTIONS; i++) {
		uint64_t address = (i + 1) * SIZE;
		loads[i] = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = address,
					.p_filesz = SIZE, .p_memsz = SIZE};
		sections[i] = (Elf64_Shdr){.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
					   .sh_addr = address, .sh_size = SIZE};
	}
	for (uint64_t at = 256; at < SIZE; at += 256)
		memcpy(bytes + at, "\x55\x48\x89\xe5", 4);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + SIZE, loads, sizeof(loads));
	memcpy(bytes + SIZE + sizeof(loads), sections, sizeof(sections));
	struct elf_file elf;
	struct unwind_rows *rows = calloc(1, sizeof(*rows));
	assert_non_null(rows);
	assert_int_equal(elf_file_open(bytes, SIZE + sizeof(loads) + sizeof(sections), &elf), 0);
	assert_int_equal(unwind_rows_init(rows, &elf), 0);
	assert_int_equal(unwind_gaps_read(&elf, UNWIND_GAPS_WORTHWHILE, rows), 0);
	assert_int_equal(rows->ranges.count, 1);
	assert_int_equal(rows->ranges.items[0].source, UNWIND_FROM_FRAME_SETUP);
	unwind_rows_free(rows);
	free(rows);
	free(bytes);
}

/* Of an array that claims to be large, as in a file of zeros, only what a program may have is read. */
static void reads_no_more_of_an_array_than_there_can_be(void **state)
{
	enum { ARRAY_SIZE = 4 << 20, HEADERS = sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr) };
	unsigned char *bytes = calloc(1, HEADERS + ARRAY_SIZE);
	Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1},
			     .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1,
			     .e_shoff = sizeof(header), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 1};
	Elf64_Shdr section = {.sh_type = SHT_INIT_ARRAY, .sh_flags = SHF_ALLOC, .sh_offset = HEADERS,
			      .sh_size = ARRAY_SIZE};
	const uint64_t early = ADDRESS, late = ADDRESS + 1;
	static const unsigned char code[] = {0xc3, 0xc3};
	struct flow flow = {.code.max_size = 1U << 20};
	struct unwind_rows *rows = calloc(1, sizeof(*rows));
	struct elf_file elf;
	(void)state;
	assert_true(bytes && rows);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), &section, sizeof(section));
	memcpy(bytes + HEADERS + 8, &early, sizeof(early));
	memcpy(bytes + HEADERS + ARRAY_SIZE - 8, &late, sizeof(late));
	assert_int_equal(elf_file_open(bytes, HEADERS + ARRAY_SIZE, &elf), 0);
	assert_int_equal(code_map_add(&flow.code, ADDRESS, code, sizeof(code)), 0);
	assert_int_equal(flow_begin(&flow), 0);
	assert_int_equal(unwind_starts_add(&elf, rows, 1UL << 30, &flow), 0);
	assert_int_equal(flow.possible.count, 1);
	assert_int_equal(flow.possible.items[0], early);
	flow_free(&flow);
	free(rows);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_what_moves_the_stack),
		cmocka_unit_test(decodes_what_does_not),
		cmocka_unit_test(follows_pushes),
		cmocka_unit_test(follows_frame_pointers),
		cmocka_unit_test(stops_behind_calls_that_do_not_return),
		cmocka_unit_test(follows_addresses_with_care),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(finds_the_stretch),
		cmocka_unit_test(keeps_no_small_code_past_the_limit),
		cmocka_unit_test(reads_no_bytes_as_often_as_sections_have_them),
		cmocka_unit_test(reads_no_more_of_an_array_than_there_can_be),
		cmocka_unit_test(tells_code_with_frame_pointers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
