/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ranges of code that a section of call frame information describes, listed with libdw's reader
 * of entries and no code of the daemon.
 */
#pragma once

#include "base/array.h"

#include <elfutils/libdw.h>

struct code_range {
	uint64_t start, end; /* ELF virtual addresses */
};

struct code_ranges {
	ARRAY(struct code_range) list; /* ascending */
};

/* Appends the ranges of section `name` (".eh_frame" or ".debug_frame"). False when there is none. */
bool cfi_functions(Elf *elf, const char *name, struct code_ranges *ret);
