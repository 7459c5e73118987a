/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a function the probe goes: functions written in assembly, and Debian's allocators as measured. */
#include "binary/allocator_point.h"
#include "binary/facts.h"
#include "binary/allocator_find.h"
#include "binary/symbol_table.h"
#include "binary/x86_decode.h"
#include "made_file.h"

/* DWARF's numbers */
enum { RAX = 0, RDX = 1, RCX = 2, RBX = 3, RSI = 4, RDI = 5, R8 = 8, R12 = 12 };

static struct elf_file elf;

/* Address and size of a function of the file. */
static struct allocator_function function_named(const char *name)
{
	_cleanup_(symbol_table_free) struct symbol_table table = {0};
	struct allocator_function f = {.size_register = PROBE_NO_REGISTER,
				       .count_register = PROBE_NO_REGISTER,
				       .pointer_register = PROBE_NO_REGISTER};
	assert_int_equal(symbol_table_open(&elf, SHT_SYMTAB, &table), 0);
	for (size_t i = 0; i < table.count; i++) {
		Elf64_Sym symbol = symbol_table_get(&table, i);
		const char *found;
		size_t length = symbol_table_name(&table, &symbol, &found);
		if (length != strlen(name) || memcmp(found, name, length))
			continue;
		f.address = symbol.st_value;
		f.size = symbol.st_size;
		return f;
	}
	fail_msg("no function %s", name);
	return f;
}

/* Offset from the entry. */
static uint64_t allocating(const char *name, uint8_t size_register, struct allocator_point *ret)
{
	struct allocator_function f = function_named(name);
	f.size_register = size_register;
	f.needs_return = true;
	*ret = allocator_point_find(&elf, &f);
	return ret->address - f.address;
}

static uint64_t freeing(const char *name, uint8_t pointer_register, struct allocator_point *ret)
{
	struct allocator_function f = function_named(name);
	f.pointer_register = pointer_register;
	f.null_is_trivial = true;
	*ret = allocator_point_find(&elf, &f);
	return ret->address - f.address;
}

static void assemble(const char *compiler, const char *source)
{
	write_made("points.S", source);
	assert_true(shell("%s -shared -nostdlib -o points.so points.S", compiler));
}

#define FUNCTION(name, body)                                                                     \
	".globl " name "\n.type " name ",@function\n" name ":\n" body ".size " name ",.-" name "\n"

static const char x86_source[] =
	".text\n"
	FUNCTION("pushes", "push %rbx\n ret\n")
	FUNCTION("pushes_high", "push %r12\n ret\n")
	FUNCTION("marked", "endbr64\n push %rbp\n ret\n")
	FUNCTION("compares", "cmp $0x1000, %rdi\n ja 1f\n ret\n1: ret\n")
	FUNCTION("copies", "mov %rdi, %rsi\n xor %edi, %edi\n cmp $9, %rsi\n ja 1f\n ret\n1: ret\n")
	FUNCTION("loses", "mov (%rdi), %rdi\n test %rdi, %rdi\n je 1f\n nop\n1: ret\n")
	FUNCTION("moves_stack", "sub $24, %rsp\n test %rdi, %rdi\n je 1f\n add $24, %rsp\n1: ret\n")
	FUNCTION("null_check", "test %rdi, %rdi\n je 1f\n mov %rdi, %rax\n push %rbp\n pop %rbp\n1: ret\n")
	FUNCTION("null_check_alone", "test %rdi, %rdi\n je 1f\n mov %rdi, %rax\n1: ret\n")
	FUNCTION("other_check", "test %rsi, %rsi\n je 1f\n push %rbp\n pop %rbp\n1: ret\n")
	FUNCTION("loops", "mov %rdi, %rax\n1: dec %rax\n jne 1b\n ret\n")
	FUNCTION("wide_nop", "mov %rdi, %rax\n nopl 0(%rax,%rax,1)\n mov %rsi, %rdx\n ret\n")
	FUNCTION("narrow_nop", "mov %rdi, %rax\n nop\n ret\n")
	FUNCTION("calls_first", "mov %rdi, %r12\n call 1f\n push %rbx\n1: ret\n")
	FUNCTION("multiplies", "mov %rdi, %rax\n mul %rsi\n jo 1f\n ret\n1: ret\n")
	FUNCTION("late", ".skip 62, 0x90\n");

