/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an ARTIFACT_JIT lies in memory: what the parser child found in an excerpt of a process's JIT map.
 * SECTION_JIT_SUMMARY is one struct jit_summary, SECTION_JIT_ENTRIES an array of struct jit_entry in the order
 * of the file, SECTION_JIT_LINES one of struct jit_entry_line, SECTION_JIT_NAMES bytes without terminators.
 *
 * The child keeps nothing from one excerpt to the next: what the following one needs to know is the state,
 * which goes back and forth.
 */
#pragma once

#include "base/attributes.h"

#define JIT_MAX_EXCERPT (1UL << 20) /* bytes */
/* In what is shorter a line or record may be cut off, and is waited for. */
#define JIT_WINDOW 65536UL
#define JIT_MAX_NAME 1024  /* bytes; longer ones are cut */
#define JIT_MAX_LINES 65535 /* of one code */

enum jit_format {
	JIT_PERF_MAP,
	JIT_DUMP,
	JIT_FORMAT_COUNT,
};

enum jit_state_flag {
	JIT_IN_LONG_LINE = 1 << 0,  /* of a perf map: longer than the window, to be skipped */
	JIT_HEADER_READ = 1 << 1,   /* the others are of a jitdump file */
	JIT_SWAPPED = 1 << 2,	    /* written on a machine of the other byte order */
	JIT_FOREIGN_CLOCK = 1 << 3, /* its times are not CLOCK_MONOTONIC */
	JIT_CLOSED = 1 << 4,	    /* says that nothing more comes */
	JIT_BROKEN = 1 << 5,	    /* no jitdump file, or its structure is lost */
};
#define JIT_STATE_FLAGS ((1U << 6) - 1)

/* What the child is told of an excerpt. */
struct jit_source {
	uint64_t available; /* bytes of the file from the excerpt's start; not less than the excerpt has */
	uint32_t format;    /* enum jit_format */
	uint32_t state;	    /* enum jit_state_flag, as the excerpt before left it */
};

struct jit_summary {
	uint64_t used; /* bytes of the file that are done with: of a dump also behind the excerpt, up to `available` */
	uint64_t bad;  /* lines or records that were not understood */
	uint32_t state;
	uint32_t padding;
};

enum jit_entry_kind {
	JIT_ENTRY_CODE,
	JIT_ENTRY_MOVE,	 /* the code at `from` is at `start` now */
	JIT_ENTRY_LINES, /* of the code that is loaded next, if that is at `start` */
};

struct jit_entry {
	uint64_t start;
	uint64_t from;
	uint64_t time; /* as the file has it; 0 in a perf map */
	uint32_t size; /* bytes of code */
	uint32_t kind; /* enum jit_entry_kind */
	uint32_t first, count; /* the name's bytes; of JIT_ENTRY_LINES: the lines */
};

struct jit_entry_line {
	uint32_t offset; /* from the start of the code, ascending in an entry */
	uint32_t line;
	uint32_t file, file_length; /* bytes among the names */
};

/* Is this a size and a place that code can have? */
static inline bool jit_code_is_plausible(uint64_t start, uint64_t size)
{
	return size > 0 && size <= 1ULL << 30 && start < 1ULL << 56;
}
