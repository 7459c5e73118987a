/* SPDX-License-Identifier: Apache-2.0 */
/* The container: what was put in comes out, and no truncation or flipped bit passes the check. */
#include "base/file.h"
#include "binary/artifact.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static void build(struct text *t)
{
	artifact_begin(t, ARTIFACT_UNWIND);
	artifact_add_section(t, SECTION_FACTS, "facts", 5);
	artifact_add_section(t, SECTION_UNWIND_HEADER, NULL, 0);
	artifact_add_section(t, SECTION_UNWIND_BODY, "0123456789abcdefghij", 20);
	assert_int_equal(artifact_finish(t), 0);
}

/* Puts a right checksum on whatever was changed, as a lying child would. */
static void sign(struct text *t)
{
	struct artifact_header *header = (struct artifact_header *)t->bytes;
	header->checksum = 0;
	header->checksum = (uint32_t)crc32_z(0, (const Bytef *)t->bytes, t->length);
}

#define IN_FILE 48 /* where it begins there */

/* The same in a file: judged alike. */
static int check(const char *bytes, size_t size, struct artifact *ret)
{
	_cleanup_fd_ int file = memfd_create("artifact", MFD_CLOEXEC);
	struct artifact_file in_file;
	int r = artifact_check(bytes, size, ARTIFACT_UNWIND, ret);
	assert_int_equal(ftruncate(file, IN_FILE), 0);
	assert_int_equal(lseek(file, 0, SEEK_END), IN_FILE);
	assert_int_equal(write_all(file, bytes, size), 0);
	assert_int_equal(artifact_file_check(file, IN_FILE, size, ARTIFACT_UNWIND, &in_file), r);
	assert_int_equal(artifact_file_check(file, IN_FILE, size, ARTIFACT_SYMBOLS, &in_file), -EBADMSG);
	return r;
}

static void test_in_a_file(void **state)
{
	struct text t = {0};
	struct artifact a;
	struct artifact_file in_file;
	char bytes[21] = "";
	_cleanup_free_ char *much = calloc(1, 200000); /* more than one piece */
	artifact_begin(&t, ARTIFACT_UNWIND);
	artifact_add_section(&t, SECTION_FACTS, much, 200000);
	artifact_add_section(&t, SECTION_UNWIND_BODY, "0123456789abcdefghij", 20);
	assert_int_equal(artifact_finish(&t), 0);
	assert_int_equal(check(t.bytes, t.length, &a), 0);
	_cleanup_fd_ int file = memfd_create("artifact", MFD_CLOEXEC);
	assert_int_equal(write_all(file, t.bytes, t.length), 0);
	assert_int_equal(artifact_file_check(file, 0, t.length, ARTIFACT_UNWIND, &in_file), 0);
	const struct artifact_section *body = artifact_file_section(&in_file, SECTION_UNWIND_BODY);
	assert_non_null(body);
	assert_int_equal(body->size, 20);
	assert_int_equal(read_exactly_at(in_file.file, bytes, 20, body->offset), 0);
	assert_string_equal(bytes, "0123456789abcdefghij");
	assert_null(artifact_file_section(&in_file, SECTION_SYMBOLS));
	assert_int_equal(artifact_file_check(file, 0, t.length + 1, ARTIFACT_UNWIND, &in_file), -EBADMSG);
	assert_int_equal(ftruncate(file, 100000), 0);
	assert_int_equal(artifact_file_check(file, 0, t.length, ARTIFACT_UNWIND, &in_file), -ENODATA);
	t.bytes[150000] ^= 1;
	assert_int_equal(check(t.bytes, t.length, &a), -EBADMSG);
	text_free(&t);
}

