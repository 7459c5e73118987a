/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses: the kernel's list, here a file, is read by a thread, and until then there is no name;
 * once it is in the cache it is not read again but for what it lacks; generated code goes by its time.
 */
#include "profile/kernel_names.h"

#include "base/clock.h"
#include "base/file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KERNEL 0xffffffff81001000
#define MODULE 0xffffffffc0400000
#define PROGRAM 0xffffffffc0601000
#define NEW_MODULE 0xffffffffc0800000

static const char list[] = "ffffffff81000000 T _stext\n"
			   "ffffffff81001000 t quiet_vmstat\n"
			   "ffffffff81002000 t last\n"
			   "ffffffffc0400000 t ext4_read\t[ext4]\n"
			   "ffffffffc0401000 t ext4_write\t[ext4]\n"
			   "ffffffffc0600000 t bpf_trampoline_1\t[bpf]\n";
static const char module[] = "ffffffffc0800000 t xfs_read\t[xfs]\n"
			     "ffffffffc0801000 t xfs_write\t[xfs]\n";

struct fixture {
	char directory[64], kallsyms[128], modules[128];
	struct kernel_files files;
	struct loop *loop;
	struct offload *offload;
	struct artifact_cache *cache;
	struct generated_code code;
	struct kernel_names names;
};

static void write_list(const struct fixture *f, const char *more)
{
	FILE *file = fopen(f->kallsyms, "we");
	assert_non_null(file);
	fprintf(file, "%s%s", list, more);
	fclose(file);
}

