/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which code was at which address when: the store behind a jit_map.
 *
 * The present is two arrays of pieces that do not overlap, sorted by address: a large one and a small
 * recent one that wins over it and is merged into it when it has grown to a share of it, so that a
 * batch of new code costs by the batch. New code cuts what it covers; what it covered goes to a log
 * in order of its end, which a lookup of an earlier time reads backwards, and which is bounded.
 */
#pragma once

#include "base/array.h"
#include "base/hash.h"

#define JIT_NO_LINES UINT32_MAX

struct jit_piece {
	uint64_t start;
	uint64_t valid_from;
	uint32_t size;
	uint32_t lead; /* from the start of the code to this piece of it */
	uint32_t code_size;
	uint32_t name; /* in names */
	uint32_t generation;
	uint32_t lines; /* in line_ranges, or JIT_NO_LINES */
};

struct jit_old_piece {
	struct jit_piece piece;
	uint64_t valid_until;
};

struct jit_line {
	uint32_t offset; /* from the start of the code; ascending in a range */
	uint32_t file;	 /* in names */
	uint32_t line;
};

struct jit_line_range {
	uint32_t first, count;
};

typedef ARRAY(struct jit_piece) jit_pieces;

struct jit_codes {
	jit_pieces base, recent;
	jit_pieces batch; /* added since the last commit, in order of addition */
	ARRAY(struct jit_old_piece) old;
	ARRAY(struct jit_line) lines;
	ARRAY(struct jit_line_range) line_ranges;
	struct strings names;
	size_t memory_limit;
	uint32_t generation;
	uint64_t added, dropped;
};

/* Adds code to the batch; code added later wins. Past the memory limit it is counted as dropped. */
void jit_codes_add(struct jit_codes *codes, uint64_t start, uint64_t size, const char *name,
		   size_t name_length, uint64_t valid_from, uint32_t lines);

/* Makes the batch visible. On -ENOMEM the batch is dropped and counted. */
int jit_codes_commit(struct jit_codes *codes);

/* How many pieces a commit of so many new ones goes over, about. */
size_t jit_codes_commit_pieces(const struct jit_codes *codes, size_t added);

/* Returns false when nothing was there at that time. */
bool jit_codes_find(const struct jit_codes *codes, uint64_t address, uint64_t time,
		    struct jit_piece *ret);

/* Is there no room for more? There will be none later. */
bool jit_codes_are_full(const struct jit_codes *codes);

/* Bytes held now. */
size_t jit_codes_memory(const struct jit_codes *codes);
void jit_codes_free(struct jit_codes *codes);
