/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: order, restarts, every way a send can end, halves, limits, and a file that was cut or
 * changed at every single byte.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "export/spool_format.h"
#include "tests/unit/export/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BOOT 77

static struct spool *open_as(const char *directory, uint64_t max_bytes, uint32_t boot)
{
	struct spool *spool = NULL;
	struct spool_options options = {.directory = directory, .max_bytes = max_bytes,
					.boot = boot};
	assert_int_equal(spool_open(&options, &spool), 0);
	return spool;
}

static struct spool *open_spool(const char *directory)
{
	return open_as(directory, 0, BOOT);
}

static void test_oldest_first(void **state)
{
	struct spool *spool = open_spool(*state);
	for (uint32_t i = 1; i <= 100; i++)
		spool_add(spool, i, i * 7);
	assert_int_equal(balanced_statistics(spool).waiting.samples, 5050);
	for (uint32_t i = 1; i <= 100; i++)
		assert_int_equal(send_one(spool), i);
	assert_int_equal(send_one(spool), 0);
	assert_int_equal(balanced_statistics(spool).sent.payloads, 100);
	assert_int_equal(balanced_statistics(spool).in_memory.payloads, 0);
	spool_free(spool);
}

static void test_memory_only(void **state)
{
	struct spool *spool;
	struct spool_options options = {.max_memory_bytes = 1000};
	assert_int_equal(spool_open(&options, &spool), 0);
	for (uint32_t i = 1; i <= 20; i++)
		spool_add(spool, i, 100);
	struct spool_statistics statistics = balanced_statistics(spool);
	assert_int_equal(statistics.dropped[DROP_QUEUE_FULL].samples, 55);
	assert_int_equal(send_one(spool), 11);
	assert_int_equal(spool_sync(spool), 0);
	spool_free(spool);
}

static void test_restart(void **state)
{
	struct spool *spool = open_spool(*state);
	for (uint32_t i = 1; i <= 10; i++)
		spool_add(spool, i, 1000);
	assert_int_equal(send_one(spool), 1);
	assert_int_equal(send_one(spool), 2);
	spool_free(spool);
	spool = open_spool(*state);
	struct spool_statistics statistics = balanced_statistics(spool);
	assert_int_equal(statistics.recovered.samples, 52);
	assert_int_equal(statistics.recovered.payloads, 8);
	spool_add(spool, 11, 10);
	for (uint32_t i = 3; i <= 11; i++)
		assert_int_equal(send_one(spool), i);
	assert_int_equal(send_one(spool), 0);
	assert_int_equal(balanced_statistics(spool).maybe_repeated, 0);
	spool_free(spool);
	spool = open_spool(*state);
	assert_int_equal(balanced_statistics(spool).recovered.payloads, 0);
	spool_free(spool);
}

