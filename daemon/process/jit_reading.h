/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread does for a JIT map, as the files lie on file systems that may hang: it finds them in the
 * process's root, checks whose they are and whether they are the ones read before, and copies what is new. It
 * looks at no byte of it.
 */
#pragma once

#include "binary/jit_layout.h"
#include "process/jit_tail.h"
#include "process/process.h"

/* Who the process is in its own pid namespace, and whose files it may have written. */
struct jit_identity {
	uint32_t inner_pid;
	uint32_t user_id;
	bool is_known;
};

struct jit_excerpt {
	int file;    /* a sealed copy, open for reading; -1: nothing was copied */
	size_t size; /* bytes copied */
	struct jit_source source;
};

struct jit_reading {
	struct process process; /* what it is asked of: no references, nothing owned */
	char *dump_path;	/* NULL: none */
	const char *proc_path;
	size_t byte_budget;
	struct jit_identity identity;
	struct jit_tail tails[JIT_FORMAT_COUNT];
	struct jit_excerpt excerpts[JIT_FORMAT_COUNT];
	int results[JIT_FORMAT_COUNT]; /* 0, or -errno (ENOENT: no such file) */
};

/* Fills the excerpts; may block. */
void jit_reading_run(struct jit_reading *reading);
struct jit_reading *jit_reading_free(struct jit_reading *reading);
