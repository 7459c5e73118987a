/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rings made in memory files that look like perf's: order over CPUs, wrapping, bounds, loss, broken
 * sizes, CPUs that leave.
 */
#include "process/sideband.h"

#include "process/sideband_parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES 2
#define CPUS 3

struct fake {
	struct perf_event_mmap_page *control[CPUS];
	uint8_t *data[CPUS];
	struct perf_event_attr attr;
	struct sideband *sideband;
	char names[1 << 20];
	uint64_t last_time;
	size_t count;
};

static size_t ring_size(void)
{
	return PAGES * (size_t)sysconf(_SC_PAGESIZE);
}

static int fake_open(void *userdata, struct perf_event_attr *attr, int cpu)
{
	struct fake *fake = userdata;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = memfd_create("ring", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, (off_t)(page + ring_size())), 0);
	uint8_t *map = mmap(NULL, page + ring_size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	fake->control[cpu] = (struct perf_event_mmap_page *)map;
	fake->data[cpu] = map + page;
	fake->attr = *attr;
	return fd;
}

static int setup(void **state)
{
	struct fake *fake = calloc(1, sizeof(*fake));
	assert_int_equal(sideband_new(NULL, PAGES, fake_open, fake, &fake->sideband), 0);
	for (int cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(sideband_add_cpu(fake->sideband, cpu), 0);
	*state = fake;
	return 0;
}

static int teardown(void **state)
{
	struct fake *fake = *state;
	sideband_free(fake->sideband);
	for (int cpu = 0; cpu < CPUS; cpu++)
		munmap(fake->control[cpu], (size_t)sysconf(_SC_PAGESIZE) + ring_size());
	free(fake);
	return 0;
}

/* Appends one record as the kernel does. Returns false when the ring is full. */
static bool put(struct fake *fake, int cpu, uint32_t type, uint16_t misc, const void *body,
		size_t size, uint64_t time)
{
	struct perf_event_header header = {type, misc, (uint16_t)(sizeof(header) + size + 8)};
	uint8_t bytes[4096];
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), body, size);
	memcpy(bytes + sizeof(header) + size, &time, 8);
	uint64_t head = fake->control[cpu]->data_head;
	if (head + header.size - fake->control[cpu]->data_tail > ring_size())
		return false;
	for (size_t i = 0; i < header.size; i++)
		fake->data[cpu][(head + i) & (ring_size() - 1)] = bytes[i];
	fake->control[cpu]->data_head = head + header.size;
	return true;
}

static bool put_comm(struct fake *fake, int cpu, const char *name, uint64_t time)
{
	struct {
		uint32_t pid, tid;
		char comm[16];
	} body = {7, 7, ""};
	snprintf(body.comm, sizeof(body.comm), "%s", name);
	return put(fake, cpu, PERF_RECORD_COMM, 0, &body, sizeof(body), time);
}

static void on_record(void *userdata, const struct sideband_record *record)
{
	struct fake *fake = userdata;
	assert_true(record->time >= fake->last_time);
	fake->last_time = record->time;
	fake->count++;
	if (record->kind == SIDEBAND_COMM)
		strcat(fake->names, record->comm);
}

static void test_attributes(void **state)
{
	struct fake *fake = *state;
	assert_true(fake->attr.mmap && fake->attr.mmap2 && !fake->attr.mmap_data);
	assert_true(fake->attr.ksymbol);
	assert_true(fake->attr.task && fake->attr.comm && fake->attr.comm_exec);
	assert_true(fake->attr.use_clockid && fake->attr.watermark && fake->attr.sample_id_all);
	assert_int_equal(fake->attr.clockid, CLOCK_MONOTONIC);
}

static void test_order_and_bound(void **state)
{
	struct fake *fake = *state;
	put_comm(fake, 0, "a", 10);
	put_comm(fake, 0, "d", 40);
	put_comm(fake, 1, "b", 20);
	put_comm(fake, 1, "f", 60);
	put_comm(fake, 2, "c", 30);
	put_comm(fake, 2, "e", 50);
	sideband_drain(fake->sideband, 40, on_record, fake);
	assert_string_equal(fake->names, "abcd");
	assert_int_equal(sideband_next_time(fake->sideband), 50);
	sideband_drain(fake->sideband, 100, on_record, fake);
	assert_int_equal(sideband_next_time(fake->sideband), UINT64_MAX);
	assert_string_equal(fake->names, "abcdef");
	for (int cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(fake->control[cpu]->data_tail, fake->control[cpu]->data_head);
}

/* Record sizes that do not divide the ring, so that every position wraps sooner or later. */
static void test_wrap(void **state)
{
	struct fake *fake = *state;
	struct {
		uint32_t pid, tid;
		uint64_t start, length, offset;
		uint32_t major, minor;
		uint64_t inode, generation;
		uint32_t protection, flags;
		char path[1024];
	} body = {.pid = 1, .tid = 2, .start = 3, .length = 4, .offset = 5, .major = 8, .minor = 1,
		  .inode = 6};
	memset(body.path, 'p', sizeof(body.path));
	for (uint64_t i = 1; i <= 5000; i++) {
		size_t size = 64 + 8 * (i % 100 + 1);
		((char *)&body)[size - 1] = '\0';
		assert_true(put(fake, 0, PERF_RECORD_MMAP2, 0, &body, size, i));
		((char *)&body)[size - 1] = 'p';
		sideband_drain(fake->sideband, i, on_record, fake);
		assert_int_equal(fake->count, i);
	}
	struct sideband_statistics statistics;
	sideband_get_statistics(fake->sideband, &statistics);
	assert_int_equal(statistics.records, 5000);
	assert_int_equal(statistics.lost, 0);
	assert_int_equal(statistics.bytes, fake->control[0]->data_head);
}

static void test_loss(void **state)
{
	struct fake *fake = *state;
	uint64_t lost[2] = {1, 77};
	struct sideband_statistics statistics;
	assert_false(sideband_take_loss(fake->sideband));
	put(fake, 1, PERF_RECORD_LOST, 0, lost, sizeof(lost), 5);
	put_comm(fake, 1, "x", 6);
	sideband_drain(fake->sideband, 10, on_record, fake);
	assert_string_equal(fake->names, "x");
	sideband_get_statistics(fake->sideband, &statistics);
	assert_int_equal(statistics.lost, 77);
	assert_true(sideband_take_loss(fake->sideband));
	assert_false(sideband_take_loss(fake->sideband));
}

static void test_broken_sizes(void **state)
{
	static const uint16_t sizes[] = {0, 8, 15, 17, 20, 65528};
	struct fake *fake = *state;
	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		uint64_t head = fake->control[0]->data_head;
		put_comm(fake, 0, "bad", 1);
		struct perf_event_header *header =
			(void *)(fake->data[0] + (head & (ring_size() - 1)));
		header->size = sizes[i];
		sideband_drain(fake->sideband, 1000, on_record, fake);
		assert_string_equal(fake->names, "");
		assert_true(sideband_take_loss(fake->sideband));
	}
	fake->control[0]->data_head += 1 << 30; /* more than fits */
	sideband_drain(fake->sideband, 1000, on_record, fake);
	put_comm(fake, 0, "good", 2);
	sideband_drain(fake->sideband, 1000, on_record, fake);
	assert_string_equal(fake->names, "good");
}

