/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/nearest_word.h"
#include "command/options.h"

#include <errno.h>
#include <string.h>

struct sample_options {
	bool all, labels, inlines;
	uint64_t frequency, duration;
	const char *title;
	struct option_texts outputs;
	struct option_numbers pids;
};

#define AT(field) offsetof(struct sample_options, field)

static const struct option_spec specs[] = {
	OPTIONS_UNDER("What"),
	OPTION(FLAG, 'a', "all", NULL, AT(all), "everything"),
	OPTION(UNFLAG, 0, "no-labels", NULL, AT(labels), "fewer"),
	OPTION(YES_NO, 0, "inlines", "yes|no", AT(inlines), "inlined functions"),
	OPTION(NUMBER, 'F', "frequency", "HZ", AT(frequency), "rate", .low = 1, .high = 10000),
	OPTION(DURATION, 'd', "duration", "TIME", AT(duration), "how long\nsecond line"),
	OPTION(TEXT, 't', "title", "TEXT", AT(title), "title"),
	OPTION(TEXT_LIST, 'o', "output", "FILE", AT(outputs), "file"),
	OPTION(NUMBER_LIST, 'p', "pid", "PID", AT(pids), "process", .low = 1, .high = UINT32_MAX),
	OPTIONS_END,
};

struct fixture {
	struct sample_options options;
	struct option_words words;
	struct text error;
	int result;
};

static void parse(struct fixture *f, char **argv)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	f->options.labels = true;
	f->result = options_parse(specs, &f->options, argc, argv, &f->words, &f->error);
}

#define PARSE(f, ...) parse((f), (char *[]){"test", __VA_ARGS__, NULL})

static void release(struct fixture *f)
{
	array_free(&f->options.outputs.list);
	array_free(&f->options.pids.list);
	option_words_free(&f->words);
	text_free(&f->error);
}

#define _cleanup_fixture_ _cleanup_(release)

static void every_form_of_a_value(void **state)
{
	_cleanup_fixture_ struct fixture f = {0};
	PARSE(&f, "-aF99", "--duration=2m", "-t", "x", "--inlines", "yes", "--no-labels", "-ofile",
	      "-o", "-", "-p", "1,2", "--pid=3");
	assert_int_equal(f.result, 0);
	assert_true(f.options.all && f.options.inlines && !f.options.labels);
	assert_int_equal(f.options.frequency, 99);
	assert_int_equal(f.options.duration, 120 * NS_PER_SECOND);
	assert_string_equal(f.options.title, "x");
	assert_int_equal(f.options.outputs.list.count, 2);
	assert_string_equal(f.options.outputs.list.items[0], "file");
	assert_string_equal(f.options.outputs.list.items[1], "-");
	assert_int_equal(f.options.pids.list.count, 3);
	assert_int_equal(f.options.pids.list.items[2], 3);
}

static void words_and_the_rest(void **state)
{
	_cleanup_fixture_ struct fixture f = {0};
	PARSE(&f, "one", "-a", "-", "--", "-b", "two");
	assert_int_equal(f.result, 0);
	assert_int_equal(f.words.list.count, 2);
	assert_string_equal(f.words.list.items[1], "-");
	assert_string_equal(f.words.rest[0], "-b");
	assert_null(f.words.rest[2]);

	_cleanup_fixture_ struct fixture empty = {0};
	PARSE(&empty, "--");
	assert_non_null(empty.words.rest);
	assert_null(empty.words.rest[0]);
}

static void errors_name_the_option(void **state)
{
	static const struct {
		const char *argument, *value, *message;
	} cases[] = {
		{"-F", "0", "--frequency: '0' is not a whole number from 1 to 10000"},
		{"-F", "10001", "--frequency: '10001' is not a whole number from 1 to 10000"},
		{"-F", "9x", "--frequency: '9x' is not a whole number from 1 to 10000"},
		{"-d", "soon", "--duration: 'soon' is not a duration such as 10s, 250ms or 2m"},
		{"-d", "0", "--duration: '0' is not a duration such as 10s, 250ms or 2m"},
		{"-p", "1,,2", "--pid: '1,,2' is not a list of numbers such as 12 or 12,345"},
		{"-p", "0", "--pid: '0' is not a list of numbers such as 12 or 12,345"},
		{"--inlines", "maybe", "--inlines: 'maybe' is not yes or no"},
		{"-o", "", "--output: '' is not a value: it is empty"},
		{"-o", NULL, "--output needs a value: FILE"},
		{"--all=1", NULL, "--all takes no value"},
		{"--frequncy", "9", "unknown option '--frequncy'; did you mean '--frequency'?"},
		{"--zzz", NULL, "unknown option '--zzz'"},
		{"-z", NULL, "unknown option '-z'"},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		_cleanup_fixture_ struct fixture f = {0};
		PARSE(&f, (char *)cases[i].argument, (char *)cases[i].value);
		assert_int_equal(f.result, -EINVAL);
		assert_string_equal(f.error.bytes, cases[i].message);
	}
}

static void help_wins(void **state)
{
	_cleanup_fixture_ struct fixture f = {0};
	PARSE(&f, "-ah");
	assert_int_equal(f.result, OPTIONS_HELP);
	_cleanup_fixture_ struct fixture g = {0};
	PARSE(&g, "--help", "--nonsense");
	assert_int_equal(g.result, OPTIONS_HELP);
}

static void help_is_aligned(void **state)
{
	struct text out = {0};
	options_describe(specs, &out);
	assert_non_null(strstr(out.bytes, "\nWhat\n  -a, --all             everything\n"));
	assert_non_null(strstr(out.bytes, "      --inlines yes|no  inlined functions\n"));
	assert_non_null(strstr(out.bytes, "how long\n                        second line\n"));
	text_free(&out);
}

static void suggestions_are_near(void **state)
{
	static const char *const names[] = {"record", "report", "flame", "diff"}, *const top[] = {"top"};
	assert_string_equal(nearest_word("tpo", top, 1), "top");
	assert_null(nearest_word("foo", top, 1)); /* another word, however short */
	assert_string_equal(nearest_word("recrod", names, 4), "record");
	assert_string_equal(nearest_word("flmae", names, 4), "flame");
	assert_string_equal(nearest_word("dif", names, 4), "diff");
	assert_null(nearest_word("explain", names, 4));
	assert_null(nearest_word("x", names, 4));
	assert_null(nearest_word("", names, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_value),  cmocka_unit_test(words_and_the_rest),
		cmocka_unit_test(errors_name_the_option), cmocka_unit_test(help_wins),
		cmocka_unit_test(help_is_aligned),	  cmocka_unit_test(suggestions_are_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
