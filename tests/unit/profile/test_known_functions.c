/* SPDX-License-Identifier: Apache-2.0 */
/* Functions are found at each of their addresses and at no other, in whatever order they came, and are bounded. */
#include "profile/known_functions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define COUNT 1000
#define STEP 64

static void functions_are_found_in_their_ranges(void **state)
{
	struct known_functions known = {0};
	char name[32];
	assert_null(known_functions_find(&known, 0));
	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t k = i * 7 % COUNT; /* each once, in another order */
		snprintf(name, sizeof(name), "f%u", (unsigned)k);
		known_functions_add(&known, STEP * (k + 1), (uint32_t)(1 + k % STEP), name);
	}
	for (uint64_t address = 0; address < STEP * (COUNT + 2); address++) {
		uint64_t k = address / STEP - 1;
		const char *found = known_functions_find(&known, address);
		if (address < STEP || k >= COUNT || address % STEP > k % STEP) {
			assert_null(found);
			continue;
		}
		snprintf(name, sizeof(name), "f%u", (unsigned)k);
		assert_string_equal(found, name);
	}
	assert_true(known_functions_bytes(&known) > COUNT * sizeof(struct known_function));
	known_functions_clear(&known);
	assert_null(known_functions_find(&known, STEP));
	assert_int_equal(known_functions_bytes(&known), 0);
}

static void they_are_bounded(void **state)
{
	struct known_functions known = {0};
	for (uint64_t i = 0; i < KNOWN_FUNCTIONS_MAX; i++)
		known_functions_add(&known, i, 1, "f");
	assert_string_equal(known_functions_find(&known, 0), "f");
	known_functions_add(&known, KNOWN_FUNCTIONS_MAX, 1, "g");
	assert_null(known_functions_find(&known, 0));
	assert_string_equal(known_functions_find(&known, KNOWN_FUNCTIONS_MAX), "g");
	known_functions_clear(&known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_found_in_their_ranges),
		cmocka_unit_test(they_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
