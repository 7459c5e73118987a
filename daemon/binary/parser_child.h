/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the parser child: serves questions from descriptor 3 until the daemon closes it. */
#pragma once

#include "base/attributes.h"
#include "base/text.h"
#include "binary/jit_layout.h"

/* What builds the artifacts; each returns 0 and a finished artifact, or -errno. Chosen by the main
 * function of the child, so that a test can put in builders that crash, hang or lie. */
struct parser_operations {
	int (*unwind)(int file, struct text *answer);
	int (*allocators)(int file, struct text *answer);
	int (*dwarf)(int file, struct text *answer);
	int (*symbols)(int file, int debug_file, struct text *answer);
	int (*lines)(int dwarf_file, int supplementary_file, const uint64_t *addresses, size_t count,
		     bool with_inlines, struct text *answer);
	int (*jit)(int excerpt, const struct jit_source *source, struct text *answer);
};

/* Enters the sandbox and serves. Returns an exit status. */
int parser_child_run(const struct parser_operations *operations);
