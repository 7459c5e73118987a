/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How symbols lie in an ARTIFACT_SYMBOLS: SECTION_SYMBOLS is an array of these, sorted by address and
 * without two at the same address; SECTION_SYMBOL_NAMES holds their NUL-terminated names.
 */
#pragma once

#include <stdint.h>

struct symbol_record {
	uint64_t address; /* ELF virtual address */
	uint32_t size;	  /* bytes; 0: unknown */
	uint32_t name;	  /* offset into the names */
};
