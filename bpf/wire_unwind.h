/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Unwind tables as they lie in the kernel's memory.
 *
 * The arena is one linear space of 16-byte units, cut into 64 KiB chunks (the values of segment
 * maps). A table never straddles a chunk unless it starts at one.
 *
 * A table covers file offsets in pages of 512 bytes: u32 index[page] = row_offset << 9 | wide << 8 |
 * row_count, where row_offset counts u16 from the start of the rows. Narrow row: page offset (9 bits)
 * << 7 | palette index (7 bits). Wide row: two u16, low half first, of page offset << 23 | palette
 * index (23 bits). Rows of a page are sorted; the rule before the first one is the row just before it
 * in the array, which the builder guarantees to exist, in the same format and the same chunk.
 */
#pragma once

#include "wire_types.h"

#define ARENA_UNIT 16
#define ARENA_CHUNK_SIZE 65536
#define ARENA_CHUNK_UNITS (ARENA_CHUNK_SIZE / ARENA_UNIT)
#define ARENA_SEGMENT_CHUNKS 16
#define ARENA_SEGMENT_SIZE (ARENA_SEGMENT_CHUNKS * ARENA_CHUNK_SIZE)
#define ARENA_MAX_SEGMENTS 1024

#define UNWIND_PAGE_SHIFT 9
#define UNWIND_PAGE_SIZE (1 << UNWIND_PAGE_SHIFT)
#define UNWIND_PALETTE_NARROW 128	  /* palette entries a narrow row can name */
#define UNWIND_MAX_PAGE_ROWS 255
#define UNWIND_MAX_ROW_OFFSET (1U << 23)

#define UNWIND_INDEX(row_offset, wide, count) (((u32)(row_offset) << 9) | ((wide) << 8) | (count))

enum rule_kind {
	RULE_NONE = 0,	    /* no unwind information here */
	RULE_END = 1,	    /* return address undefined: entry of the thread */
	RULE_CFA_SP = 2,    /* CFA = SP + cfa_offset */
	RULE_CFA_FP = 3,    /* CFA = FP + cfa_offset */
	RULE_CFA_REGISTER = 4, /* CFA = register `number` + cfa_offset; in a frame that has called another one, only
				* where fp_offset, below 0, says where from SP on that one saves the register */
	RULE_CFA_DEREF_SP = 5, /* CFA = *(SP + low 16 bits of cfa_offset) + high 16 bits, both signed */
	RULE_CFA_DEREF_FP = 6, /* same from FP */
	RULE_PLT = 7,	    /* CFA = SP + word + ((pc & 15) >= number ? word : 0) */
	RULE_SIGNAL = 8,    /* the kernel's signal frame at SP holds all registers */
	RULE_FRAME_POINTER = 9, /* frame record at FP: {caller's FP, return address} */
	RULE_RETURN_REGISTER = 10, /* CFA = SP + cfa_offset, return address in register `number` */
	RULE_NEW_THREAD = 11, /* behind clone's system call: no caller where it returned 0, else as RULE_CFA_SP */
	RULE_KIND_MAX
};

enum rule_flag {
	RULE_FP_AT_CFA = 1 << 0, /* caller's FP is at CFA + fp_offset */
	RULE_FP_AT_FP = 1 << 1,	 /* caller's FP is at FP + fp_offset */
	RULE_RA_AT_CFA = 1 << 2, /* arm64: return address at CFA + ra offset, otherwise in LR */
	RULE_LOOK_AT_CODE = 1 << 2, /* RULE_FRAME_POINTER: unless the code is about to leave its frame */
	RULE_ANY_STACK = 1 << 3, /* RULE_FRAME_POINTER: the caller may run on another stack (Go) */
};

/* The upper half of `flags`: a DWARF register number or PLT threshold (`number`) or, on RULE_CFA_SP,
 * one of these: the CFA offset changes by 8 so many bytes after the row starts (a push or pop that
 * would need a row of its own). */
enum rule_merge {
	RULE_MERGE_NONE = 0,
	RULE_MERGE_PLUS_AFTER_1 = 1,
	RULE_MERGE_PLUS_AFTER_2 = 2,
	RULE_MERGE_MINUS_AFTER_1 = 3,
	RULE_MERGE_MINUS_AFTER_2 = 4,
};
#define RULE_NUMBER(flags) ((flags) >> 4)

/*
 * One palette entry. Offsets are bytes. x86-64: the return address is always at CFA - 8, in 32-bit programs at CFA - 4;
 * registers of these have the numbers they have on x86-64.
 * arm64: cfa_offset holds two signed 16-bit halves in units of 8 bytes: low = CFA offset, high =
 * return address relative to the CFA (with RULE_RA_AT_CFA).
 */
struct unwind_rule {
	u8 kind; /* enum rule_kind */
	u8 flags; /* enum rule_flag, upper half: see above */
	s16 fp_offset;
	s32 cfa_offset;
};

enum binary_state {
	BINARY_PENDING = 0,	  /* the daemon has been told, tables are being made */
	BINARY_READY = 1,
	BINARY_FRAME_POINTERS = 2, /* has no unwind information at all: follow frame pointers */
};

/* Value of the `binaries` map, keyed by struct binary_key. Units are ARENA_UNIT. */
struct binary_entry {
	u32 slot;
	u8 state;   /* enum binary_state */
	u8 noticed; /* the daemon has been told */
	u16 palette_count;
	u32 index;	/* unit where the page index starts */
	u32 rows;	/* unit where the rows start */
	u32 palette;	/* unit where the palette starts */
	u32 first_page; /* first file page covered: file offset / UNWIND_PAGE_SIZE */
	u32 page_count;
	u32 padding;
};

#ifndef __bpf__
_Static_assert(sizeof(struct unwind_rule) == 8, "unwind_rule");
_Static_assert(sizeof(struct binary_entry) == 32, "binary_entry");
#endif