static void test_permissions_and_lock(void **state)
{
	char name[512];
	struct stat st;
	struct spool *spool = open_spool(*state), *second = NULL;
	spool_add(spool, 1, 10);
	scratch_segment(*state, name);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(*state, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	struct spool_options options = {.directory = *state};
	assert_int_equal(spool_open(&options, &second), -EBUSY);
	spool_free(spool);
	spool_free(open_spool(*state));
}

/* Leaves one payload behind whose sending began and did not end. */
static void leave_sending(const char *directory, uint32_t boot)
{
	struct spool_record record;
	struct spool *spool = open_as(directory, 0, boot);
	spool_add(spool, 1, 10);
	spool_add(spool, 2, 10);
	assert_int_equal(spool_next(spool, &record), 0);
	assert_false(record.maybe_repeated);
	spool_record_free(&record);
	spool_free(spool);
}

static void test_kill_while_sending(void **state)
{
	leave_sending(*state, BOOT);
	struct spool *spool = open_spool(*state);
	assert_int_equal(send_one(spool), 1);
	assert_int_equal(balanced_statistics(spool).maybe_repeated, 1);
	assert_int_equal(send_one(spool), 2);
	assert_int_equal(balanced_statistics(spool).maybe_repeated, 1);
	spool_free(spool);
}

/* After a loss of power the note that a send began may be missing for all that were armed. */
static void test_power_loss_while_sending(void **state)
{
	leave_sending(*state, BOOT);
	struct spool *spool = open_as(*state, 0, BOOT + 1);
	assert_int_equal(send_one(spool), 1);
	assert_int_equal(send_one(spool), 2);
	assert_int_equal(balanced_statistics(spool).maybe_repeated, 2);
	spool_free(spool);
}

static void test_again(void **state)
{
	struct spool_record record, second;
	struct spool *spool = open_spool(*state);
	spool_add(spool, 1, 10);
	assert_int_equal(spool_next(spool, &record), 0);
	assert_int_equal(spool_next(spool, &second), -EAGAIN);
	spool_again(spool, record.sequence, false);
	spool_record_free(&record);
	assert_int_equal(spool_next(spool, &record), 0);
	assert_false(record.maybe_repeated);
	spool_again(spool, record.sequence, true);
	spool_record_free(&record);
	spool_free(spool);
	spool = open_spool(*state);
	assert_int_equal(spool_next(spool, &record), 0);
	assert_true(record.maybe_repeated);
	/* What was not received this time is sent again as the first time. */
	spool_again(spool, record.sequence, false);
	spool_record_free(&record);
	assert_int_equal(send_one(spool), 1);
	assert_int_equal(balanced_statistics(spool).maybe_repeated, 1);
	spool_free(spool);
}

static void test_full(void **state)
{
	const uint64_t limit = 100000;
	struct spool *spool = open_as(*state, limit, BOOT);
	uint32_t last = 0;
	for (uint32_t i = 1; i <= 1000; i++) {
		spool_add(spool, i, 900);
		assert_true(balanced_statistics(spool).disk_bytes <= limit);
	}
	struct spool_statistics statistics = balanced_statistics(spool);
	assert_true(statistics.waiting.payloads >= 80);
	assert_int_equal(statistics.dropped[DROP_QUEUE_FULL].payloads,
			 1000 - statistics.waiting.payloads);
	/* The youngest are there, without a hole. */
	for (uint32_t number, next = 1001 - (uint32_t)statistics.waiting.payloads;
	     (number = send_one(spool)); next++)
		assert_int_equal(last = number, next);
	assert_int_equal(last, 1000);
	struct payload payload = make_payload(1, limit / 4);
	assert_int_equal(spool_append(spool, &payload), -EFBIG);
	free((char *)payload.bytes);
	assert_int_equal(balanced_statistics(spool).dropped[DROP_TOO_LARGE].payloads, 1);
	spool_free(spool);
}

/* What is being sent is not dropped under the sender. */
static void test_full_while_sending(void **state)
{
	struct spool_record record;
	struct spool *spool = open_as(*state, 100000, BOOT);
	spool_add(spool, 5000, 900);
	assert_int_equal(spool_next(spool, &record), 0);
	for (uint32_t i = 1; i <= 300; i++)
		spool_add(spool, i, 900);
	spool_sent(spool, record.sequence);
	spool_record_free(&record);
	struct spool_statistics statistics = balanced_statistics(spool);
	assert_int_equal(statistics.sent.samples, 5000);
	assert_true(statistics.disk_bytes <= 100000);
	assert_int_equal(send_one(spool), 301 - statistics.waiting.payloads);
	spool_free(spool);
}

static void replace_first(struct spool *spool, uint32_t first, uint32_t second)
{
	struct spool_record record;
	struct payload halves[2] = {make_payload(first, 50), make_payload(second, 60)};
	assert_int_equal(spool_next(spool, &record), 0);
	assert_int_equal(spool_replace(spool, record.sequence, halves), 0);
	spool_record_free(&record);
	free((char *)halves[0].bytes);
	free((char *)halves[1].bytes);
}

static void test_halves(void **state)
{
	struct spool *spool = open_spool(*state);
	spool_add(spool, 10, 100);
	spool_add(spool, 20, 100);
	replace_first(spool, 3, 7);
	replace_first(spool, 1, 2);
	assert_int_equal(balanced_statistics(spool).waiting.payloads, 4);
	spool_free(spool);
	spool = open_spool(*state);
	assert_int_equal(balanced_statistics(spool).recovered.samples, 30);
	uint32_t sum = send_one(spool) + send_one(spool) + send_one(spool);
	assert_int_equal(sum, 10);
	assert_int_equal(send_one(spool), 20);
	assert_int_equal(send_one(spool), 0);
	assert_int_equal(balanced_statistics(spool).splits, 0);
	spool_free(spool);
}

static void test_halves_must_add_up(void **state)
{
	struct spool_record record;
	struct spool *spool = open_spool(*state);
	struct payload halves[2] = {make_payload(1, 50), make_payload(2, 60)};
	spool_add(spool, 10, 100);
	assert_int_equal(spool_next(spool, &record), 0);
	assert_int_equal(spool_replace(spool, record.sequence, halves), -EINVAL);
	spool_drop(spool, record.sequence, DROP_TOO_LARGE);
	spool_record_free(&record);
	free((char *)halves[0].bytes);
	free((char *)halves[1].bytes);
	assert_int_equal(balanced_statistics(spool).dropped[DROP_TOO_LARGE].samples, 10);
	spool_free(spool);
}

/* -- damage --------------------------------------------------------------------------------- */

static void write_bytes(const char *name, const char *bytes, size_t size)
{
	_cleanup_fd_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, bytes, size), 0);
}

