/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of an ELF file besides its tables: identity and load segments. Made by the parser
 * child, so every field is checked by facts_check() before use.
 */
#pragma once

#include "base/attributes.h"

#define BUILD_ID_MAX 64
#define FACTS_HTLHASH_SIZE 16
#define FACTS_MAX_SEGMENTS 16

enum facts_flag {
	FACTS_HAS_UNWIND = 1 << 0,  /* .eh_frame, .debug_frame or Go tables were found and used */
	FACTS_HAS_SYMTAB = 1 << 1,  /* .symtab (not only .dynsym) */
	FACTS_HAS_DWARF = 1 << 2,   /* .debug_info and .debug_line in this file */
	FACTS_IS_GO = 1 << 3,
	FACTS_HAS_MINIDEBUG = 1 << 4, /* .gnu_debugdata */
};

/* A PT_LOAD as it stands in the file. */
struct facts_segment {
	uint64_t offset; /* p_offset */
	uint64_t address; /* p_vaddr */
	uint64_t file_size;
	uint64_t memory_size;
	uint32_t flags; /* PF_X, PF_W, PF_R */
	uint32_t padding;
};

/* How code reaches a variable of its own thread. Source: Drepper, "ELF Handling For Thread-Local Storage", and
 * the psABIs' TLS descriptors. */
enum thread_variable_access {
	THREAD_VARIABLE_NONE,	     /* there is no such variable */
	THREAD_VARIABLE_FIXED,	     /* at the thread pointer + `offset` */
	THREAD_VARIABLE_OFFSET_SLOT, /* the word at `slot` is that offset */
	THREAD_VARIABLE_MODULE_SLOT, /* the words at `slot`: number of the module, offset in its block */
	THREAD_VARIABLE_DESCRIPTOR,  /* the words at `slot`: a function, and its argument */
	THREAD_VARIABLE_ACCESS_MAX
};

struct thread_variable {
	uint32_t access; /* enum thread_variable_access */
	uint32_t padding;
	uint64_t slot; /* ELF virtual address */
	int64_t offset;
};

struct binary_facts {
	uint16_t machine; /* EM_* */
	uint16_t elf_type; /* ET_* */
	uint32_t flags; /* enum facts_flag */
	uint32_t segment_count;
	uint32_t build_id_size; /* 0: none */
	uint8_t build_id[BUILD_ID_MAX];
	uint8_t htlhash[FACTS_HTLHASH_SIZE]; /* of the file, see file_identity.h */
	char go_build_id[128]; /* NUL-terminated, empty when absent */
	char debuglink[256]; /* .gnu_debuglink file name without directory, NUL-terminated */
	uint32_t debuglink_crc;
	uint32_t padding;
	struct thread_variable context; /* where its threads' trace contexts are: thread_variable.h */
	struct facts_segment segments[FACTS_MAX_SEGMENTS]; /* PT_LOADs, executable ones first kept */
};

/* Are all counts and strings within their arrays, the debuglink a plain file name, and the segments
 * without wrap-around? Returns 0 or -EBADMSG; `facts` may be NULL. */
int facts_check(const struct binary_facts *facts, size_t size);

/* ELF virtual address of a file offset through the executable segment that holds it (any segment if
 * no executable one does). False: none holds it. */
bool facts_offset_to_address(const struct binary_facts *facts, uint64_t offset,
			     uint64_t *ret_address);

/* The segment holding a virtual address, or NULL. */
const struct facts_segment *facts_segment_of(const struct binary_facts *facts, uint64_t address);

/* Lower-case hex of the build id into `buffer` (2 * BUILD_ID_MAX + 1 bytes); "" when there is none. */
const char *facts_build_id_text(const struct binary_facts *facts, char *buffer);

/* Lower-case hex of the htlhash into `buffer` (2 * FACTS_HTLHASH_SIZE + 1 bytes). */
const char *facts_htlhash_text(const struct binary_facts *facts, char *buffer);
