/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that grow, what JSON and UTF-8 make of foreign bytes, numbers and durations as people write them. */
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define REPLACEMENT "\xef\xbf\xbd"

static void test_growing(void **state)
{
	struct text t = {0};
	for (int i = 0; i < 500; i++)
		text_add(&t, "%d,", i % 10);
	text_add_string(&t, "end");
	text_add_char(&t, '.');
	text_add_bytes(&t, "a\0b", 3);
	text_add_bytes(&t, NULL, 0);
	assert_false(t.failed);
	assert_int_equal(t.length, 1007);
	assert_memory_equal(t.bytes + 996, "8,9,end.a\0b", 11);
	assert_int_equal(t.bytes[t.length], '\0');
	char *bytes = text_take(&t);
	assert_non_null(bytes);
	assert_null(t.bytes);
	free(bytes);
	bytes = text_take(&t); /* of nothing */
	assert_string_equal(bytes, "");
	free(bytes);
}

/* Once something is missing, all that follows is too, and taking says so. */
static void test_failed(void **state)
{
	struct text t = {0};
	text_add_string(&t, "a");
	t.failed = true;
	text_add_string(&t, "b");
	assert_int_equal(t.length, 1);
	assert_null(text_take(&t));
	assert_null(t.bytes);
}

static void test_foreign_bytes(void **state)
{
	static const struct {
		const char *in, *json, *utf8;
	} cases[] = {
		{"plain", "plain", "plain"},
		{"q\"b\\s", "q\\\"b\\\\s", "q\"b\\s"},
		{"\t\x7f</script>", "\\u0009\\u007f\\u003c/script>", "\t\x7f</script>"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5",
		 "\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\xa5"},
		{"\xff", REPLACEMENT, REPLACEMENT},
		{"cut \xe2\x82", "cut " REPLACEMENT REPLACEMENT, "cut " REPLACEMENT REPLACEMENT},
		{"\xc0\x80", REPLACEMENT REPLACEMENT, REPLACEMENT REPLACEMENT}, /* overlong */
		{"\xed\xa0\x80", REPLACEMENT REPLACEMENT REPLACEMENT,
		 REPLACEMENT REPLACEMENT REPLACEMENT}, /* a surrogate */
		{"\xf4\x90\x80\x80x", REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT "x",
		 REPLACEMENT REPLACEMENT REPLACEMENT REPLACEMENT "x"}, /* above U+10FFFF */
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		struct text json = {0}, utf8 = {0};
		text_add_json(&json, cases[i].in);
		/* Of exactly its size: nothing behind it is looked at. */
		size_t size = strlen(cases[i].in);
		char *copy = malloc(size);
		memcpy(copy, cases[i].in, size);
		text_add_utf8(&utf8, copy, size);
		assert_string_equal(json.bytes, cases[i].json);
		assert_string_equal(utf8.bytes, cases[i].utf8);
		free(copy);
		text_free(&json);
		text_free(&utf8);
	}
}

static void test_patterns(void **state)
{
	assert_true(text_matches("nginx*", "nginx: worker"));
	assert_true(text_matches("[!a]?c", "bbc"));
	assert_true(text_matches("/usr/*", "/usr/bin/x"));
	assert_false(text_matches("nginx", "nginx "));
	assert_false(text_matches("[a-c]", "d"));
}

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t value;
	} cases[] = {
		{"1", 0, 1},
		{"99", 0, 99},
		{"007", 0, 7},
		{"0", -ERANGE, 0},
		{"100", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1", -EINVAL, 0},
		{"+1", -EINVAL, 0},
		{" 1", -EINVAL, 0},
		{"1 ", -EINVAL, 0},
		{"0x1", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t value = 0;
		assert_int_equal(text_parse_u64(cases[i].text, 1, 99, &value), cases[i].result);
		assert_int_equal(value, cases[i].value);
	}
}

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {
		{"10", 0, 10000000000},
		{"10s", 0, 10000000000},
		{"1.5s", 0, 1500000000},
		{"250ms", 0, 250000000},
		{"20us", 0, 20000},
		{"2m", 0, 120000000000},
		{"2min", 0, 120000000000},
		{"1h", 0, 3600000000000},
		{"1h30m", 0, 5400000000000},
		{"1m30s", 0, 90000000000},
		{"1m30", 0, 90000000000},
		{"1s250ms", 0, 1250000000},
		{"1m s", -EINVAL, 0},
		{"1m-30s", -EINVAL, 0},
		{"9e8h9e8h9e8h", -ERANGE, 0},
		{"0", 0, 0},
		{"9e9h", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"-1s", -EINVAL, 0},
		{"1 s", -EINVAL, 0},
		{"1d", -EINVAL, 0},
		{"inf", -EINVAL, 0},
		{"nan", -EINVAL, 0},
		{".5s", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t ns = 0;
		assert_int_equal(text_parse_duration(cases[i].text, &ns), cases[i].result);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void shares(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ppm;
	} cases[] = {
		{"0.5%", 0, 5000},    {"2 %", 0, 20000},   {"100%", 0, 1000000}, {"0.01%", 0, 100},
		{"0%", 0, 0},	      {"101%", -ERANGE, 0}, {"nan%", -EINVAL, 0}, {"0.5", -EINVAL, 0},
		{"-1%", -EINVAL, 0},  {"", -EINVAL, 0},	   {"1%%", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint64_t ppm = 0;
		assert_int_equal(text_parse_share(cases[i].text, &ppm), cases[i].result);
		assert_int_equal(ppm, cases[i].ppm);
	}
}

static void test_for_people(void **state)
{
	char buffer[32];
	assert_string_equal(text_duration(buffer, sizeof(buffer), 0), "0 ns");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 500), "500 ns");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 1500), "1.5 us");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 310000000), "310.0 ms");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 1500000000), "1.50 s");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 125000000000), "2m05s");
	assert_string_equal(text_duration(buffer, sizeof(buffer), 7325000000000), "2h02m05s");
	assert_string_equal(text_size(buffer, sizeof(buffer), 1023), "1023 B");
	assert_string_equal(text_size(buffer, sizeof(buffer), 1536), "1.5 KiB");
	assert_string_equal(text_size(buffer, sizeof(buffer), 5ULL << 40), "5.0 TiB");
	assert_string_equal(text_size(buffer, sizeof(buffer), 5000ULL << 40), "4.9 PiB");
	assert_string_equal(text_size(buffer, sizeof(buffer), UINT64_MAX), "16.0 EiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growing),	  cmocka_unit_test(test_failed),
		cmocka_unit_test(test_foreign_bytes), cmocka_unit_test(test_patterns),
		cmocka_unit_test(test_numbers),	  cmocka_unit_test(test_durations), cmocka_unit_test(shares),
		cmocka_unit_test(test_for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