/* The file of a spool with payloads 10 (sent), 20, 40 and 80; *ret_ends: where each record ends. */
static void make_file(const char *directory, char name[static 512], char **ret_bytes, size_t *ret_size,
		      size_t ends[4])
{
	struct spool *spool = open_spool(directory);
	for (uint32_t i = 0; i < 4; i++) {
		spool_add(spool, 10u << i, 40 + i);
		ends[i] = (i ? ends[i - 1] : 0) + sizeof(struct record_header) + (40 + i + 7) / 8 * 8;
	}
	assert_int_equal(send_one(spool), 10);
	spool_free(spool);
	scratch_segment(directory, name);
	assert_int_equal(read_whole_file(name, 1 << 20, ret_bytes, ret_size), 0);
	assert_int_equal(*ret_size, ends[3]);
}

/* The sum of all that can still be sent; every one of them is checked byte for byte. */
static uint32_t drain(struct spool *spool)
{
	uint32_t sum = 0, number;
	while ((number = send_one(spool)))
		sum += number;
	return sum;
}

static void test_cut_at_every_byte(void **state)
{
	char name[512];
	size_t size, ends[4];
	_cleanup_free_ char *bytes = NULL;
	make_file(*state, name, &bytes, &size, ends);
	for (size_t cut = 0; cut < size; cut++) {
		write_bytes(name, bytes, cut);
		struct spool *spool = open_spool(*state);
		uint32_t expected = (cut >= ends[1] ? 20 : 0) + (cut >= ends[2] ? 40 : 0);
		assert_int_equal(drain(spool), expected);
		/* A tail is counted unless the cut is between two records. */
		struct spool_statistics statistics = balanced_statistics(spool);
		bool is_clean = cut == 0 || cut == ends[0] || cut == ends[1] || cut == ends[2];
		assert_int_equal(statistics.damaged_bytes != 0, !is_clean);
		/* And the spool goes on. */
		spool_add(spool, 5, 30);
		assert_int_equal(send_one(spool), 5);
		spool_free(spool);
		unlink(name);
	}
}

static void test_change_at_every_byte(void **state)
{
	char name[512];
	size_t size, ends[4];
	_cleanup_free_ char *bytes = NULL;
	make_file(*state, name, &bytes, &size, ends);
	for (size_t at = 0; at < size; at++) {
		bytes[at] ^= (char)(1 + at % 255);
		write_bytes(name, bytes, size);
		bytes[at] ^= (char)(1 + at % 255);
		struct spool *spool = open_spool(*state);
		uint32_t sum = drain(spool);
		struct spool_statistics statistics = balanced_statistics(spool);
		size_t hit = at < ends[0] ? 0 : at < ends[1] ? 1 : at < ends[2] ? 2 : 3;
		size_t start = hit ? ends[hit - 1] : 0;
		bool is_state = at >= start + 4 && at < start + 8;
		bool is_padding = at >= start + sizeof(struct record_header) + 40 + hit;
		if (is_state && hit == 0)
			assert_true(sum == 140 || sum == 150);
		else if (hit == 0 || is_state || is_padding)
			assert_true(sum == 140 || is_state);
		else
			assert_int_equal(sum, 140 - (10u << hit));
		/* A lost record between others is counted to the sample. */
		if (hit == 1 && !is_state && !is_padding)
			assert_int_equal(statistics.dropped[DROP_DAMAGED].samples, 20);
		if (hit == 2 && !is_state && !is_padding)
			assert_int_equal(statistics.dropped[DROP_DAMAGED].samples, 40);
		spool_free(spool);
		unlink(name);
	}
}

/* Half of a pair without the other: the whole is sent. With both: the halves, even when the note
 * that the whole is done did not reach the disk. */
