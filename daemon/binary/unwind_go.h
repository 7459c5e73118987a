/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stack frames of Go code, from the runtime's own function table.
 */
#pragma once

#include "binary/elf_file.h"
#include "binary/unwind_rows.h"

/* Is there a Go function table, readable or not? Then .debug_frame, which knows of no frame pointers
 * in Go binaries, is worth nothing. */
bool unwind_go_has_table(const struct elf_file *elf);

/* Adds the rows of every Go function; x86-64, Go 1.18 and later. Code of other versions and machines
 * is left out: it keeps frame pointers. Damage ends the reading. `functions` counts. Returns 0,
 * -ENOMEM or -E2BIG. */
int unwind_go_read(const struct elf_file *elf, struct unwind_rows *rows, uint64_t *functions);