static void test_x86(void **state)
{
	struct allocator_point point;
	if (!shell("echo ret | gcc -m64 -c -x assembler -o probe.o -") ||
	    !shell("objdump -f probe.o | grep -q x86-64")) {
		fprintf(stderr, "skipped: no assembler for x86-64\n");
		skip();
	}
	assemble("gcc", x86_source);
	_cleanup_free_ char *bytes = open_made_elf("points.so", &elf);
	assert_int_equal(allocating("pushes", RDI, &point), 0);
	assert_int_equal(point.flags, PROBE_EMULATED | PROBE_CAN_RETURN);
	assert_int_equal(allocating("pushes_high", RDI, &point), 0);
	assert_true(point.flags & PROBE_EMULATED);
	assert_int_equal(allocating("marked", RDI, &point), 4);
	assert_int_equal(allocating("compares", RDI, &point), 7);
	assert_int_equal(point.size_register, RDI);
	assert_int_equal(allocating("copies", RDI, &point), 9);
	assert_int_equal(point.size_register, RSI);
	/* The argument is overwritten before the first good place: the entry, not emulated. */
	assert_int_equal(allocating("loses", RDI, &point), 0);
	assert_int_equal(point.flags, PROBE_CAN_RETURN);
	assert_int_equal(allocating("moves_stack", RDI, &point), 0);
	assert_false(point.flags & PROBE_EMULATED);
	assert_int_equal(freeing("moves_stack", RDI, &point), 7); /* needs no return address */
	assert_int_equal(point.flags, PROBE_EMULATED);
	assert_int_equal(allocating("loops", RDI, &point), 0);
	assert_false(point.flags & PROBE_EMULATED);
	assert_int_equal(allocating("wide_nop", RDI, &point), 0);
	assert_false(point.flags & PROBE_EMULATED);
	assert_int_equal(allocating("narrow_nop", RDI, &point), 3);
	assert_int_equal(allocating("calls_first", RDI, &point), 3);
	assert_int_equal(allocating("multiplies", RSI, &point), 6);
	assert_int_equal(point.size_register, RSI);
}

static void test_x86_free(void **state)
{
	struct allocator_point point;
	if (!shell("test -e points.so")) /* made above */
		skip();
	_cleanup_free_ char *bytes = open_made_elf("points.so", &elf);
	/* Behind free(NULL)'s way out; without a better place at its branch. */
	assert_int_equal(freeing("null_check", RDI, &point), 8);
	assert_int_equal(point.flags, PROBE_EMULATED | PROBE_CAN_RETURN | PROBE_SKIPS_TRIVIAL);
	assert_int_equal(point.pointer_register, RDI);
	assert_int_equal(allocating("null_check", RDI, &point), 3);
	assert_false(point.flags & PROBE_SKIPS_TRIVIAL);
	assert_int_equal(freeing("null_check_alone", RDI, &point), 3);
	assert_false(point.flags & PROBE_SKIPS_TRIVIAL);
	assert_int_equal(freeing("other_check", RDI, &point), 3);
	assert_false(point.flags & PROBE_SKIPS_TRIVIAL);
}

static const char arm_source[] =
	".text\n"
	FUNCTION("branches", "cbz x0, 1f\n mov x1, x0\n1: ret\n")
	FUNCTION("addresses", "bti c\n mov x5, x0\n mov x0, x1\n adrp x2, .\n ret\n")
	FUNCTION("signed", "paciasp\n stp x29, x30, [sp, #-16]!\n adrp x2, .\n ldp x29, x30, [sp], #16\n"
			   " autiasp\n ret\n")
	FUNCTION("null_check", "cbz x0, 1f\n ldr x1, [x0, #8]\n tbz x1, #0, 1f\n nop\n1: ret\n")
	FUNCTION("loses", "ldr x0, [x0]\n cbz x0, 1f\n nop\n1: ret\n");

static void test_arm64(void **state)
{
	struct allocator_point point;
	if (!shell("command -v aarch64-linux-gnu-gcc >/dev/null")) {
		fprintf(stderr, "skipped: no aarch64-linux-gnu-gcc\n");
		skip();
	}
	assemble("aarch64-linux-gnu-gcc", arm_source);
	_cleanup_free_ char *bytes = open_made_elf("points.so", &elf);
	assert_int_equal(allocating("branches", 0, &point), 0);
	assert_int_equal(point.flags, PROBE_EMULATED | PROBE_CAN_RETURN);
	assert_int_equal(allocating("addresses", 0, &point), 12);
	assert_int_equal(point.size_register, 5);
	assert_int_equal(allocating("addresses", 1, &point), 12);
	assert_int_equal(point.size_register, 1);
	assert_int_equal(allocating("signed", 0, &point), 0);
	assert_int_equal(point.flags, PROBE_CAN_RETURN);
	assert_int_equal(freeing("signed", 0, &point), 8);
	assert_int_equal(point.flags, PROBE_EMULATED);
	assert_int_equal(freeing("null_check", 0, &point), 8);
	assert_true(point.flags & PROBE_SKIPS_TRIVIAL);
	assert_int_equal(allocating("loses", 0, &point), 0);
	assert_false(point.flags & PROBE_EMULATED);
}

/* What is written is the whole truth about an instruction's general registers. */
static void expect_written(const char *code, size_t length, uint16_t written)
{
	struct x86_instruction i = x86_decode((const unsigned char *)code, length, 0);
	assert_int_equal(i.length, length);
	assert_int_equal(i.written, written);
}

