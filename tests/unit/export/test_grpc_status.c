/* SPDX-License-Identifier: Apache-2.0 */
/* gRPC's status codes: what a server may write for one, and what OTLP's table says is to be done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "export/grpc_status.h"

/* Header bytes from a server: only a whole number within the range is a code. */
static void test_what_a_server_writes(void **state)
{
	static const char *const none[] = {"",   " ",   "-1", "17",  "+5",  "0x4", "4 ", " 4", "4.0", "OK",
					   "1e1", "99999999999999999999", "18446744073709551620"};
	for (size_t i = 0; i < ARRAY_LENGTH(none); i++)
		assert_int_equal(grpc_status_parse(none[i]), GRPC_UNKNOWN);
	for (int code = GRPC_OK; code <= GRPC_LAST; code++) {
		char text[8];
		snprintf(text, sizeof(text), "%d", code);
		assert_int_equal(grpc_status_parse(text), code);
		assert_true(grpc_status_name(code)[0]);
	}
	assert_string_equal(grpc_status_name(GRPC_UNAVAILABLE), "UNAVAILABLE");
	assert_string_equal(grpc_status_name(GRPC_LAST), "UNAUTHENTICATED");
}

/* The table of opentelemetry.io/docs/specs/otlp, "Failures". */
static void test_what_is_done(void **state)
{
	static const bool is_retried[] = {
		[GRPC_CANCELLED] = true, [GRPC_DEADLINE_EXCEEDED] = true, [GRPC_ABORTED] = true,
		[GRPC_OUT_OF_RANGE] = true, [GRPC_UNAVAILABLE] = true, [GRPC_DATA_LOSS] = true,
		[GRPC_LAST] = false,
	};
	for (int code = GRPC_OK + 1; code <= GRPC_LAST; code++) {
		enum sink_outcome expected = is_retried[code] ? SINK_RETRY : SINK_REJECTED;
		assert_int_equal(grpc_status_outcome(code, false), expected);
		if (code == GRPC_RESOURCE_EXHAUSTED) /* only where the server says that it recovers */
			expected = SINK_RETRY;
		assert_int_equal(grpc_status_outcome(code, true), expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_server_writes),
		cmocka_unit_test(test_what_is_done),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
