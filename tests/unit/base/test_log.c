/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void repeated_messages_are_held_back_and_counted(void **state)
{
	uint64_t message = log_kind("cannot reach %s", ""), other = log_kind("cannot write %s", "");
	uint64_t now = 100 * NS_PER_SECOND;
	uint32_t suppressed, written = 0;
	for (int i = 0; i < 1000; i++)
		written += log_allows(message, now, &suppressed);
	assert_int_equal(written, 10);
	assert_true(log_allows(other, now, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_true(log_allows(message, now + 31 * NS_PER_SECOND, &suppressed));
	assert_int_equal(suppressed, 990);
	assert_true(log_allows(message, now + 32 * NS_PER_SECOND, &suppressed));
	assert_int_equal(suppressed, 0);
}

static void what_has_no_format_of_its_own_repeats_by_its_text(void **state)
{
	static const char format[] = "cannot reach %s";
	assert_true(log_kind("%s", "no endpoint") == log_kind("%s", "no endpoint"));
	assert_false(log_kind("%s", "no endpoint") == log_kind("%s", "no directory"));
	assert_true(log_kind(format, "cannot reach a") == log_kind(format, "cannot reach b"));
}

static void the_journal_is_known_by_its_stream(void **state)
{
	struct stat facts;
	char stream[64];
	assert_int_equal(fstat(STDERR_FILENO, &facts), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)facts.st_dev,
		 (unsigned long long)facts.st_ino);
	assert_true(log_is_journal(stream, STDERR_FILENO));
	assert_false(log_is_journal(NULL, STDERR_FILENO));
	assert_false(log_is_journal("", STDERR_FILENO));
	assert_false(log_is_journal("1:2", STDERR_FILENO));
}

/* What log_message() writes for the level, read back. The caller frees. */
static char *written_line(enum log_level level, const char *path)
{
	char *line;
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO);
	assert_non_null(file);
	dup2(fileno(file), STDERR_FILENO);
	log_message(level, "disk \"%s\" full", path);
	dup2(saved, STDERR_FILENO);
	close(saved);
	rewind(file);
	assert_int_equal(read_whole_fd(fileno(file), 4096, &line, NULL), 0);
	fclose(file);
	return line;
}

static void lines_have_the_form_asked_for(void **state)
{
	_cleanup_free_ char *text = written_line(LOG_LEVEL_WARNING, "/x");
	assert_string_equal(text, "bolometer: warning: disk \"/x\" full\n");
	log_set_journal(true);
	_cleanup_free_ char *journal = written_line(LOG_LEVEL_ERROR, "/x");
	log_set_journal(false);
	assert_string_equal(journal, "<3>disk \"/x\" full\n");
	log_set_format(LOG_FORMAT_JSON);
	_cleanup_free_ char *json = written_line(LOG_LEVEL_INFO, "/x");
	log_set_format(LOG_FORMAT_TEXT);
	assert_non_null(strstr(json, "Z\",\"level\":\"info\",\"message\":\"disk \\\"/x\\\" full\"}\n"));
	_cleanup_free_ char *hidden = written_line(LOG_LEVEL_DEBUG, "/x");
	assert_string_equal(hidden, "");
}

static void a_message_is_one_line_whatever_it_names(void **state)
{
	log_set_journal(true);
	_cleanup_free_ char *journal = written_line(LOG_LEVEL_INFO, "a\n<0>b\033[2J\xc3\xa9");
	log_set_journal(false);
	assert_string_equal(journal, "<6>disk \"a?<0>b?[2J\xc3\xa9\" full\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated_messages_are_held_back_and_counted),
		cmocka_unit_test(what_has_no_format_of_its_own_repeats_by_its_text),
		cmocka_unit_test(the_journal_is_known_by_its_stream),
		cmocka_unit_test(lines_have_the_form_asked_for),
		cmocka_unit_test(a_message_is_one_line_whatever_it_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
