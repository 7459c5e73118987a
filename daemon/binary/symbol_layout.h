/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How symbols lie in an ARTIFACT_SYMBOLS: SECTION_SYMBOLS is an array of these, sorted by address and
 * without two at the same address; SECTION_SYMBOL_NAMES holds their NUL-terminated names;
 * SECTION_SYMBOL_DEBUG is one struct symbol_debug.
 */
#pragma once

#include "binary/facts.h"

/* Bytes of a name with its NUL; mangled names of templates come to some ten thousand. A longer one is none. */
#define SYMBOL_MAX_NAME (64U << 10)

struct symbol_record {
	uint64_t address; /* ELF virtual address */
	uint32_t size;	  /* bytes; 0: unknown */
	uint32_t name;	  /* offset into the names */
};

enum symbol_debug_flag {
	SYMBOL_DEBUG_FILE_BELONGS = 1 << 0, /* the debug file is of the same link as the binary */
};

/* What was seen of the debug information, and where its shared part (dwz's .gnu_debugaltlink) is. */
struct symbol_debug {
	uint32_t flags;		    /* enum symbol_debug_flag */
	uint32_t supplementary_id_size; /* 0: no shared part */
	uint8_t supplementary_id[BUILD_ID_MAX];
	char supplementary_path[256]; /* absolute, or relative to the file with the link */
};
