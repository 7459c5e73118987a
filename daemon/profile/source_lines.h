/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each source line of some functions cost, alone (flat) and with everything it called (cumulative, once for a sample
 * however often the line is on its stack): what a listing of the source is annotated with. Inlined functions have lines of
 * their own; of a sample only the innermost line of its leaf has it as flat.
 */
#pragma once

#include "base/text.h"
#include "profile/profile.h"

struct source_line {
	uint32_t function; /* index into source_lines.functions */
	uint32_t line;	   /* 0: not known */
	int64_t flat, cumulative;
};

/* Equal names in one file are one function. */
struct source_function {
	uint32_t name, file; /* strings of the profile */
	uint32_t start_line; /* 0: not known */
	int64_t flat, cumulative;
	size_t first_line, line_count; /* in source_lines.lines */
};

struct source_lines {
	ARRAY(struct source_function) functions; /* those that cost something, the most cumulative first */
	ARRAY(struct source_line) lines;	 /* of each function together, in order of lines */
};

/*
 * The lines of all functions whose names match `pattern` (base/expression.h), by sample type `value`.
 * Returns 0, -EINVAL for a broken expression, with a message in *error, or -ENOMEM. Free in any case.
 */
int source_lines_find(const struct profile *profile, size_t value, const char *pattern, struct source_lines *ret,
		      struct text *error);
void source_lines_free(struct source_lines *lines);
