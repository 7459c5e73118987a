/* SPDX-License-Identifier: Apache-2.0 */
/* The real builders in the real, confined child, asked about this very program. */
#include "base/clock.h"
#include "base/file.h"
#include "binary/line_answers.h"
#include "binary/parser.h"
#include "binary/symbol_index.h"
#include "binary/symbol_layout.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

extern const char __executable_start[];

struct result {
	int error;
	bool called;
	char function[64];
	uint64_t address;
};

static uint64_t own_address(void)
{
	return (uint64_t)(uintptr_t)own_address - (uint64_t)(uintptr_t)__executable_start;
}

static void on_lines(void *userdata, int error, const struct artifact *artifact)
{
	struct result *result = userdata;
	struct line_answers answers;
	struct line_frame frame;
	result->called = true;
	result->error = error;
	if (artifact && line_answers_open(artifact, &answers) == 0 &&
	    line_answers_find(&answers, result->address, &frame, 1) == 1)
		snprintf(result->function, sizeof(result->function), "%s", frame.function);
}

static void on_symbols(void *userdata, int error, const struct artifact *artifact)
{
	struct result *result = userdata;
	struct symbol_index index;
	struct symbol symbol;
	result->called = true;
	result->error = error;
	if (artifact && symbol_index_open(artifact, &index) == 0 &&
	    symbol_index_find(&index, result->address, &symbol))
		snprintf(result->function, sizeof(result->function), "%s", symbol.name);
}

static void test_child_answers(void **state)
{
	struct loop *loop;
	struct parser *parser;
	struct result lines = {.address = own_address()}, symbols = lines;
	_cleanup_fd_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(parser_new(loop, NULL, &parser), 0);
	assert_int_equal(parser_request_symbols(parser, self, -1, PARSER_SOON, on_symbols,
						&symbols),
			 0);
	assert_int_equal(parser_request_lines(parser, self, -1, &lines.address, 1, true,
					      PARSER_SOON, on_lines, &lines),
			 0);
	assert_int_equal(parser_drain(parser, 30 * NS_PER_SECOND), 0);
	assert_true(lines.called && symbols.called);
	assert_int_equal(symbols.error, 0);
	assert_string_equal(symbols.function, "own_address");
	if (lines.error == -ENODATA) {
		fprintf(stderr, "skipped: this test was built without debug information\n");
		skip();
	}
	assert_int_equal(lines.error, 0);
	assert_string_equal(lines.function, "own_address");
	parser_free(parser);
	loop_free(loop);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "parser-child"))
		return parser_child_main();
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_child_answers)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
