/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lying ARTIFACT_LINES: the input is cut into its three sections; whatever they say, the answers'
 * strings lie inside. The first two bytes say where to cut.
 */
#include "binary/line_answers.h"
#include "binary/line_merge.h"
#include "binary/line_layout.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void ask(const struct line_answers *answers, uint64_t address)
{
	struct line_frame frames[LINE_MAX_INLINE_DEPTH];
	size_t count = line_answers_find(answers, address, frames, LINE_MAX_INLINE_DEPTH);
	require(count <= LINE_MAX_INLINE_DEPTH);
	for (size_t i = 0; i < count; i++)
		require(strlen(frames[i].function) <= answers->names_size &&
			strlen(frames[i].file) <= answers->names_size);
}

static void ask_all(const struct line_answers *answers)
{
	const struct line_answer *all = answers->answers;
	for (size_t i = 0; i < answers->answer_count; i++)
		ask(answers, all[i].address);
	ask(answers, 0);
	ask(answers, UINT64_MAX);
}

/* What is merged is whole, and ends. */
static void merge(const struct line_answers *answers)
{
	struct text t = {0};
	struct artifact artifact;
	struct line_answers merged;
	require(line_answers_merge(answers, answers, NULL, 0, &t) == 0);
	require(artifact_check(t.bytes, t.length, ARTIFACT_LINES, &artifact) == 0);
	require(line_answers_open(&artifact, &merged) == 0);
	text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text t = {0};
	struct artifact artifact;
	struct line_answers answers;
	if (size < 2)
		return 0;
	size_t first = MIN_OF(data[0] * sizeof(struct line_answer), size - 2);
	size_t second = MIN_OF(data[1] * sizeof(struct line_answer_frame), size - 2 - first);
	artifact_begin(&t, ARTIFACT_LINES);
	artifact_add_section(&t, SECTION_LINE_ANSWERS, data + 2, first);
	artifact_add_section(&t, SECTION_LINE_FRAMES, data + 2 + first, second);
	artifact_add_section(&t, SECTION_LINE_NAMES, data + 2 + first + second,
			     size - 2 - first - second);
	require(artifact_finish(&t) == 0);
	require(artifact_check(t.bytes, t.length, ARTIFACT_LINES, &artifact) == 0);
	int r = line_answers_open(&artifact, &answers);
	require(r == 0 || r == -EBADMSG);
	if (r == 0) {
		ask_all(&answers);
		merge(&answers);
	}
	text_free(&t);
	return 0;
}
