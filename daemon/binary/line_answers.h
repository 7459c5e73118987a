/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source lines and inlined functions at a set of addresses, read from an ARTIFACT_LINES (made
 * from DWARF or Go's function table). Frames are innermost first: the last one is the function
 * that has machine code of its own, as in a pprof Location.
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"

#define LINE_MAX_INLINE_DEPTH 64

struct line_frame {
	const char *function; /* linkage (mangled) name if known, else the plain one; "" if unknown */
	const char *file;     /* full path as the compiler wrote it; "" if unknown */
	uint32_t line;	      /* 0: unknown */
	uint32_t column;      /* 0: unknown */
	uint32_t start_line;  /* where the function is declared; 0: unknown */
};

struct line_answers {
	struct artifact artifact;
	const void *answers;
	size_t answer_count;
	const void *frames;
	size_t frame_count;
	const char *names;
	size_t names_size;
};

/* Returns 0 or -EBADMSG. */
int line_answers_open(const struct artifact *artifact, struct line_answers *ret);

/* Fills up to `capacity` frames for `address`; returns how many, 0 when nothing is known of it.
 * Strings point into the artifact. */
size_t line_answers_find(const struct line_answers *answers, uint64_t address,
			 struct line_frame *frames, size_t capacity);

/* The address of the i-th answer, i < answer_count; ascending unless the artifact is damaged. */
uint64_t line_answers_address(const struct line_answers *answers, size_t i);

/* Was this address asked about, whatever the answer? */
bool line_answers_know(const struct line_answers *answers, uint64_t address);
