/* SPDX-License-Identifier: Apache-2.0 */
/* Names for people: the form that is promised, what stays as it is, and names made to explode. */
#include "binary/demangle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *mangled, const char *wanted)
{
	struct text t = {0};
	int r = demangle(mangled, &t);
	assert_string_equal(t.bytes, wanted);
	assert_int_equal(r, strcmp(mangled, wanted) != 0);
	text_free(&t);
}

static void test_cplusplus(void **state)
{
	expect("_ZN3foo3barIiLi3EEEvRKSt6vectorIT_SaIS3_EE", "foo::bar<int, 3>");
	expect("_ZL6helperi.isra.0", "helper");
	expect("_ZN1n1fEv.part.0.cold", "n::f");
}

static void test_rust(void **state)
{
	expect("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write");
	expect("_ZN4core3fmt5write17h0123456789abcdefE.llvm.1234", "core::fmt::write");
	expect("_RNvCs1234_7mycrate3foo", "mycrate::foo");
}

static void test_others_stay(void **state)
{
	expect("memcpy", "memcpy");
	expect("main.(*Server).Serve", "main.(*Server).Serve");
	expect("_Znonsense", "_Znonsense");
	expect("", "");
}

static void test_unprintable_bytes(void **state)
{
	struct text t = {0};
	assert_int_equal(demangle("a\x01\xff\xc3\xa9\xc3", &t), 0);
	assert_string_equal(t.bytes, "a?\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd");
	text_free(&t);
}

/* Each template argument is a pair of the one before: the text doubles 31 times. */
static void test_exponential_name_stays_mangled(void **state)
{
	struct text name = {0}, t = {0};
	text_add_string(&name, "_Z1fI1a1pIS0_S0_E"); /* S_ f, S0_ a, S1_ p, S2_ p<a, a> */
	for (int i = 2; i < 32; i++) {
		char digit = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i];
		text_add(&name, "S1_IS%c_S%c_E", digit, digit);
	}
	text_add_string(&name, "Evv");
	assert_int_equal(demangle(name.bytes, &t), 0);
	assert_string_equal(t.bytes, name.bytes);
	text_free(&name);
	text_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cplusplus),
		cmocka_unit_test(test_rust),
		cmocka_unit_test(test_others_stay),
		cmocka_unit_test(test_unprintable_bytes),
		cmocka_unit_test(test_exponential_name_stays_mangled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