static void test_leaving_cpu(void **state)
{
	struct fake *fake = *state;
	put_comm(fake, 2, "last", 10);
	sideband_remove_cpu(fake->sideband, 2);
	sideband_drain(fake->sideband, 5, on_record, fake);
	assert_int_equal(fake->count, 0);
	sideband_drain(fake->sideband, 10, on_record, fake);
	assert_string_equal(fake->names, "last");
	put_comm(fake, 2, "never", 20);
	sideband_drain(fake->sideband, 30, on_record, fake);
	assert_int_equal(fake->count, 1);
	assert_int_equal(sideband_add_cpu(fake->sideband, 1), -EEXIST);
}

static void test_parse(void **state)
{
	struct {
		struct perf_event_header header;
		uint32_t pid, parent_pid, tid, parent_tid;
		uint64_t time, sample_time;
	} fork = {{PERF_RECORD_FORK, 0, sizeof(fork)}, 1, 2, 3, 4, 5, 6};
	struct sideband_record record;
	uint64_t lost;
	assert_int_equal(sideband_parse(&fork, sizeof(fork), &record, &lost), SIDEBAND_PARSED);
	assert_int_equal(record.kind, SIDEBAND_FORK);
	assert_int_equal(record.pid, 1);
	assert_int_equal(record.parent_pid, 2);
	assert_int_equal(record.tid, 3);
	assert_int_equal(record.time, 6);
	for (size_t n = SIDEBAND_RECORD_MIN; n < sizeof(fork); n += 8)
		assert_int_equal(sideband_parse(&fork, n, &record, &lost), SIDEBAND_BROKEN);
	fork.header.type = 4711;
	assert_int_equal(sideband_parse(&fork, sizeof(fork), &record, &lost), SIDEBAND_SKIPPED);
	/* A name that fills its record without an end. */
	fork.header = (struct perf_event_header){PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC,
						 sizeof(fork)};
	memset(&fork.tid, 'n', 16);
	assert_int_equal(sideband_parse(&fork, sizeof(fork), &record, &lost), SIDEBAND_PARSED);
	assert_int_equal(record.kind, SIDEBAND_EXEC);
	assert_string_equal(record.comm, "nnnnnnnnnnnnnnn");
}

static void test_parse_code(void **state)
{
	struct {
		struct perf_event_header header;
		uint64_t start;
		uint32_t length;
		uint16_t type, flags;
		char name[24];
		uint64_t time;
	} code = {{PERF_RECORD_KSYMBOL, 0, sizeof(code)}, 0xffffffffc0001000, 64, PERF_RECORD_KSYMBOL_TYPE_BPF, 0,
		  "bpf_prog_1234_name", 7};
	struct sideband_record record;
	uint64_t lost;
	assert_int_equal(sideband_parse(&code, sizeof(code), &record, &lost), SIDEBAND_PARSED);
	assert_int_equal(record.kind, SIDEBAND_CODE_COMES);
	assert_int_equal(record.start, 0xffffffffc0001000);
	assert_int_equal(record.length, 64);
	assert_int_equal(record.time, 7);
	assert_string_equal(record.name, "bpf_prog_1234_name");
	code.flags = PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER;
	assert_int_equal(sideband_parse(&code, sizeof(code), &record, &lost), SIDEBAND_PARSED);
	assert_int_equal(record.kind, SIDEBAND_CODE_GOES);
	for (size_t n = SIDEBAND_RECORD_MIN; n <= sizeof(code) - sizeof(code.name); n += 8)
		assert_int_equal(sideband_parse(&code, n, &record, &lost), SIDEBAND_BROKEN);
	memset(code.name, 'n', sizeof(code.name));
	assert_int_equal(sideband_parse(&code, sizeof(code), &record, &lost), SIDEBAND_BROKEN);
}

#define RING_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RING_TEST(test_attributes),   RING_TEST(test_order_and_bound),
		RING_TEST(test_wrap),	      RING_TEST(test_loss),
		RING_TEST(test_broken_sizes), RING_TEST(test_leaving_cpu),
		cmocka_unit_test(test_parse), cmocka_unit_test(test_parse_code),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
