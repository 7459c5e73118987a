/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that no reader of unwind information described: its frames are found by following it.
 */
#pragma once

#include "binary/unwind_rows.h"

/* Adds rows for x86-64 code outside the ranges that `rows` has from other sources; nothing for other
 * machines and for Go. Returns 0, -ENOMEM or -E2BIG. */
int unwind_gaps_read(const struct elf_file *elf, struct unwind_rows *rows);
