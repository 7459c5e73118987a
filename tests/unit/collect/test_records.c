/* SPDX-License-Identifier: Apache-2.0 */
/* Records as the ring gives them: where the parts are, and what is refused. */
#include "collect/records.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct made {
	struct record_sample sample;
	uint64_t words[64];
};

static struct made make_sample(uint16_t flags, uint16_t kernel_frames, uint16_t user_frames)
{
	struct made made = {
		.sample = {.header = {.version = WIRE_VERSION, .kind = RECORD_SAMPLE},
			   .flags = flags,
			   .kernel_frames = kernel_frames,
			   .user_frames = user_frames},
	};
	made.sample.header.size = sizeof(made.sample) + 8 * (kernel_frames + user_frames);
	return made;
}

static int parse(const struct made *made, struct ring_record *ret)
{
	return ring_record_parse(made, made->sample.header.size, ret);
}

static void test_sample(void **state)
{
	struct made made = make_sample(SAMPLE_HAS_STACK, 2, 3);
	struct ring_record record;
	assert_int_equal(parse(&made, &record), 0);
	assert_int_equal(record.kind, RECORD_SAMPLE);
	assert_ptr_equal(record.sample, &made.sample);
	assert_ptr_equal(record.frames, made.words);
	assert_null(record.new_binary);
	/* The counts stay when the stack was sent before. */
	made.sample.flags = 0;
	made.sample.header.size = sizeof(made.sample);
	assert_int_equal(parse(&made, &record), 0);
	assert_null(record.frames);
	assert_int_equal(record.sample->user_frames, 3);
}

static void test_optional_parts(void **state)
{
	struct made made =
		make_sample(SAMPLE_HAS_STACK | SAMPLE_HAS_TRACE | SAMPLE_HAS_LABELS, 0, 2);
	struct record_labels labels = {.size = 16, .count = 1};
	struct ring_record record;
	made.sample.header.size += 24 + 8 + 16;
	memcpy(&made.words[0], &labels, sizeof(labels));
	assert_int_equal(parse(&made, &record), 0);
	assert_ptr_equal(record.frames, &made.words[1 + 2]);
	assert_ptr_equal(record.trace, &made.words[1 + 2 + 2]);
	/* A stack that was sent before leaves the trace alone. */
	made.sample.flags = SAMPLE_HAS_TRACE;
	made.sample.header.size = sizeof(made.sample) + 24;
	assert_int_equal(parse(&made, &record), 0);
	assert_null(record.frames);
	assert_ptr_equal(record.trace, &made.words[0]);
	made.sample.header.size--;
	assert_int_equal(parse(&made, &record), -EBADMSG);
	made.sample.flags = SAMPLE_HAS_STACK | SAMPLE_HAS_TRACE | SAMPLE_HAS_LABELS;
	made.sample.header.size = sizeof(made.sample) + 16 + 24 + 8 + 16;
	labels.size = 12; /* no multiple of eight */
	memcpy(&made.words[0], &labels, sizeof(labels));
	assert_int_equal(parse(&made, &record), -EBADMSG);
	labels.size = UINT32_MAX - 7;
	memcpy(&made.words[0], &labels, sizeof(labels));
	assert_int_equal(parse(&made, &record), -EBADMSG);
}

/* Every size below the right one, by the header's word and by the ring's. */
static void test_truncated(void **state)
{
	struct made made = make_sample(SAMPLE_HAS_STACK, 2, 3);
	uint32_t whole = made.sample.header.size;
	struct ring_record record;
	for (uint32_t size = 0; size < whole; size++) {
		made.sample.header.size = whole;
		assert_int_equal(ring_record_parse(&made, size, &record), -EBADMSG);
		made.sample.header.size = size;
		assert_int_equal(ring_record_parse(&made, whole, &record), -EBADMSG);
	}
	made.sample.header.size = whole;
	made.sample.user_frames = UINT16_MAX;
	assert_int_equal(parse(&made, &record), -EBADMSG);
}

static void test_other_kinds(void **state)
{
	struct record_new_binary notice = {.header = {.version = WIRE_VERSION,
						      .kind = RECORD_NEW_BINARY,
						      .size = sizeof(notice)}};
	struct ring_record record;
	assert_int_equal(ring_record_parse(&notice, sizeof(notice), &record), 0);
	assert_ptr_equal(record.new_binary, &notice);
	assert_null(record.sample);
	assert_int_equal(ring_record_parse(&notice, sizeof(notice) - 1, &record), -EBADMSG);
	notice.header.kind = 77;
	assert_int_equal(ring_record_parse(&notice, sizeof(notice), &record), -EBADMSG);
	notice.header.kind = RECORD_NEW_BINARY;
	notice.header.version = WIRE_VERSION + 1;
	assert_int_equal(ring_record_parse(&notice, sizeof(notice), &record), -EBADMSG);
}

static void test_cgroup(void **state)
{
	struct record_new_cgroup made = {.header = {.version = WIRE_VERSION,
						    .kind = RECORD_NEW_CGROUP,
						    .size = sizeof(made)},
					 .path = "/a"};
	struct ring_record record;
	assert_int_equal(ring_record_parse(&made, sizeof(made), &record), 0);
	assert_ptr_equal(record.new_cgroup, &made);
	assert_int_equal(ring_record_parse(&made, sizeof(made) - 1, &record), -EBADMSG);
	memset(made.path, 'x', sizeof(made.path)); /* no end */
	assert_int_equal(ring_record_parse(&made, sizeof(made), &record), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sample),
		cmocka_unit_test(test_optional_parts),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_other_kinds),
		cmocka_unit_test(test_cgroup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
