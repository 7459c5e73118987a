/* SPDX-License-Identifier: Apache-2.0 */
/* Where answers to line queries are collected before they become an ARTIFACT_LINES. */
#pragma once

#include "base/array.h"
#include "base/hash.h"
#include "base/text.h"
#include "binary/line_answers.h"
#include "binary/line_layout.h"

struct line_output {
	ARRAY(struct line_answer) answers;
	ARRAY(struct line_answer_frame) frames;
	struct strings names;
};

/* Also of one that failed. */
void line_output_free(struct line_output *output);

/* An answer is begun, given its frames innermost first, and ended. Each returns 0 or -ENOMEM. */
int line_output_begin(struct line_output *output, uint64_t address, struct line_answer *ret);
int line_output_add_frame(struct line_output *output, const struct line_frame *frame);
int line_output_end(struct line_output *output, struct line_answer *answer);

/* Appends the artifact. The answers may have come in any order. Returns 0 or -ENOMEM. */
int line_output_finish(struct line_output *output, struct text *artifact);
