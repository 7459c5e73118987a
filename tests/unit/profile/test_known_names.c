/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a place, that it has no name, and that all goes when it is full. */
#include "profile/known_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void places_have_names(void **state)
{
	struct known_names known = {0};
	char name[] = "vfs_read", module[] = "ext4";
	const char *found, *found_module;
	assert_false(known_names_get(&known, 1, &found, &found_module));
	known_names_put(&known, 1, name, "");
	known_names_put(&known, 2, name, module);
	memset(name, 0, sizeof(name)); /* the strings are its own */
	memset(module, 0, sizeof(module));
	assert_true(known_names_get(&known, 1, &found, &found_module));
	assert_string_equal(found, "vfs_read");
	assert_string_equal(found_module, "");
	assert_true(known_names_get(&known, 2, &found, &found_module));
	assert_string_equal(found, "vfs_read");
	assert_string_equal(found_module, "ext4");
	assert_true(known_names_bytes(&known) > 2 * sizeof(struct hash_slot));
	known_names_clear(&known);
	assert_false(known_names_get(&known, 1, &found, &found_module));
	assert_int_equal(known_names_bytes(&known), 0);
}

static void it_is_bounded(void **state)
{
	struct known_names known = {0};
	const char *found, *module;
	for (uint64_t i = 0; i < KNOWN_NAMES_MAX; i++)
		known_names_put(&known, i, "f", "");
	assert_true(known_names_get(&known, 0, &found, &module));
	known_names_put(&known, KNOWN_NAMES_MAX, "g", "");
	assert_false(known_names_get(&known, 0, &found, &module));
	assert_true(known_names_get(&known, KNOWN_NAMES_MAX, &found, &module));
	assert_string_equal(found, "g");
	known_names_clear(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_have_names),
		cmocka_unit_test(it_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
