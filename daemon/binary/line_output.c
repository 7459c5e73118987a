/* SPDX-License-Identifier: Apache-2.0 */
/* See line_output.h. */
#include "binary/line_output.h"

#include <errno.h>

void line_output_free(struct line_output *output)
{
	array_free(&output->answers);
	array_free(&output->frames);
	strings_free(&output->names);
}

int line_output_begin(struct line_output *o, uint64_t address, struct line_answer *ret)
{
	if (o->frames.count > UINT32_MAX - LINE_MAX_INLINE_DEPTH)
		return -ENOMEM;
	*ret = (struct line_answer){.address = address, .first_frame = (uint32_t)o->frames.count};
	return 0;
}

int line_output_add_frame(struct line_output *o, const struct line_frame *from)
{
	uint32_t name, file;
	struct line_answer_frame frame = {
		.line = from->line, .column = from->column, .start_line = from->start_line};
	int r = strings_add_text(&o->names, from->function, &name);
	if (r == 0)
		r = strings_add_text(&o->names, from->file, &file);
	if (r < 0)
		return r;
	frame.function = o->names.offsets[name];
	frame.file = o->names.offsets[file];
	return array_add(&o->frames, frame);
}

int line_output_end(struct line_output *o, struct line_answer *answer)
{
	answer->frame_count = (uint32_t)o->frames.count - answer->first_frame;
	return array_add(&o->answers, *answer);
}

static int compare_answers(const void *a, const void *b)
{
	const struct line_answer *x = a, *y = b;
	return (x->address > y->address) - (x->address < y->address);
}

int line_output_finish(struct line_output *o, struct text *artifact)
{
	uint32_t empty;
	int r = strings_add_text(&o->names, "", &empty); /* never without a NUL */
	if (r < 0)
		return r;
	if (o->answers.count)
		qsort(o->answers.items, o->answers.count, sizeof(*o->answers.items),
		      compare_answers);
	artifact_begin(artifact, ARTIFACT_LINES);
	artifact_add_section(artifact, SECTION_LINE_ANSWERS, o->answers.items,
			     o->answers.count * sizeof(*o->answers.items));
	artifact_add_section(artifact, SECTION_LINE_FRAMES, o->frames.items,
			     o->frames.count * sizeof(*o->frames.items));
	artifact_add_section(artifact, SECTION_LINE_NAMES, o->names.bytes, o->names.bytes_used);
	return artifact_finish(artifact);
}
