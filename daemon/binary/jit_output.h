/* SPDX-License-Identifier: Apache-2.0 */
/* What the parsers of JIT maps write to, in the child: becomes an ARTIFACT_JIT. */
#pragma once

#include "base/array.h"
#include "base/text.h"
#include "binary/jit_layout.h"

/* Zero-initialise, with the source's state; free with jit_output_free(). */
struct jit_output {
	struct jit_summary summary;
	ARRAY(struct jit_entry) entries;
	ARRAY(struct jit_entry_line) lines;
	struct text names;
	bool failed; /* out of memory: something is missing */
};

/* `entry` without its name, whose bytes are copied, cut to JIT_MAX_NAME. */
void jit_output_add_code(struct jit_output *output, struct jit_entry entry, const char *name,
			 size_t name_length);
void jit_output_add(struct jit_output *output, struct jit_entry entry);

/* `line` without its file; `file` NULL: the one of the line before. */
void jit_output_add_line(struct jit_output *output, struct jit_entry_line line, const char *file,
			 size_t file_length);

/* Returns 0 or -errno. */
int jit_output_finish(const struct jit_output *output, struct text *answer);
void jit_output_free(struct jit_output *output);