static void test_halves_cut_at_every_byte(void **state)
{
	char name[512];
	size_t size;
	_cleanup_free_ char *bytes = NULL;
	struct spool *spool = open_spool(*state);
	spool_add(spool, 10, 40);
	spool_add(spool, 20, 40);
	replace_first(spool, 3, 7);
	spool_free(spool);
	scratch_segment(*state, name);
	assert_int_equal(read_whole_file(name, 1 << 20, &bytes, &size), 0);
	size_t wholes = 2 * (sizeof(struct record_header) + 40);
	uint32_t undone = record_state_word(RECORD_SENDING, BOOT);
	memcpy(bytes + offsetof(struct record_header, state), &undone, sizeof(undone));
	for (size_t cut = wholes; cut <= size; cut++) {
		write_bytes(name, bytes, cut);
		spool = open_spool(*state);
		struct spool_statistics statistics = balanced_statistics(spool);
		assert_int_equal(statistics.waiting.payloads, cut == size ? 3 : 2);
		assert_int_equal(drain(spool), 30);
		spool_free(spool);
		unlink(name);
	}
}

/* A payload that contains a record does not become one when the record before it is damaged. */
static void test_records_inside_payloads(void **state)
{
	char name[512];
	size_t size, ends[4];
	_cleanup_free_ char *bytes = NULL;
	make_file(*state, name, &bytes, &size, ends);
	unlink(name);
	struct spool *spool = open_spool(*state);
	struct payload payload = {.kind = PAYLOAD_OTLP, .bytes = bytes, .size = size, .samples = 1};
	assert_int_equal(spool_append(spool, &payload), 0);
	spool_add(spool, 9, 50);
	spool_free(spool);
	scratch_segment(*state, name);
	_cleanup_fd_ int fd = open(name, O_WRONLY);
	assert_int_equal(pwrite(fd, "????", 4, 0), 4);
	spool = open_spool(*state);
	assert_int_equal(drain(spool), 9);
	assert_int_equal(balanced_statistics(spool).dropped[DROP_DAMAGED].payloads, 1);
	spool_free(spool);
}

/* -- the disk goes and comes back ----------------------------------------------------------- */

static void test_directory_removed(void **state)
{
	_cleanup_free_ char *directory = text_format("%s/a/b", (char *)*state);
	_cleanup_free_ char *command = text_format("rm -rf %s/a", (char *)*state);
	struct spool *spool = open_spool(directory);
	for (uint32_t i = 1; i <= 10; i++)
		spool_add(spool, i, 1000);
	assert_int_equal(spool_sync(spool), 0);
	assert_int_equal(system(command), 0);
	assert_int_equal(spool_sync(spool), 0);
	spool_add(spool, 11, 1000);
	assert_int_equal(spool_sync(spool), 0);
	assert_int_equal(balanced_statistics(spool).in_memory.payloads, 0);
	spool_free(spool);
	spool = open_spool(directory);
	assert_int_equal(balanced_statistics(spool).recovered.payloads, 11);
	for (uint32_t i = 1; i <= 11; i++)
		assert_int_equal(send_one(spool), i);
	spool_free(spool);
}

/* A file stands where the directory was: as unusable for root as for anybody. */
static void test_directory_comes_back(void **state)
{
	_cleanup_free_ char *directory = text_format("%s/a", (char *)*state);
	write_bytes(directory, "", 0);
	struct spool_options options = {.directory = directory, .max_memory_bytes = 5000};
	struct spool *spool;
	assert_int_equal(spool_open(&options, &spool), 0);
	assert_int_equal(balanced_statistics(spool).disk_error, -ENOTDIR);
	for (uint32_t i = 1; i <= 10; i++) {
		spool_add(spool, i, 1000);
		assert_true(spool_sync(spool) < 0);
	}
	struct spool_statistics statistics = balanced_statistics(spool);
	assert_int_equal(statistics.in_memory.payloads, 5);
	assert_int_equal(statistics.dropped[DROP_DISK].samples, 15);
	assert_int_equal(send_one(spool), 6);
	unlink(directory);
	assert_int_equal(spool_sync(spool), 0);
	assert_int_equal(balanced_statistics(spool).in_memory.payloads, 0);
	assert_int_equal(balanced_statistics(spool).disk_error, 0);
	spool_free(spool);
	spool = open_spool(directory);
	for (uint32_t i = 7; i <= 10; i++)
		assert_int_equal(send_one(spool), i);
	spool_free(spool);
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
		TEST(test_oldest_first),
		TEST(test_memory_only),
		TEST(test_restart),
		TEST(test_permissions_and_lock),
		TEST(test_kill_while_sending),
		TEST(test_power_loss_while_sending),
		TEST(test_again),
		TEST(test_full),
		TEST(test_full_while_sending),
		TEST(test_halves),
		TEST(test_halves_must_add_up),
		TEST(test_cut_at_every_byte),
		TEST(test_change_at_every_byte),
		TEST(test_halves_cut_at_every_byte),
		TEST(test_records_inside_payloads),
		TEST(test_directory_removed),
		TEST(test_directory_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
