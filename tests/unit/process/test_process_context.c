/* SPDX-License-Identifier: Apache-2.0 */
/* What a process publishes of itself, right and wrong; and the whole way, in a process of our own: this one. */
#include "process/process_context.h"
#include "process/thread_context.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define SLICE(text) ((struct slice){(text), strlen(text)})

/* ProcessContext { attributes { key: "threadlocal.schema_version" value { string_value: "tls_v1" } } } */
static const char payload[] = "\x12\x26\x0a\x1a"
			      "threadlocal.schema_version"
			      "\x12\x08\x0a\x06"
			      "tls_v1";
#define PAYLOAD_SIZE (sizeof(payload) - 1)

struct header {
	char signature[8];
	uint32_t version, size;
	uint64_t published_ns;
	const void *payload;
};

static struct header make_header(void)
{
	return (struct header){.signature = "OTEL_CTX", .version = 2, .size = PAYLOAD_SIZE, .published_ns = 7,
			       .payload = payload};
}

static int parse_header(const struct header *header, struct process_context_header *ret)
{
	return process_context_parse_header((const uint8_t *)header, ret);
}

static void test_header(void **state)
{
	struct header header = make_header();
	struct process_context_header parsed;
	assert_int_equal(parse_header(&header, &parsed), 0);
	assert_int_equal(parsed.size, PAYLOAD_SIZE);
	assert_int_equal(parsed.payload, (uintptr_t)payload);
	header.published_ns = 0;
	assert_int_equal(parse_header(&header, &parsed), -EAGAIN);
	header = make_header();
	header.version = 1;
	assert_int_equal(parse_header(&header, &parsed), -EBADMSG);
	header = make_header();
	header.size = PROCESS_CONTEXT_MAX_PAYLOAD + 1;
	assert_int_equal(parse_header(&header, &parsed), -EBADMSG);
	header = make_header();
	header.signature[7] = 'x';
	assert_int_equal(parse_header(&header, &parsed), -EBADMSG);
}

static void test_names(void **state)
{
	assert_true(process_context_is_name(SLICE("/memfd:OTEL_CTX (deleted)")));
	assert_true(process_context_is_name(SLICE("[anon:OTEL_CTX]")));
	assert_true(process_context_is_name(SLICE("[anon_shmem:OTEL_CTX]")));
	assert_false(process_context_is_name(SLICE("/memfd:OTEL_CTX2 (deleted)")));
	assert_false(process_context_is_name(SLICE("/tmp/OTEL_CTX")));
	assert_false(process_context_is_name(SLICE("")));
}

static void test_message(void **state)
{
	bool has_contexts = false;
	assert_int_equal(process_context_parse(payload, PAYLOAD_SIZE, &has_contexts), 0);
	assert_true(has_contexts);
	/* Cut anywhere it is broken, or has no contexts. */
	for (size_t size = 0; size < PAYLOAD_SIZE; size++) {
		assert_int_equal(process_context_parse(payload, size, &has_contexts), size ? -EBADMSG : 0);
		assert_false(has_contexts);
	}
	char other[PAYLOAD_SIZE];
	memcpy(other, payload, PAYLOAD_SIZE);
	other[PAYLOAD_SIZE - 1] = '9'; /* another schema */
	assert_int_equal(process_context_parse(other, PAYLOAD_SIZE, &has_contexts), 0);
	assert_false(has_contexts);
}

/* ---- The whole way --------------------------------------------------------------------------- */

static int read_own(const struct thread_variable *variable, uint64_t bias, struct context_place *ret)
{
	struct thread_context_reading reading = {
		.proc_path = "/proc", .pid = (uint32_t)getpid(), .variable = *variable, .bias = bias};
	thread_context_read(&reading);
	*ret = reading.place;
	return reading.error;
}

static struct header *publish(void)
{
	int memory = memfd_create("OTEL_CTX", 0);
	assert_return_code(memory, 0);
	assert_return_code(ftruncate(memory, 4096), 0);
	struct header *header = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, memory, 0);
	assert_ptr_not_equal(header, MAP_FAILED);
	close(memory);
	*header = make_header();
	return header;
}

static void test_places(void **state)
{
	static uint64_t slot[2], index[2] = {3, 40};
	struct context_place place;
	struct thread_variable variable = {.access = THREAD_VARIABLE_FIXED, .offset = -8};
	assert_int_equal(read_own(&variable, 0, &place), -ENODATA);

	struct header *header = publish();
	assert_int_equal(read_own(&variable, 0, &place), 0);
	assert_int_equal(place.module, 0);
	assert_int_equal(place.offset, -8);

	variable = (struct thread_variable){.access = THREAD_VARIABLE_DESCRIPTOR, .slot = (uintptr_t)slot - 0x1000};
	assert_int_equal(read_own(&variable, 0x1000, &place), -EAGAIN); /* not relocated */
	slot[0] = 1;
	slot[1] = (uintptr_t)index;
	assert_int_equal(read_own(&variable, 0x1000, &place), 0);
	assert_int_equal(place.module, 3);
	assert_int_equal(place.offset, 40);
	assert_int_equal(place.entry_size, 16); /* glibc's */

	variable.access = THREAD_VARIABLE_MODULE_SLOT;
	slot[0] = 1 << 20;
	assert_int_equal(read_own(&variable, 0x1000, &place), -EBADMSG); /* no such module */
	variable.access = THREAD_VARIABLE_OFFSET_SLOT;
	slot[0] = 64;
	assert_int_equal(read_own(&variable, 0x1000, &place), 0);
	assert_int_equal(place.offset, 64);
	variable.slot = 0;
	assert_true(read_own(&variable, 0x1000, &place) < 0); /* not mapped */

	/* It lies. */
	header->payload = NULL;
	assert_true(read_own(&variable, 0, &place) < 0);
	header->payload = payload;
	header->published_ns = 0;
	assert_int_equal(read_own(&variable, 0, &place), -EAGAIN);
	munmap(header, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_places),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
