/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that no reader of unwind information described: its frames are found by following it.
 */
#pragma once

#include "binary/unwind_rows.h"

enum unwind_gaps_effort {
	UNWIND_GAPS_WORTHWHILE, /* files of which it takes long and gives little are left alone */
	UNWIND_GAPS_ALL,	/* whatever it takes: for tests, which compare what is found */
};

/* Adds rows for x86-64 code outside the ranges that `rows` has from other sources; nothing for other
 * machines and for Go. Returns 0, -ENOMEM or -E2BIG. */
int unwind_gaps_read(const struct elf_file *elf, enum unwind_gaps_effort effort,
		     struct unwind_rows *rows);
