/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that are found by a register which only the function they called can tell.
 */
#pragma once

#include "binary/elf_file.h"
#include "binary/unwind_rows.h"

/* Adds rules for calls in described x86-64 code whose CFA counts from another register than SP and FP, saying where the
 * called function saves it; nothing for other machines. Call it when all descriptions have been read. Returns 0,
 * -ENOMEM or -E2BIG. */
int unwind_saves_read(const struct elf_file *elf, struct unwind_rows *rows);
