/* SPDX-License-Identifier: Apache-2.0 */
/* Names in files as compilers, strip and objcopy make them, checked against nm of the full file. */
#include "binary/symbol_build.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"
#include "made_file.h"

#include <errno.h>
#include <sys/mman.h>

static const char program[] =
	"#include <stdlib.h>\n"
	"__attribute__((noinline)) static int hidden_function(int x) { return rand() + x; }\n"
	"__attribute__((noinline)) int exported_function(int x) { return hidden_function(x) * 3; }\n"
	"int alias_of_it(int) __attribute__((weak, alias(\"exported_function\")));\n"
	"__asm__(\".text\\n.globl outer\\n.type outer,@function\\nouter:\\n.skip 16\\n\"\n"
	"\".type inner,@function\\ninner:\\n.skip 16\\n.size inner,16\\n\"\n"
	"\"label_inside:\\n.skip 16\\n.size outer,48\\n\"\n"
	"\"unsized:\\n.skip 8\\na_longer_name:\\nafter_it:\\n.skip 8\\n.previous\\n\");\n"
	"int main(int argc, char **argv) { return exported_function(argc); }\n";

/* An index built from a file of the directory, and the same in a file. */
struct built {
	struct text text;
	struct artifact artifact;
	struct symbol_index index, in_file;
	int file; /* the index's */
};

static void open_in_file(struct built *b)
{
	struct artifact_file file;
	int fd = memfd_create("symbols", MFD_CLOEXEC);
	assert_int_equal(write_all(fd, b->text.bytes, b->text.length), 0);
	assert_int_equal(artifact_file_check(fd, 0, b->text.length, ARTIFACT_SYMBOLS, &file), 0);
	assert_int_equal(symbol_index_open_file(&file, &b->in_file), 0);
	assert_memory_equal(b->in_file.debug, b->index.debug, sizeof(*b->index.debug));
	b->file = fd;
}

static int build(const char *name, const char *debug_name, struct built *ret)
{
	struct elf_file elf, debug;
	_cleanup_free_ char *bytes = open_made_elf(name, &elf);
	_cleanup_free_ char *debug_bytes = debug_name ? open_made_elf(debug_name, &debug) : NULL;
	*ret = (struct built){0};
	int r = symbol_build(&elf, debug_name ? &debug : NULL, &ret->text);
	if (r < 0)
		return r;
	assert_int_equal(artifact_check(ret->text.bytes, ret->text.length, ARTIFACT_SYMBOLS,
					&ret->artifact),
			 0);
	assert_int_equal(symbol_index_open(&ret->artifact, &ret->index), 0);
	open_in_file(ret);
	return 0;
}

static void built_free(struct built *built)
{
	text_free(&built->text);
	symbol_index_close(&built->in_file);
}

/* What nm says of a symbol of the unstripped program. */
static uint64_t address_of(const char *name)
{
	char command[512], line[512];
	uint64_t address = 0;
	snprintf(command, sizeof(command), "nm %s/full", made_directory);
	FILE *nm = popen(command, "r");
	assert_non_null(nm);
	while (fgets(line, sizeof(line), nm)) {
		char symbol[256];
		unsigned long long value;
		if (sscanf(line, "%llx %*c %255s", &value, symbol) == 2 && !strcmp(symbol, name))
			address = value;
	}
	pclose(nm);
	assert_int_not_equal(address, 0);
	return address;
}

static const char *name_at(const struct built *built, uint64_t address)
{
	struct symbol symbol, same;
	bool found = symbol_index_find(&built->index, address, &symbol);
	assert_int_equal(symbol_index_find(&built->in_file, address, &same), found);
	if (!found)
		return "none";
	assert_string_equal(same.name, symbol.name);
	assert_int_equal(same.address, symbol.address);
	assert_int_equal(same.size, symbol.size);
	assert_int_equal(same.span, symbol.span);
	assert_true(!symbol.span || symbol_index_find(&built->index, symbol.address + symbol.span - 1, &same));
	assert_int_equal(same.address, symbol.address);
	return symbol.name;
}

static void test_full_symbol_table(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("full", NULL, &b), 0);
	assert_string_equal(name_at(&b, address_of("hidden_function") + 2), "hidden_function");
	assert_string_equal(name_at(&b, address_of("main")), "main");
	/* Of two names the global one wins over the weak one. */
	assert_string_equal(name_at(&b, address_of("alias_of_it")), "exported_function");
	assert_string_equal(name_at(&b, 0), "none");
	assert_string_equal(name_at(&b, UINT64_MAX), "none");
}

