/* SPDX-License-Identifier: Apache-2.0 */
/* What the parser child found in an excerpt of a JIT map, read where it lies and believed in nothing. */
#pragma once

#include "binary/artifact.h"
#include "binary/jit_layout.h"

/* Points into the artifact. */
struct jit_table {
	const struct jit_summary *summary;
	const struct jit_entry *entries;
	size_t entry_count;
	const struct jit_entry_line *lines;
	const char *names;
};

/* Checks all of it, so that every index in the table is inside, every code plausible and the position no further
 * than the file goes. `size` is the excerpt's, `source` what was told of it. Returns 0 or -EBADMSG. */
int jit_table_open(const struct artifact *artifact, const struct jit_source *source, size_t size,
		   struct jit_table *ret);
