/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and inlined functions of this very program, and answers whose indices lie. */
#include "base/file.h"
#include "binary/line_answers.h"
#include "binary/line_build.h"
#include "binary/line_merge.h"
#include "binary/line_output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

extern const char __executable_start[];

/* An address in the code of whatever function this is inlined into. */
#if defined(__x86_64__)
#define HERE(address) __asm__ volatile("1: lea 1b(%%rip), %0" : "=r"(address))
#else
#define HERE(address) __asm__ volatile("adr %0, ." : "=r"(address))
#endif

enum { INNER_LINE = __LINE__ + 4 }; /* of HERE */
static inline __attribute__((always_inline)) uint64_t inner(void)
{
	uint64_t address;
	HERE(address);
	return address;
}

enum { OUTER_LINE = __LINE__ + 3 }; /* of the call */
static __attribute__((noinline)) uint64_t outer(void)
{
	return inner() - (uint64_t)(uintptr_t)__executable_start;
}

static void build(bool with_inlines, uint64_t address, struct text *artifact)
{
	_cleanup_fd_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(self >= 0);
	int r = line_build(self, -1, &address, 1, with_inlines, artifact);
	if (r == -ENODATA) {
		fprintf(stderr, "skipped: this test was built without debug information\n");
		exit(77);
	}
	assert_int_equal(r, 0);
}

static size_t answers_of(const struct text *t, uint64_t address, struct line_frame *frames)
{
	struct artifact artifact;
	struct line_answers answers;
	assert_int_equal(artifact_check(t->bytes, t->length, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &answers), 0);
	assert_int_equal(line_answers_find(&answers, address + 100000000, frames, 4), 0);
	return line_answers_find(&answers, address, frames, 4);
}

static void test_inlined_chain(void **state)
{
	struct text t = {0};
	struct line_frame frames[4];
	build(true, outer(), &t);
	assert_int_equal(answers_of(&t, outer(), frames), 2);
	assert_string_equal(frames[0].function, "inner");
	assert_int_equal(frames[0].line, INNER_LINE);
	assert_int_equal(frames[0].start_line, INNER_LINE - 3);
	assert_string_equal(frames[1].function, "outer");
	assert_int_equal(frames[1].line, OUTER_LINE);
	assert_non_null(strstr(frames[1].file, "test_lines.c"));
	text_free(&t);
}

static void test_without_inlines_the_caller_has_its_own_line(void **state)
{
	struct text t = {0};
	struct line_frame frames[4];
	build(false, outer(), &t);
	assert_int_equal(answers_of(&t, outer(), frames), 1);
	assert_string_equal(frames[0].function, "outer");
	assert_int_equal(frames[0].line, OUTER_LINE);
	text_free(&t);
}

static void test_no_elf_file(void **state)
{
	struct text t = {0};
	uint64_t address = 1;
	_cleanup_fd_ int zero = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(line_build(zero, -1, &address, 1, true, &t), -EBADMSG);
	text_free(&t);
}

static void make(struct text *t, struct line_answer answer, struct line_answer_frame frame,
		 const char *names, size_t names_size)
{
	artifact_begin(t, ARTIFACT_LINES);
	artifact_add_section(t, SECTION_LINE_ANSWERS, &answer, sizeof(answer));
	artifact_add_section(t, SECTION_LINE_FRAMES, &frame, sizeof(frame));
	artifact_add_section(t, SECTION_LINE_NAMES, names, names_size);
	assert_int_equal(artifact_finish(t), 0);
}

static void test_lying_indices(void **state)
{
	struct text t = {0};
	struct line_frame frames[4];
	struct line_answer_frame frame = {.function = UINT32_MAX, .file = 4, .line = 7};
	make(&t, (struct line_answer){5, 0, UINT32_MAX}, frame, "abc", 4);
	assert_int_equal(answers_of(&t, 5, frames), 1);
	assert_string_equal(frames[0].function, "");
	assert_string_equal(frames[0].file, "");
	text_free(&t);
	make(&t, (struct line_answer){5, UINT32_MAX, 2}, frame, "abc", 4);
	assert_int_equal(answers_of(&t, 5, frames), 0);
	text_free(&t);
}

