/* SPDX-License-Identifier: Apache-2.0 */
/* What an excerpt of a JIT map says, added to what is known of the process's code. */
#pragma once

#include "binary/jit_table.h"
#include "process/jit_codes.h"

/* Lines that wait for their code, from one excerpt of a jitdump file to the next. */
struct jit_pending_lines {
	uint64_t address;
	uint32_t lines; /* or JIT_NO_LINES */
};

/* When code is valid from: from the time in the file, but not after `now`; from `previous` when the file has none
 * of our clock. */
struct jit_merge_times {
	uint64_t previous, now;
};

/* A checked table of this format. Returns how many of its entries made no sense. */
uint64_t jit_merge(struct jit_codes *codes, const struct jit_table *table, enum jit_format format,
		   struct jit_pending_lines *pending, struct jit_merge_times times);
