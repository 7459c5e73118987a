/* SPDX-License-Identifier: Apache-2.0 */
/* A destination's options as a reload uses them, and what of an answer needs no server to be read. */
#include "export/answer.h"
#include "export/http_headers.h"
#include "export/sink_options.h"
#include "export/sink_url.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char *copy(const char *string)
{
	char *bytes = strdup(string);
	assert_non_null(bytes);
	return bytes;
}

static struct sink_options full_options(void)
{
	struct sink_options options = {
		.protocol = SINK_OTLP_HTTP, .compression = SINK_ZSTD, .timeout_ns = 7,
		.endpoint = copy("https://host:4318"), .endpoint_is_exact = true, .plain = true,
		.ca_file = copy("/ca"), .certificate_file = copy("/cert"), .key_file = copy("/key"),
		.skip_verification = true, .bearer_token_file = copy("/token"), .user = copy("me"),
		.password_file = copy("/password"), .proxy = copy("http://proxy"),
		.application = copy("app"),
	};
	assert_int_equal(sink_pairs_add(&options.headers, "X-Scope-OrgID", "tenant"), 0);
	assert_int_equal(sink_pairs_add(&options.labels, "region", "eu"), 0);
	return options;
}

/* Every option counts: with any one changed, the two differ. */
static void test_copy_and_comparison(void **state)
{
	struct sink_options a = full_options(), b, empty = {0};
	assert_int_equal(sink_options_copy(&b, &a), 0);
	assert_true(sink_options_equal(&a, &b));
	assert_ptr_not_equal(a.endpoint, b.endpoint);

	char **const strings[] = {&b.endpoint, &b.ca_file, &b.certificate_file, &b.key_file,
				  &b.bearer_token_file, &b.user, &b.password_file, &b.proxy,
				  &b.application, &b.headers.items[0].name,
				  &b.headers.items[0].value, &b.labels.items[0].value};
	for (size_t i = 0; i < ARRAY_LENGTH(strings); i++) {
		(*strings[i])[0] ^= 1;
		assert_false(sink_options_equal(&a, &b));
		(*strings[i])[0] ^= 1;
	}
	bool *const flags[] = {&b.endpoint_is_exact, &b.plain, &b.skip_verification};
	for (size_t i = 0; i < ARRAY_LENGTH(flags); i++) {
		*flags[i] = false;
		assert_false(sink_options_equal(&a, &b));
		*flags[i] = true;
	}
	b.timeout_ns++;
	assert_false(sink_options_equal(&a, &b));
	b.timeout_ns--;
	assert_int_equal(sink_pairs_add(&b.headers, "more", ""), 0);
	assert_false(sink_options_equal(&a, &b));
	assert_false(sink_options_equal(&a, &empty));
	sink_options_free(&a);
	sink_options_free(&b);
	assert_true(sink_options_equal(&a, &empty));
}

static void test_shown_urls(void **state)
{
	char shown[64];
	assert_string_equal(sink_url_shown(shown, sizeof(shown), "https://u:p@host:4318/x?key=k#f"),
			    "https://host:4318/x");
	assert_string_equal(sink_url_shown(shown, sizeof(shown), "::"), "(not a whole URL)");
	assert_int_equal(strlen(sink_url_shown(shown, 10, "https://host.example/")), 9);
}

static void test_percent_decoding(void **state)
{
	const struct {
		const char *from, *to;
	} cases[] = {{"", ""}, {"a%20b", "a b"}, {"100%", "100%"}, {"%2", "%2"}, {"%zz", "%zz"},
		     {"%00", "%00"}, {"%C3%BC%", "\xc3\xbc%"}};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		char *text = copy(cases[i].from);
		answer_percent_decode(text);
		assert_string_equal(text, cases[i].to);
		free(text);
	}
}

static void test_headers_are_bounded(void **state)
{
	static char line[20000] = "X: ";
	struct http_headers headers = {0};
	memset(line + 3, 'y', sizeof(line) - 3);
	for (int i = 0; i < 10; i++)
		http_headers_add_line(&headers, line, sizeof(line));
	assert_int_equal(headers.count, 3);
	assert_int_equal(headers.dropped, 7);
	for (int i = 0; i < 100; i++)
		http_headers_add_line(&headers, "Name :  v \r\n", 12);
	assert_int_equal(headers.count, HTTP_HEADERS_MAX);
	assert_null(http_headers_get(&headers, "absent"));
	http_headers_add_line(&headers, "HTTP/1.1 200 OK\r\n", 17);
	assert_int_equal(headers.status, 200);
	http_headers_add_line(&headers, "a:1\r\n", 5);
	http_headers_add_line(&headers, "A: 2", 4);
	http_headers_add_line(&headers, ": none", 6);
	assert_int_equal(headers.count, 2);
	assert_string_equal(http_headers_get(&headers, "a"), "2");
	http_headers_free(&headers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy_and_comparison),
		cmocka_unit_test(test_shown_urls),
		cmocka_unit_test(test_percent_decoding),
		cmocka_unit_test(test_headers_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
