/* SPDX-License-Identifier: Apache-2.0 */
/* The flight recorder: names, what rotation removes and what it never touches, and the last minutes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "export/pprof_directory.h"
#include "export/pprof_files.h"
#include "format/pprof.h"
#include "tests/unit/export/scratch.h"
#include "tests/unit/profile/stacks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_NS (1795428900123LL * 1000000) /* 2026-11-23T10:15:00.123Z */
#define INTERVAL_NS ((int64_t)(10 * NS_PER_SECOND))

static uint64_t now_ns;

static uint64_t test_now(void)
{
	return now_ns;
}

/* -- names ---------------------------------------------------------------------------------- */

static void test_names(void **state)
{
	char name[PPROF_FILE_NAME_SIZE];
	int64_t start;
	char kind[PPROF_FILE_KIND_SIZE];
	pprof_file_name(name, "web-1.example", "", START_NS, 1);
	assert_string_equal(name, "bolometer-web-1.example-20261123T101500.123Z.pb.gz");
	assert_true(pprof_file_parse(name, "web-1.example", &start, kind));
	assert_int_equal(start, START_NS);
	assert_false(pprof_file_parse(name, "web-1", &start, kind));
	pprof_file_name(name, "a/../b", "", START_NS, 7);
	assert_string_equal(name, "bolometer-a_.._b-20261123T101500.123Z-7.pb.gz");
	assert_true(pprof_file_parse(name, NULL, &start, kind));
	assert_int_equal(start, START_NS);
	pprof_file_name(name, "h", "", -5, 1);
	assert_true(pprof_file_parse(name, "h", &start, kind));
	assert_int_equal(start, 0);
	assert_string_equal(kind, "");
}

static void test_names_of_other_kinds(void **state)
{
	char name[PPROF_FILE_NAME_SIZE];
	int64_t start;
	char kind[PPROF_FILE_KIND_SIZE];
	pprof_file_name(name, "h", "growth", START_NS, 1);
	assert_string_equal(name, "bolometer-h-20261123T101500.123Z.growth.pb.gz");
	assert_true(pprof_file_parse(name, "h", &start, kind));
	assert_int_equal(start, START_NS);
	assert_string_equal(kind, "growth");
	pprof_file_name(name, "h", "oom-cpu", START_NS, 2);
	assert_true(pprof_file_parse(name, NULL, &start, kind));
	assert_int_equal(start, START_NS);
	assert_string_equal(kind, "oom-cpu");
	pprof_file_name(name, "h", "growth", START_NS, 2);
	assert_string_equal(name, "bolometer-h-20261123T101500.123Z-2.growth.pb.gz");
	assert_true(pprof_file_parse(name, NULL, &start, kind));
	assert_int_equal(start, START_NS);
	assert_false(pprof_file_parse("bolometer-h-20261123T101500.123Z..pb.gz", NULL, &start, kind));
	assert_false(pprof_file_parse("bolometer-h-20261123T101500.123Z.aaaaaaaaaabbbbbbbbbbccccccccccdd.pb.gz", NULL,
				      &start, kind));
	assert_false(pprof_file_parse("bolometer-h-.growth.pb.gz", NULL, &start, kind));
	assert_false(pprof_file_parse("bolometer-aaaaaaaaaaaaaaaaaaaaaaaaa.pb.gz", NULL, &start, kind));
}

static void test_names_of_others(void **state)
{
	static const char *const names[] = {
		"", "bolometer-", "bolometer-.pb.gz", "bolometer-h-.pb.gz", "host.pb.gz",
		"bolometer-20261123T101500.123Z.pb.gz", "bolometer--20261323T101500.123Z.pb.gz",
		"bolometer-h-20261123T101500.123Z.pb", "bolometer-h-20261123T101500.123Z.pb.gz~",
		"bolometer-h-20261123T101500.123.pb.gz", "bolometer-h-2026112 T101500.123Z.pb.gz",
		"bolometer-h-20261123T101500.123Z-.pb.gz", "bolometer-h20261123T101500.123Z.pb.gz",
		"bolometer-1.pb.gz", "bolometer-11111111111111111111111111111111.pb.gz",
	};
	int64_t start;
	char kind[PPROF_FILE_KIND_SIZE];
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		assert_false(pprof_file_parse(names[i], NULL, &start, kind));
}

/* -- writing -------------------------------------------------------------------------------- */

static struct sink *recorder_new(const char *directory, uint64_t max_bytes, uint64_t max_age_ns)
{
	struct sink *sink;
	struct pprof_directory_options options = {.directory = directory, .host = "h",
						  .max_bytes = max_bytes, .max_age_ns = max_age_ns,
						  .now_ns = test_now};
	assert_int_equal(pprof_directory_new(&options, &sink), 0);
	return sink;
}

