/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads an ARTIFACT_LINES where it lies. The layout is in line_layout.h; open() checks what holds
 * for whole sections, find() checks every index it takes from them.
 */
#include "binary/line_answers.h"
#include "binary/line_layout.h"

#include <errno.h>

int line_answers_open(const struct artifact *artifact, struct line_answers *ret)
{
	struct line_answers view = {.artifact = *artifact};
	size_t answers_size, frames_size;
	view.answers = artifact_section(artifact, SECTION_LINE_ANSWERS, &answers_size);
	view.frames = artifact_section(artifact, SECTION_LINE_FRAMES, &frames_size);
	view.names = artifact_section(artifact, SECTION_LINE_NAMES, &view.names_size);
	if (answers_size % sizeof(struct line_answer) != 0 ||
	    frames_size % sizeof(struct line_answer_frame) != 0)
		return -EBADMSG;
	view.answer_count = answers_size / sizeof(struct line_answer);
	view.frame_count = frames_size / sizeof(struct line_answer_frame);
	/* A NUL at the end terminates whatever starts inside. */
	if (view.answer_count > 0 &&
	    (view.names_size == 0 || view.names[view.names_size - 1] != '\0'))
		return -EBADMSG;
	*ret = view;
	return 0;
}

static const struct line_answer *find_answer(const struct line_answers *answers, uint64_t address)
{
	const struct line_answer *all = answers->answers;
	size_t low = 0, high = answers->answer_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (all[middle].address < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < answers->answer_count && all[low].address == address ? &all[low] : NULL;
}

static const char *name_at(const struct line_answers *answers, uint32_t offset)
{
	return offset < answers->names_size ? answers->names + offset : "";
}

size_t line_answers_find(const struct line_answers *answers, uint64_t address,
			 struct line_frame *frames, size_t capacity)
{
	const struct line_answer *answer = find_answer(answers, address);
	if (!answer || answer->first_frame >= answers->frame_count)
		return 0;
	size_t count = MIN_OF((size_t)answer->frame_count,
			      answers->frame_count - answer->first_frame);
	count = MIN_OF(count, capacity);
	const struct line_answer_frame *from = answers->frames;
	for (size_t i = 0; i < count; i++) {
		const struct line_answer_frame *f = &from[answer->first_frame + i];
		frames[i] = (struct line_frame){
			.function = name_at(answers, f->function),
			.file = name_at(answers, f->file),
			.line = f->line,
			.column = f->column,
			.start_line = f->start_line,
		};
	}
	return count;
}

uint64_t line_answers_address(const struct line_answers *answers, size_t i)
{
	return ((const struct line_answer *)answers->answers)[i].address;
}

bool line_answers_know(const struct line_answers *answers, uint64_t address)
{
	return find_answer(answers, address) != NULL;
}