static void test_written_registers(void **state)
{
	expect_written("\x48\x89\xf8", 3, 1 << 0);	     /* mov %rdi, %rax */
	expect_written("\x4c\x89\xe7", 3, 1 << 7);	     /* mov %r12, %rdi */
	expect_written("\x48\x85\xff", 3, 0);		     /* test %rdi, %rdi */
	expect_written("\x48\xf7\xe6", 3, 1 << 0 | 1 << 2);  /* mul %rsi */
	expect_written("\x48\xf7\xdf", 3, 1 << 7);	     /* neg %rdi */
	expect_written("\xf6\xc1\x01", 3, 0);		     /* test $1, %cl */
	expect_written("\x5f", 1, 1 << 7);		     /* pop %rdi */
	expect_written("\x41\x5c", 2, 1 << 12);		     /* pop %r12 */
	expect_written("\xb4\x01", 2, 1 << 0);		     /* mov $1, %ah */
	expect_written("\x48\x87\xfe", 3, 1 << 6 | 1 << 7);  /* xchg %rdi, %rsi */
	expect_written("\x49\x90", 2, 1 << 0 | 1 << 8);	     /* xchg %rax, %r8 */
	expect_written("\x90", 1, 0);			     /* nop */
	expect_written("\x48\x05\x01\x00\x00\x00", 6, 1 << 0); /* add $1, %rax */
	expect_written("\x48\x89\x7c\x24\x08", 5, 0);	     /* mov %rdi, 8(%rsp) */
	expect_written("\x0f\xb6\xf7", 3, 1 << 6);	     /* movzbl %bh, %esi */
	expect_written("\xdf\xe0", 2, 1 << 0);		     /* fnstsw %ax */
	expect_written("\x66\x0f\x3a\x63\xc1\x1a", 6, 1 << 1); /* pcmpistri $26, %xmm1, %xmm0 */
	expect_written("\xf3\x48\xab", 3, 1 << 0 | 1 << 1 | 1 << 6 | 1 << 7); /* rep stos */
}

/* ---- Debian's allocators ----------------------------------------------------------------------- */

struct expected_point {
	const char *name;
	unsigned int offset; /* from the entry */
	uint8_t argument;    /* register of the size, or for free of the pointer */
};

/* A probe on each of these points counted as many calls as one on the entry, with the same arguments
 * (tests/truth/memory). */
static const struct expected_library {
	const char *path, *build_id;
	struct expected_point points[8];
} libraries[] = {
	{"/lib/x86_64-linux-gnu/libc.so.6", "93ac61ec5a8eb1396f9fbd350e3169a558528a40",
	 {{"malloc", 0, RDI}, {"calloc", 0, RSI}, {"realloc", 0, RSI}, {"free", 9, RDI},
	  {"posix_memalign", 7, RDX}, {"aligned_alloc", 7, RSI}}},
	{"/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "1d5163c246dc9cd2b4d339f2ac42efd95c6e0ae1",
	 {{"malloc", 7, RDI}, {"calloc", 0, RSI}, {"realloc", 0, RSI}, {"free", 0x30, RDI},
	  {"posix_memalign", 0, RDX}, {"_Znwm", 7, RDI}}},
	{"/usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4", "39dfd4a5855703fa6c2469749282f75b18a1aa66",
	 {{"malloc", 10, RDI}, {"free", 10, RDI}, {"_Znwm", 10, RDI}, {"calloc", 0, RSI}}},
	{"/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0", "d07f4e7dc9a039fcbe7747f416476bd65cb48e8b",
	 {{"malloc", 0x15, RSI}, {"free", 6, RDI}}},
};

static void check_library(const struct expected_library *library)
{
	char id[2 * BUILD_ID_MAX + 1];
	struct binary_facts facts = {0};
	struct allocator_sections sections = {0};
	_cleanup_free_ char *bytes = NULL;
	size_t size;
	_cleanup_fd_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read_whole_fd(fd, 1 << 28, &bytes, &size) < 0 ||
	    elf_file_open(bytes, size, &elf) < 0) {
		fprintf(stderr, "skipped: no %s\n", library->path);
		return;
	}
	elf_file_facts(&elf, &facts);
	if (strcmp(facts_build_id_text(&facts, id), library->build_id)) {
		fprintf(stderr, "skipped: %s is of another build, %s\n", library->path, id);
		return;
	}
	assert_int_equal(allocator_find(&elf, &sections), 0);
	const struct allocator_probe *probes = (const void *)sections.probes.bytes;
	size_t count = sections.probes.length / sizeof(*probes);
	for (const struct expected_point *p = library->points; p->name; p++) {
		size_t i = 0;
		while (i < count && strcmp(sections.names.bytes + probes[i].name, p->name))
			i++;
		assert_true(i < count);
		assert_int_equal(probes[i].offset - probes[i].entry, p->offset);
		assert_true(probes[i].flags & PROBE_EMULATED);
		assert_int_equal(probes[i].role == ALLOCATOR_FREE ? probes[i].pointer
								  : probes[i].size,
				 p->argument);
	}
	allocator_sections_free(&sections);
}

static void test_libraries(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(libraries); i++)
		check_library(&libraries[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_x86),
		cmocka_unit_test(test_x86_free),
		cmocka_unit_test(test_arm64),
		cmocka_unit_test(test_written_registers),
		cmocka_unit_test(test_libraries),
	};
	made_files_begin();
	need_tools("gcc objdump");
	return cmocka_run_group_tests(tests, NULL, made_files_end);
}