/* Interval number `i` with `value` in main;work. */
static struct sink_result record_kind(struct sink *sink, enum payload_kind kind, int i, int64_t value)
{
	struct text bytes = {0};
	struct sink_result result;
	_cleanup_profile_ struct profile *profile = TEST_PROFILE({"main;work", value});
	profile->time_ns = START_NS + i * INTERVAL_NS;
	profile->duration_ns = INTERVAL_NS;
	assert_int_equal(pprof_encode(profile, PPROF_RAW, &bytes), 0);
	struct payload payload = {.kind = kind, .bytes = bytes.bytes, .size = bytes.length,
				  .samples = 1, .start_ns = profile->time_ns,
				  .end_ns = profile->time_ns + INTERVAL_NS};
	now_ns = (uint64_t)payload.end_ns;
	sink->operations->send(sink, &payload, NS_PER_SECOND, &result);
	text_free(&bytes);
	return result;
}

static struct sink_result record(struct sink *sink, int i, int64_t value)
{
	return record_kind(sink, PAYLOAD_PPROF, i, value);
}

static int64_t sum_of_kind(const char *directory, const char *kind, int64_t since_ns, int64_t until_ns,
			   struct pprof_selection *selection)
{
	struct profile *profile = NULL;
	int r = pprof_directory_merge(directory, "h", kind, since_ns, until_ns, selection, &profile);
	if (r == -ENOENT)
		return 0;
	assert_int_equal(r, 0);
	int64_t sum = 0;
	for (size_t i = 0; i < profile->values.count; i++)
		sum += profile->values.items[i];
	profile_free(profile);
	return sum;
}

static int64_t sum_since(const char *directory, int64_t since_ns, int64_t until_ns,
			 struct pprof_selection *selection)
{
	return sum_of_kind(directory, "", since_ns, until_ns, selection);
}

static size_t count_files(const char *directory)
{
	pprof_files files = {0};
	_cleanup_fd_ int fd = open(directory, O_RDONLY | O_DIRECTORY);
	assert_int_equal(pprof_files_list(fd, "h", true, &files), 0);
	size_t count = files.count;
	array_free(&files);
	return count;
}

static void test_write_and_select(void **state)
{
	struct pprof_selection selection;
	struct stat st;
	struct sink *sink = recorder_new(*state, 0, 0);
	for (int i = 0; i < 40; i++)
		assert_int_equal(record(sink, i, 1).outcome, SINK_SENT);
	assert_int_equal(count_files(*state), 40);
	assert_int_equal(sum_since(*state, 0, INT64_MAX, &selection), 40);
	assert_int_equal(selection.merged, 40);
	/* The interval that the boundary cuts is in. */
	int64_t since = START_NS + 30 * INTERVAL_NS + INTERVAL_NS / 2;
	assert_int_equal(sum_since(*state, since, INT64_MAX, &selection), 10);
	assert_int_equal(sum_since(*state, since, since + INTERVAL_NS, &selection), 2);
	assert_int_equal(sum_since(*state, START_NS + 40 * INTERVAL_NS, INT64_MAX, &selection), 0);
	_cleanup_free_ char *path = text_format("%s/bolometer-h-20261123T101500.123Z.pb.gz",
						(char *)*state);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	sink->operations->free(sink);
}