static void test_round_trip(void **state)
{
	struct text t = {0};
	build(&t);
	struct artifact a;
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_UNWIND, &a), 0);

	size_t size;
	const char *facts = artifact_section(&a, SECTION_FACTS, &size);
	assert_int_equal(size, 5);
	assert_memory_equal(facts, "facts", 5);
	const char *body = artifact_section(&a, SECTION_UNWIND_BODY, &size);
	assert_int_equal(size, 20);
	assert_memory_equal(body, "0123456789abcdefghij", 20);
	assert_int_equal((body - a.bytes) % 16, 0);
	assert_non_null(artifact_section(&a, SECTION_UNWIND_HEADER, &size));
	assert_int_equal(size, 0);
	assert_null(artifact_section(&a, SECTION_SYMBOLS, &size));
	assert_int_equal(size, 0);

	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_SYMBOLS, &a), -EBADMSG);
	text_free(&t);
}

static void test_every_truncation_is_refused(void **state)
{
	struct text t = {0};
	build(&t);
	struct artifact a;
	for (size_t size = 0; size < t.length; size++) {
		/* A copy of exactly that size, so that ASan or valgrind sees a read past it. */
		char *copy = malloc(size + 1);
		memcpy(copy, t.bytes, size);
		copy = realloc(copy, size ? size : 1);
		assert_int_equal(artifact_check(copy, size, ARTIFACT_UNWIND, &a), -EBADMSG);
		free(copy);
	}
	text_free(&t);
}

static void test_every_flipped_bit_is_refused(void **state)
{
	struct text t = {0};
	build(&t);
	struct artifact a;
	for (size_t bit = 0; bit < t.length * 8; bit++) {
		t.bytes[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(check(t.bytes, t.length, &a), -EBADMSG);
		t.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(check(t.bytes, t.length, &a), 0);
	text_free(&t);
}

static void test_lying_sections_are_refused(void **state)
{
	static const struct artifact_section lies[] = {
		{.kind = SECTION_FACTS, .offset = 8, .size = 4},
		{.kind = SECTION_FACTS, .offset = 0, .size = 16},
		{.kind = SECTION_FACTS, .offset = 417, .size = 1},
		{.kind = SECTION_FACTS, .offset = 416, .size = UINT64_MAX},
		{.kind = SECTION_FACTS, .offset = UINT64_MAX - 15, .size = 32},
		{.kind = SECTION_FACTS, .offset = 1 << 20, .size = 0},
		{.kind = SECTION_FACTS, .offset = 416, .size = 40}, /* overlaps the next */
		{.kind = SECTION_UNWIND_BODY, .offset = 416, .size = 5}, /* kind twice */
		{.kind = 0, .offset = 416, .size = 5},
		{.kind = 4000, .offset = 416, .size = 5},
	};
	for (size_t i = 0; i < ARRAY_LENGTH(lies); i++) {
		struct text t = {0};
		build(&t);
		memcpy(t.bytes + sizeof(struct artifact_header), &lies[i], sizeof(lies[i]));
		sign(&t);
		struct artifact a;
		assert_int_equal(check(t.bytes, t.length, &a), -EBADMSG);
		text_free(&t);
	}
}

static void test_section_count_lies(void **state)
{
	struct text t = {0};
	build(&t);
	struct artifact a;
	static const uint32_t counts[] = {4, 17, 1000, UINT32_MAX};
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		((struct artifact_header *)t.bytes)->section_count = counts[i];
		sign(&t);
		assert_int_equal(check(t.bytes, t.length, &a), -EBADMSG);
	}
	text_free(&t);
}

static void test_too_many_sections(void **state)
{
	struct text t = {0};
	artifact_begin(&t, ARTIFACT_SYMBOLS);
	for (int i = 0; i <= ARTIFACT_MAX_SECTIONS; i++)
		artifact_add_section(&t, SECTION_FACTS + i, "x", 1);
	assert_int_equal(artifact_finish(&t), -E2BIG);
	text_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_in_a_file),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_lying_sections_are_refused),
		cmocka_unit_test(test_section_count_lies),
		cmocka_unit_test(test_too_many_sections),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
