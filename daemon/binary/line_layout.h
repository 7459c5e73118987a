/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an ARTIFACT_LINES lies in memory: SECTION_LINE_ANSWERS is an array of struct line_answer,
 * sorted by address, SECTION_LINE_FRAMES an array of struct line_answer_frame, SECTION_LINE_NAMES holds
 * NUL-terminated strings. An address without an answer is left out or has no frames.
 */
#pragma once

#include "base/attributes.h"

struct line_answer {
	uint64_t address;
	uint32_t first_frame; /* index of the innermost frame */
	uint32_t frame_count; /* 0: asked about, and nothing is known */
};

struct line_answer_frame {
	uint32_t function, file; /* offsets into the names */
	uint32_t line, column, start_line;
};