static void test_same_start_twice(void **state)
{
	struct pprof_selection selection;
	struct sink *sink = recorder_new(*state, 0, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(record(sink, 0, 1).outcome, SINK_SENT);
	assert_int_equal(count_files(*state), 3);
	assert_int_equal(sum_since(*state, START_NS, INT64_MAX, &selection), 3);
	sink->operations->free(sink);
}

static void test_kinds(void **state)
{
	struct pprof_selection selection;
	struct sink *sink = recorder_new(*state, 0, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(record(sink, i, 1).outcome, SINK_SENT);
		assert_int_equal(record_kind(sink, PAYLOAD_PPROF_HEAP, i, 10).outcome, SINK_SENT);
		assert_int_equal(record_kind(sink, PAYLOAD_PPROF_OOM_HEAP, i, 100).outcome, SINK_SENT);
	}
	assert_int_equal(sum_since(*state, 0, INT64_MAX, &selection), 3);
	assert_int_equal(sum_of_kind(*state, "heap", 0, INT64_MAX, &selection), 30);
	assert_int_equal(selection.merged, 3);
	assert_int_equal(sum_of_kind(*state, "growth", 0, INT64_MAX, &selection), 0);
	sink->operations->free(sink);
}

static void test_damaged_and_foreign_files(void **state)
{
	struct pprof_selection selection;
	char name[PPROF_FILE_NAME_SIZE];
	struct sink *sink = recorder_new(*state, 0, 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(record(sink, i, 1).outcome, SINK_SENT);
	pprof_file_name(name, "h", "", START_NS + 3 * INTERVAL_NS, 1);
	_cleanup_free_ char *path = text_format("%s/%s", (char *)*state, name);
	assert_int_equal(truncate(path, 30), 0);
	/* Another sample type: nothing in common with the others. */
	pprof_file_name(name, "h", "", START_NS + 5 * INTERVAL_NS, 1);
	_cleanup_free_ char *other = text_format("%s/%s", (char *)*state, name);
	struct text bytes = {0};
	bool failed = false;
	_cleanup_profile_ struct profile *profile = TEST_PROFILE({"main", 100});
	profile->sample_types.items[0].type = profile_string(profile, "alloc", &failed);
	assert_int_equal(pprof_encode(profile, PPROF_GZIP, &bytes), 0);
	assert_int_equal(write_file_atomically(other, bytes.bytes, bytes.length, 0600), 0);
	text_free(&bytes);
	assert_int_equal(sum_since(*state, START_NS, INT64_MAX, &selection), 18);
	assert_int_equal(selection.merged, 18);
	assert_int_equal(selection.skipped, 2);
	sink->operations->free(sink);
}

/* -- rotation ------------------------------------------------------------------------------- */

static void touch(const char *directory, const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	assert_int_equal(write_file_atomically(path, "x", 1, 0600), 0);
}

static bool exists(const char *directory, const char *name)
{
	_cleanup_free_ char *path = text_format("%s/%s", directory, name);
	return access(path, F_OK) == 0;
}

static void test_rotation_by_age(void **state)
{
	struct pprof_directory_statistics statistics;
	struct sink *sink = recorder_new(*state, 0, (uint64_t)(5 * INTERVAL_NS));
	touch(*state, "notes.txt");
	touch(*state, "bolometer-other-20200101T000000.000Z.pb.gz");
	touch(*state, "bolometer-h-20200101T000000.000Z.pb.gz.bak");
	touch(*state, ".bolometer-1234.pb.gz.tmp"); /* left by a kill */
	for (int i = 0; i < 20; i++)
		assert_int_equal(record(sink, i, 1).outcome, SINK_SENT);
	assert_int_equal(count_files(*state), 5);
	pprof_directory_statistics(sink, &statistics);
	assert_int_equal(statistics.files_written, 20);
	assert_int_equal(statistics.files_rotated, 15);
	assert_true(exists(*state, "notes.txt"));
	assert_true(exists(*state, "bolometer-other-20200101T000000.000Z.pb.gz"));
	assert_true(exists(*state, "bolometer-h-20200101T000000.000Z.pb.gz.bak"));
	assert_false(exists(*state, ".bolometer-1234.pb.gz.tmp"));
	sink->operations->free(sink);
}

static void test_rotation_by_size(void **state)
{
	struct pprof_selection selection;
	struct sink *sink = recorder_new(*state, 1000, 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(record(sink, i, i).outcome, SINK_SENT);
	size_t count = count_files(*state);
	assert_in_range(count, 3, 20);
	int64_t sum = sum_since(*state, 0, INT64_MAX, &selection), expected = 0;
	for (size_t i = 0; i < count; i++)
		expected += 49 - (int64_t)i;
	assert_int_equal(sum, expected); /* the youngest are left */
	sink->operations->free(sink);
}

/* What belongs to somebody else stays, whatever it is called. */
static void test_other_owner(void **state)
{
	if (geteuid() != 0)
		skip();
	struct sink *sink = recorder_new(*state, 0, (uint64_t)INTERVAL_NS);
	const char *name = "bolometer-h-20200101T000000.000Z.pb.gz";
	touch(*state, name);
	_cleanup_free_ char *path = text_format("%s/%s", (char *)*state, name);
	assert_int_equal(chown(path, 65534, 65534), 0);
	assert_int_equal(record(sink, 0, 1).outcome, SINK_SENT);
	assert_true(exists(*state, name));
	assert_int_equal(chown(path, 0, 0), 0);
	assert_int_equal(record(sink, 1, 1).outcome, SINK_SENT);
	assert_false(exists(*state, name));
	sink->operations->free(sink);
}

static void test_unusable_directory(void **state)
{
	_cleanup_free_ char *directory = text_format("%s/there", (char *)*state);
	touch(*state, "there");
	struct sink *sink = recorder_new(directory, 0, 0);
	struct sink_result result = record(sink, 0, 1);
	assert_int_equal(result.outcome, SINK_RETRY);
	assert_non_null(strstr(result.message, "Not a directory"));
	unlink(directory);
	assert_int_equal(record(sink, 0, 1).outcome, SINK_SENT);
	/* Taken away while the recorder runs. */
	_cleanup_free_ char *moved = text_format("%s/moved", (char *)*state);
	assert_int_equal(rename(directory, moved), 0);
	assert_int_equal(record(sink, 1, 1).outcome, SINK_SENT);
	assert_int_equal(count_files(directory), 1);
	struct payload otlp = {.kind = PAYLOAD_OTLP};
	sink->operations->send(sink, &otlp, 0, &result);
	assert_int_equal(result.outcome, SINK_REJECTED);
	sink->operations->free(sink);
}

static int set_up(void **state)
{
	*state = scratch_make();
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(*state);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_names_of_others),
		TEST(test_names_of_other_kinds),
		TEST(test_write_and_select),
		TEST(test_same_start_twice),
		TEST(test_kinds),
		TEST(test_damaged_and_foreign_files),
		TEST(test_rotation_by_age),
		TEST(test_rotation_by_size),
		TEST(test_other_owner),
		TEST(test_unusable_directory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