/* A library of thousands of functions, some inside others: each address gives the same both ways, and holds little. */
static void test_a_large_index_in_a_file(void **state)
{
	_cleanup_(built_free) struct built b;
	struct text source = {0};
	/* One before the pairs: some blocks begin with the inner one. */
	text_add_string(&source, ".type first,@function\nfirst:\n.skip 1\n.size first,1\n");
	for (int i = 0; i < 3000; i++)
		text_add(&source,
			 ".globl f%d\n.type f%d,@function\nf%d:\n.skip %d\n.type g%d,@function\ng%d:\n.skip 1\n"
			 ".size g%d,1\n.skip 2\n.size f%d,%d\n%s",
			 i, i, i, 1 + i % 7, i, i, i, i, 4 + i % 7, i % 3 ? "" : ".skip 3\n");
	write_made("many.s", source.bytes);
	text_free(&source);
	assert_true(shell("cc -shared -nostdlib -o many many.s"));
	assert_int_equal(build("many", NULL, &b), 0);
	assert_true(b.index.symbol_count >= 6000);
	const struct symbol_record *records = b.index.symbols;
	size_t named = 0;
	for (uint64_t at = records[0].address - 8; at < records[b.index.symbol_count - 1].address + 16; at++)
		named += strcmp(name_at(&b, at), "none") != 0;
	assert_true(named > 3000 * 4);
	assert_true(symbol_index_size(&b.in_file) < 4096);
	assert_true(symbol_index_size(&b.index) > 50000);
}

static void test_nested_and_unsized(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("full", NULL, &b), 0);
	uint64_t outer = address_of("outer");
	assert_string_equal(name_at(&b, outer + 15), "outer");
	assert_string_equal(name_at(&b, outer + 16), "inner");
	assert_string_equal(name_at(&b, outer + 31), "inner");
	assert_string_equal(name_at(&b, outer + 32), "outer"); /* a label does not cut it in two */
	assert_string_equal(name_at(&b, outer + 47), "outer");
	assert_string_equal(name_at(&b, outer + 48), "unsized");
	assert_string_equal(name_at(&b, outer + 55), "unsized");
	assert_string_equal(name_at(&b, outer + 56), "after_it"); /* of two alike the shorter one */
}

static void test_stripped_keeps_exported_names(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("stripped", NULL, &b), 0);
	assert_string_equal(name_at(&b, address_of("exported_function")), "exported_function");
	assert_string_equal(name_at(&b, address_of("hidden_function")), "none");
}

static void test_stubs(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("stripped", NULL, &b), 0);
	const struct symbol_record *records = b.index.symbols;
	size_t found = 0;
	for (size_t i = 0; i < b.index.symbol_count; i++)
		found += !strcmp(b.index.names + records[i].name, "rand@plt");
	assert_int_equal(found, 1);
}

static void test_minidebuginfo(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("minidebug", NULL, &b), 0);
	assert_string_equal(name_at(&b, address_of("exported_function")), "exported_function");
	assert_string_equal(name_at(&b, address_of("hidden_function")), "hidden_function");
}

static void test_damaged_minidebuginfo(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("broken", NULL, &b), 0);
	assert_string_equal(name_at(&b, address_of("exported_function")), "exported_function");
}

static void test_debug_file(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("stripped", "full.debug", &b), 0);
	assert_string_equal(name_at(&b, address_of("hidden_function")), "hidden_function");
}

static void test_debug_file_of_another_build(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("stripped", "other.debug", &b), 0);
	assert_string_equal(name_at(&b, address_of("hidden_function")), "none");
}

static void test_no_names(void **state)
{
	_cleanup_(built_free) struct built b;
	assert_int_equal(build("static", NULL, &b), -ENODATA);
}

