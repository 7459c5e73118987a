/* SPDX-License-Identifier: Apache-2.0 */
/* A library is there with every function that is asked for, or not at all. */
#include "base/attributes.h"
#include "base/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define LIBRARY "libm.so.6"

static void test_loaded(void **state)
{
	static const char *const names[] = {"floor", "ceil"};
	union {
		struct {
			double (*floor)(double);
			double (*ceil)(double);
		};
		void *addresses[ARRAY_LENGTH(names)];
	} found = {0};
	assert_true(library_load(LIBRARY, names, ARRAY_LENGTH(names), found.addresses, "no sums", "install it"));
	assert_true(found.floor(1.5) == 1);
	assert_true(found.ceil(1.5) == 2);
}

static void test_no_library(void **state)
{
	static const char *const names[] = {"floor"};
	void *found[1] = {0};
	assert_false(library_load("libno-such-thing.so.1", names, 1, found, "no sums", "install it"));
	assert_null(found[0]);
}

static void test_a_function_is_missing(void **state)
{
	static const char *const names[] = {"floor", "no_such_function", "ceil"};
	void *found[3] = {0};
	assert_false(library_load(LIBRARY, names, 3, found, "no sums", "install it"));
	assert_null(found[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loaded),
		cmocka_unit_test(test_no_library),
		cmocka_unit_test(test_a_function_is_missing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