static void test_names_without_an_end(void **state)
{
	struct text t = {0};
	struct artifact artifact;
	struct line_answers answers;
	make(&t, (struct line_answer){5, 0, 1}, (struct line_answer_frame){0}, "abc", 3);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &answers), -EBADMSG);
	text_free(&t);
}

/* Adds an answer of one frame that tells where it came from. */
static void add(struct line_output *o, uint64_t address, const char *function)
{
	struct line_answer answer;
	struct line_frame frame = {.function = function, .file = "f.c", .line = 3, .start_line = 1};
	assert_int_equal(line_output_begin(o, address, &answer), 0);
	assert_int_equal(line_output_add_frame(o, &frame), 0);
	assert_int_equal(line_output_end(o, &answer), 0);
}

static void finish(struct line_output *o, struct text *t, struct line_answers *ret)
{
	struct artifact artifact;
	assert_int_equal(line_output_finish(o, t), 0);
	assert_int_equal(artifact_check(t->bytes, t->length, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, ret), 0);
	line_output_free(o);
}

static void test_merge(void **state)
{
	static const uint64_t asked[] = {10, 25, 30};
	struct line_output old = {0}, new = {0};
	struct text old_text = {0}, new_text = {0}, merged_text = {0};
	struct line_answers known, found, merged;
	struct artifact artifact;
	struct line_frame frames[4];
	add(&old, 20, "old");
	add(&old, 10, "old");
	add(&new, 20, "new");
	add(&new, 30, "new");
	finish(&old, &old_text, &known);
	finish(&new, &new_text, &found);
	assert_int_equal(line_answers_merge(&known, &found, asked, 3, &merged_text), 0);
	assert_int_equal(artifact_check(merged_text.bytes, merged_text.length, ARTIFACT_LINES,
					&artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &merged), 0);
	assert_int_equal(merged.answer_count, 4);
	assert_int_equal(line_answers_find(&merged, 10, frames, 4), 1);
	assert_string_equal(frames[0].function, "old");
	assert_int_equal(line_answers_find(&merged, 20, frames, 4), 1);
	assert_string_equal(frames[0].function, "new");
	assert_int_equal(frames[0].line, 3);
	assert_int_equal(frames[0].start_line, 1);
	assert_true(line_answers_know(&merged, 25));
	assert_int_equal(line_answers_find(&merged, 25, frames, 4), 0);
	assert_false(line_answers_know(&merged, 26));
	text_free(&old_text);
	text_free(&new_text);
	text_free(&merged_text);
}

/* Addresses out of order: whatever comes out, the merge ends. */
static void test_merge_of_a_damaged_artifact(void **state)
{
	const struct line_answer answers[] = {{9, 0, 1}, {UINT64_MAX, 0, 1}, {3, 0, 1}};
	struct line_answer_frame frame = {0};
	struct text t = {0}, merged = {0};
	struct artifact artifact;
	struct line_answers known;
	artifact_begin(&t, ARTIFACT_LINES);
	artifact_add_section(&t, SECTION_LINE_ANSWERS, answers, sizeof(answers));
	artifact_add_section(&t, SECTION_LINE_FRAMES, &frame, sizeof(frame));
	artifact_add_section(&t, SECTION_LINE_NAMES, "", 1);
	assert_int_equal(artifact_finish(&t), 0);
	assert_int_equal(artifact_check(t.bytes, t.length, ARTIFACT_LINES, &artifact), 0);
	assert_int_equal(line_answers_open(&artifact, &known), 0);
	assert_int_equal(line_answers_merge(&known, NULL, NULL, 0, &merged), 0);
	text_free(&t);
	text_free(&merged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inlined_chain),
		cmocka_unit_test(test_without_inlines_the_caller_has_its_own_line),
		cmocka_unit_test(test_no_elf_file),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_merge_of_a_damaged_artifact),
		cmocka_unit_test(test_lying_indices),
		cmocka_unit_test(test_names_without_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
