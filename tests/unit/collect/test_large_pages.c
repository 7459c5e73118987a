/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's switches for large pages, in made-up directories. */
#include "collect/large_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void put(const char *directory, const char *name, const char *text)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_size(const char *directory, const char *size, const char *text)
{
	char path[512], name[64];
	snprintf(path, sizeof(path), "%s/%s", directory, size);
	mkdir(path, 0700);
	snprintf(name, sizeof(name), "%s/enabled", size);
	put(directory, name, text);
}

static int make_directory(void **state)
{
	static char directory[64];
	snprintf(directory, sizeof(directory), "/tmp/large-pages-XXXXXX");
	*state = mkdtemp(directory);
	return *state ? 0 : -1;
}

static int remove_directory(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", (const char *)*state);
	return system(command);
}

static void expect_pages(const char *directory, uint32_t page_size, uint32_t always, uint32_t advised)
{
	struct large_pages pages;
	large_pages_read(directory, page_size, &pages);
	assert_int_equal(pages.always, always);
	assert_int_equal(pages.advised, advised);
}

static void without_the_feature_there_are_none(void **state)
{
	expect_pages("/nonexistent", 4096, 0, 0);
	expect_pages(*state, 4096, 0, 0);
}

static void older_kernels_have_one_switch(void **state)
{
	put(*state, "hpage_pmd_size", "2097152\n");
	put(*state, "enabled", "always [madvise] never\n");
	expect_pages(*state, 4096, 0, 1 << 9);
	put(*state, "enabled", "[always] madvise never\n");
	expect_pages(*state, 4096, 1 << 9, 1 << 9);
	put(*state, "enabled", "always madvise [never]\n");
	expect_pages(*state, 4096, 0, 0);
}

static void newer_kernels_have_one_for_each_size(void **state)
{
	put(*state, "hpage_pmd_size", "2097152\n");
	put(*state, "enabled", "[always] madvise never\n");
	put_size(*state, "hugepages-16kB", "always inherit [madvise] never\n");
	put_size(*state, "hugepages-64kB", "[always] inherit madvise never\n");
	put_size(*state, "hugepages-128kB", "always inherit madvise [never]\n");
	put_size(*state, "hugepages-2048kB", "always [inherit] madvise never\n");
	expect_pages(*state, 4096, 1 << 9 | 1 << 4, 1 << 9 | 1 << 4 | 1 << 2);
	put(*state, "enabled", "always madvise [never]\n");
	expect_pages(*state, 4096, 1 << 4, 1 << 4 | 1 << 2);
}

static void other_page_sizes_count_in_their_own(void **state)
{
	put(*state, "hpage_pmd_size", "536870912\n");
	put(*state, "enabled", "[always] madvise never\n");
	expect_pages(*state, 65536, 1 << 13, 1 << 13);
}

static void a_garbled_size_is_none(void **state)
{
	put(*state, "enabled", "[always] madvise never\n");
	put(*state, "hpage_pmd_size", "2000000\n");
	expect_pages(*state, 4096, 0, 0);
	put(*state, "hpage_pmd_size", "what\n");
	expect_pages(*state, 4096, 0, 0);
	put(*state, "hpage_pmd_size", "4096\n");
	expect_pages(*state, 4096, 0, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		TEST(without_the_feature_there_are_none),
		TEST(older_kernels_have_one_switch),
		TEST(newer_kernels_have_one_for_each_size),
		TEST(other_page_sizes_count_in_their_own),
		TEST(a_garbled_size_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
