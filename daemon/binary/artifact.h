/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The container in which the parser child answers and the disk cache stores: a header, a list of
 * sections, and the sections in their final layout, ready to be used where they lie.
 *
 * It is foreign bytes both ways (the child parsed a hostile file; the cache may be damaged), so
 * artifact_check() verifies header, sizes, alignment and checksum once, and whoever reads a section
 * still checks every index it takes from it.
 *
 * Layout, little-endian: struct artifact_header, section_count * struct artifact_section, sections
 * at 16-byte aligned ascending offsets, each kind at most once. The checksum is CRC-32 (gzip's) of
 * the whole artifact with the checksum field taken as zero, so that no single flipped bit passes.
 */
#pragma once

#include "base/attributes.h"
#include "base/text.h"

#define ARTIFACT_MAGIC 0x31545241424f4c42ULL /* "BLOBART1" */
#define ARTIFACT_VERSION 16
#define ARTIFACT_MAX_SECTIONS 16

enum artifact_kind {
	ARTIFACT_UNWIND = 1,  /* FACTS, UNWIND_HEADER, UNWIND_BODY */
	ARTIFACT_SYMBOLS = 2, /* SYMBOLS, SYMBOL_NAMES, … (symbol_index.h) */
	ARTIFACT_LINES = 3,   /* answers to line queries (line_answers.h) */
	ARTIFACT_KERNEL_SYMBOLS = 4, /* kernel_symbols_cache.h */
	ARTIFACT_ALLOCATORS = 5, /* ALLOCATORS, ALLOCATOR_PROBES, ALLOCATOR_NAMES (allocator.h) */
	ARTIFACT_DWARF = 6, /* DWARF_FILE */
	ARTIFACT_JIT = 7, /* of an excerpt of a JIT map (jit_layout.h); not cached */
};

enum artifact_section_kind {
	SECTION_FACTS = 1,	    /* struct binary_facts, facts.h */
	SECTION_UNWIND_HEADER = 2,  /* struct unwind_table_header, unwind_table.h */
	SECTION_UNWIND_BODY = 3,    /* copied into the arena as it is */
	SECTION_SYMBOLS = 4,
	SECTION_SYMBOL_NAMES = 5,
	SECTION_LINE_ANSWERS = 6,
	SECTION_LINE_FRAMES = 7,
	SECTION_LINE_NAMES = 8,
	SECTION_SYMBOL_DEBUG = 9, /* struct symbol_debug, symbol_layout.h */
	SECTION_KERNEL_SYMBOLS = 10, /* struct kernel_symbol, kernel_symbols.h */
	SECTION_KERNEL_NAMES = 11,
	SECTION_ALLOCATORS = 12, /* struct allocator_facts, allocator.h */
	SECTION_ALLOCATOR_PROBES = 13, /* struct allocator_probe */
	SECTION_ALLOCATOR_NAMES = 14,
	SECTION_DWARF_FILE = 15, /* an ELF file, dwarf_expand.h */
	SECTION_JIT_SUMMARY = 16, /* struct jit_summary, jit_layout.h */
	SECTION_JIT_ENTRIES = 17, /* struct jit_entry */
	SECTION_JIT_LINES = 18,	  /* struct jit_entry_line */
	SECTION_JIT_NAMES = 19,
};

struct artifact_header {
	uint64_t magic;
	uint32_t version;
	uint32_t kind; /* enum artifact_kind */
	uint64_t size; /* of the whole artifact */
	uint32_t checksum;
	uint32_t section_count;
};

struct artifact_section {
	uint32_t kind; /* enum artifact_section_kind */
	uint32_t padding;
	uint64_t offset; /* from the start of the artifact, multiple of 16 */
	uint64_t size;	 /* bytes */
};

/* A checked artifact in memory that somebody else keeps alive. */
struct artifact {
	const char *bytes;
	size_t size;
};

/* Builds an artifact: begin, add sections, finish. `t` is zero-initialised and owned by the caller. */
void artifact_begin(struct text *t, enum artifact_kind kind);
void artifact_add_section(struct text *t, enum artifact_section_kind kind, const void *bytes,
			  size_t size);
/* Returns 0, -ENOMEM, or -E2BIG past ARTIFACT_MAX_SECTIONS; on failure `t` is to be freed. */
int artifact_finish(struct text *t);

/* Verifies `bytes` (16-byte aligned, as malloc and mmap give them) as an artifact of `kind`. Returns
 * 0 or -EBADMSG; fills *ret only on success. */
int artifact_check(const void *bytes, size_t size, enum artifact_kind kind, struct artifact *ret);

/* An artifact in a file that was checked once. The file may change afterwards: what is read of it later is foreign
 * bytes, and may be missing. */
struct artifact_file {
	int file; /* descriptor, owned by whoever has this */
	struct artifact_section sections[ARTIFACT_MAX_SECTIONS]; /* offsets are from the start of the file */
	size_t section_count;
};

/* Verifies what lies at `offset` of `file`, `size` bytes, as an artifact of `kind`, without having it in memory
 * whole. Returns 0, with ret->file = `file`; -EBADMSG; or another -errno. */
int artifact_file_check(int file, uint64_t offset, uint64_t size, enum artifact_kind kind,
			struct artifact_file *ret);

/* The section of this kind, or NULL. */
const struct artifact_section *artifact_file_section(const struct artifact_file *a,
						     enum artifact_section_kind kind);

/* The section's bytes (16-byte aligned within the artifact) and size; NULL and 0 when absent. */
const void *artifact_section(const struct artifact *a, enum artifact_section_kind kind,
			     size_t *ret_size);