static void test_lying_index(void **state)
{
	struct text t = {0};
	struct artifact artifact;
	struct symbol_index index;
	struct symbol symbol;
	struct symbol_debug debug = {0};
	struct symbol_record records[] = {{0x10, 4, 4}, {0x20, 4, 1}};
	artifact_begin(&t, ARTIFACT_SYMBOLS);
	artifact_add_section(&t, SECTION_SYMBOLS, records, sizeof(records));
	artifact_add_section(&t, SECTION_SYMBOL_NAMES, "abc", 4);
	artifact_add_section(&t, SECTION_SYMBOL_DEBUG, &debug, sizeof(debug));
	assert_int_equal(artifact_finish(&t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), 0);
	assert_false(symbol_index_find(&index, 0x10, &symbol)); /* its name lies outside */
	assert_true(symbol_index_find(&index, 0x20, &symbol));
	assert_string_equal(symbol.name, "bc");
	text_free(&t);

	artifact_begin(&t, ARTIFACT_SYMBOLS);
	artifact_add_section(&t, SECTION_SYMBOLS, records, sizeof(records));
	artifact_add_section(&t, SECTION_SYMBOL_NAMES, "abc", 3);
	artifact_add_section(&t, SECTION_SYMBOL_DEBUG, &debug, sizeof(debug));
	assert_int_equal(artifact_finish(&t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), -EBADMSG); /* no NUL at the end */
	text_free(&t);

	debug.supplementary_id_size = BUILD_ID_MAX + 1;
	artifact_begin(&t, ARTIFACT_SYMBOLS);
	artifact_add_section(&t, SECTION_SYMBOLS, records, sizeof(records));
	artifact_add_section(&t, SECTION_SYMBOL_NAMES, "abc", 4);
	artifact_add_section(&t, SECTION_SYMBOL_DEBUG, &debug, sizeof(debug));
	assert_int_equal(artifact_finish(&t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &artifact), 0);
	assert_int_equal(symbol_index_open(&artifact, &index), -EBADMSG);
	text_free(&t);
}

/* The minidebuginfo is made as Fedora's find-debuginfo does: the symbols .dynsym lacks, xz. */
static int make_files(void **state)
{
	made_files_begin();
	need_tools("cc nm strip objcopy xz");
	write_made("program.c", program);
	bool made =
		shell("cc -g -O1 -rdynamic -Wl,--build-id=sha1 -o full program.c") &&
		shell("strip -o stripped full") &&
		shell("objcopy --only-keep-debug full full.debug") &&
		shell("objcopy -S --remove-section=.comment -K hidden_function full.debug mini") &&
		shell("xz -k mini && objcopy --add-section .gnu_debugdata=mini.xz stripped minidebug") &&
		shell("head -c 200 mini.xz > cut.xz && "
		      "objcopy --add-section .gnu_debugdata=cut.xz stripped broken") &&
		shell("cc -g -O1 -DOTHER -rdynamic -Wl,--build-id=0x1234 -o other program.c") &&
		shell("objcopy --only-keep-debug other other.debug") &&
		shell("echo 'void _start(void) { for (;;) ; }' > static.c && "
		      "cc -nostdlib -static -o static static.c && strip static");
	return made ? 0 : -1;
}

/* The cache's entry while it is read: nothing is found in it any more, and it says so. */
static void tells_a_truncated_file(void **state)
{
	struct built b;
	struct symbol symbol;
	(void)state;
	assert_int_equal(build("full", NULL, &b), 0);
	uint64_t address = address_of("main");
	assert_true(symbol_index_find(&b.in_file, address, &symbol));
	assert_true(symbol_index_is_whole(&b.in_file));
	assert_true(symbol_index_is_whole(&b.index));
	assert_int_equal(ftruncate(b.file, (off_t)b.text.length / 2), 0);
	assert_false(symbol_index_is_whole(&b.in_file));
	assert_int_equal(ftruncate(b.file, 0), 0);
	assert_false(symbol_index_find(&b.in_file, address, &symbol));
	built_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_symbol_table),
		cmocka_unit_test(test_nested_and_unsized),
		cmocka_unit_test(test_a_large_index_in_a_file),
		cmocka_unit_test(test_stripped_keeps_exported_names),
		cmocka_unit_test(test_stubs),
		cmocka_unit_test(test_minidebuginfo),
		cmocka_unit_test(test_damaged_minidebuginfo),
		cmocka_unit_test(test_debug_file),
		cmocka_unit_test(test_debug_file_of_another_build),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_lying_index),
		cmocka_unit_test(tells_a_truncated_file),
	};
	return cmocka_run_group_tests(tests, make_files, made_files_end);
}