static void begin_names(struct fixture *f)
{
	f->names = (struct kernel_names){.cache = f->cache, .offload = f->offload, .code = &f->code, .files = &f->files};
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char cache[128];
	snprintf(f->directory, sizeof(f->directory), "/tmp/bolometer-names-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->kallsyms, sizeof(f->kallsyms), "%s/kallsyms", f->directory);
	snprintf(f->modules, sizeof(f->modules), "%s/modules", f->directory);
	snprintf(cache, sizeof(cache), "%s/cache", f->directory);
	f->files = (struct kernel_files){f->kallsyms, f->modules, "/nowhere", "/nowhere"};
	write_list(f, "");
	struct artifact_cache_options options = {.directory = cache};
	assert_int_equal(artifact_cache_open(&options, &f->cache), 0);
	assert_int_equal(loop_new(&f->loop), 0);
	assert_int_equal(offload_new(f->loop, NS_PER_SECOND, &f->offload), 0);
	begin_names(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];
	kernel_names_free(&f->names);
	offload_free(f->offload);
	loop_free(f->loop);
	artifact_cache_free(f->cache);
	generated_code_free(&f->code);
	snprintf(command, sizeof(command), "rm -r %s", f->directory);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static const char *find(struct fixture *f, uint64_t address, uint64_t time_ns)
{
	static char text[256];
	const char *name, *where;
	if (!kernel_names_find(&f->names, address, time_ns, &name, &where))
		return "";
	snprintf(text, sizeof(text), "%s[%s]", name, where);
	return text;
}

static void finish(struct fixture *f)
{
	while (offload_pending(f->offload))
		assert_int_equal(loop_run_once(f->loop, 1000), 0);
}

static void test_read_by_a_thread(void **state)
{
	struct fixture *f = *state;
	kernel_names_prepare(&f->names, KERNEL + 5);
	assert_int_equal(offload_pending(f->offload), 1);
	assert_string_equal(find(f, KERNEL + 5, 1), ""); /* nobody has read anything yet */
	assert_int_equal(offload_pending(f->offload), 1); /* and it is asked once */
	finish(f);
	assert_string_equal(find(f, KERNEL + 5, 1), "quiet_vmstat[]");
	assert_string_equal(find(f, MODULE + 8, 1), "ext4_read[ext4]");
	assert_string_equal(find(f, PROGRAM - 8, 1), "bpf_trampoline_1[bpf]");
	assert_true(generated_code_covers(&f->code, PROGRAM - 8)); /* it is not in the list, which is kept */
	assert_int_equal(offload_pending(f->offload), 0);
	assert_non_null(f->names.symbols.stored);
}

static void test_from_the_cache(void **state)
{
	struct fixture *f = *state;
	kernel_names_prepare(&f->names, KERNEL);
	finish(f);
	kernel_names_free(&f->names);
	begin_names(f);
	assert_string_equal(find(f, KERNEL, 1), ""); /* a thread looks */
	assert_true(kernel_names_are_awaited(&f->names));
	finish(f);
	assert_string_equal(find(f, KERNEL, 1), "quiet_vmstat[]");
	assert_non_null(f->names.symbols.stored);
	assert_int_equal(f->names.whole_ns, 0); /* the kernel was not asked */
	assert_int_equal(offload_pending(f->offload), 0);
}

/* A module that came later: its addresses are in no program, so the list is read anew, but not again and again. */
static void test_new_module(void **state)
{
	struct fixture *f = *state;
	kernel_names_prepare(&f->names, KERNEL);
	finish(f);
	kernel_names_free(&f->names);
	begin_names(f);
	write_list(f, module);
	assert_string_equal(find(f, KERNEL, 1), ""); /* not the cache's: the list's first page is another */
	finish(f);
	write_list(f, "");
	kernel_names_prepare(&f->names, NEW_MODULE);
	assert_string_equal(find(f, NEW_MODULE + 8, 1), "xfs_read[xfs]");
	/* Behind the last function: by the nearest, once that has been asked for. */
	f->names.whole_ns = 0;
	write_list(f, module);
	assert_string_equal(find(f, NEW_MODULE + 0x2008, 1), "");
	assert_string_equal(find(f, NEW_MODULE + 0x3008, 1), "");
	finish(f);
	assert_string_equal(find(f, NEW_MODULE + 0x2008, 1), "xfs_write[xfs]");
	assert_string_equal(find(f, NEW_MODULE + 0x3008, 1), "xfs_write[xfs]");
	write_list(f, "ffffffffc0a00000 t late\t[late]\n");
	assert_string_equal(find(f, 0xffffffffc0a00000, 1), "");
	finish(f);
	assert_string_equal(find(f, 0xffffffffc0a00000, 1), ""); /* within a minute */
	finish(f);
	f->names.whole_ns -= 61 * NS_PER_SECOND;
	assert_string_equal(find(f, 0xffffffffc0a00000, 1), "");
	finish(f);
	assert_string_equal(find(f, 0xffffffffc0a00000, 1), "late[late]");
}

static void test_generated_code_by_time(void **state)
{
	struct fixture *f = *state;
	generated_code_add(&f->code, PROGRAM, 64, "bpf_prog_1_one", NS_PER_SECOND);
	generated_code_remove(&f->code, PROGRAM, 64, "bpf_prog_1_one", 2 * NS_PER_SECOND);
	generated_code_add(&f->code, PROGRAM, 64, "bpf_prog_2_two", 3 * NS_PER_SECOND);
	kernel_names_prepare(&f->names, PROGRAM + 8);
	assert_int_equal(offload_pending(f->offload), 0); /* nothing to ask */
	assert_string_equal(find(f, PROGRAM + 8, NS_PER_SECOND), "bpf_prog_1_one[bpf]");
	assert_string_equal(find(f, PROGRAM + 8, 3 * NS_PER_SECOND), "bpf_prog_2_two[bpf]");
}

/* The kernel is asked again, and what it says is kept in memory. */
static void test_damaged_cache(void **state)
{
	struct fixture *f = *state;
	char command[160];
	kernel_names_prepare(&f->names, KERNEL);
	finish(f);
	assert_false(kernel_names_replace_damaged(&f->names));
	snprintf(command, sizeof(command), "truncate -s 100 %s/cache/*", f->directory);
	assert_int_equal(system(command), 0);
	assert_true(kernel_names_replace_damaged(&f->names));
	finish(f);
	assert_false(kernel_names_replace_damaged(&f->names));
	assert_string_equal(find(f, MODULE + 0x1008, 1), "ext4_write[ext4]");
	assert_null(f->names.symbols.stored);
}

static void test_hidden_addresses(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen(f->kallsyms, "we");
	assert_non_null(file);
	fputs("0000000000000000 T _stext\n", file);
	fclose(file);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(find(f, KERNEL, 1), "");
		finish(f);
	}
	assert_false(f->names.has_symbols);
	assert_true(f->names.is_warned);
}

#define NAMES_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NAMES_TEST(test_read_by_a_thread), NAMES_TEST(test_from_the_cache),
		NAMES_TEST(test_new_module),	   NAMES_TEST(test_generated_code_by_time),
		NAMES_TEST(test_damaged_cache),	   NAMES_TEST(test_hidden_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
