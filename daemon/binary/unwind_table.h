/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The finished unwind table of one binary, as artifact sections. bpf/wire_unwind.h describes the format of
 * index, rows and palette; here is how they lie together.
 *
 * SECTION_UNWIND_BODY is copied into the arena as it is. A body of up to ARENA_CHUNK_SIZE bytes is
 * placed so that it does not cross a chunk boundary, a larger one starts at a chunk boundary; the
 * builder lays rows out accordingly (a page's rows and the row before them never straddle a chunk).
 */
#pragma once

#include "base/attributes.h"
#include "binary/artifact.h"
#include "bpf/wire_unwind.h"

struct unwind_table_header {
	uint32_t first_page; /* file offset / UNWIND_PAGE_SIZE of the first page */
	uint32_t page_count;
	uint32_t index_offset;	 /* bytes into the body, multiple of ARENA_UNIT */
	uint32_t rows_offset;	 /* same */
	uint32_t row_words;	 /* u16 words of rows */
	uint32_t palette_offset; /* same */
	uint32_t palette_count;	 /* rules */
	uint32_t raw_rows;	 /* rule changes before merging: for statistics */
};

/* A checked table inside an artifact. `body` is NULL when the binary has no unwind information. */
struct unwind_table {
	const struct unwind_table_header *header;
	const char *body;
	size_t body_size;
};

/*
 * Verifies that header and body agree: sections in bounds, every index entry within the rows, every
 * palette index within the palette, every rule kind known. Linear in the size. Returns 0, -ENODATA
 * when the artifact has no table, or -EBADMSG.
 */
int unwind_table_check(const struct artifact *artifact, struct unwind_table *ret);

/* The rule in force at a file offset, by the same search the BPF side makes (merges applied), or
 * RULE_NONE. `t` must have been checked. */
struct unwind_rule unwind_table_find(const struct unwind_table *t, uint64_t file_offset);
