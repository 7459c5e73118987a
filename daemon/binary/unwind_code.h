/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stack frames of the few pieces of machine code that run without a description.
 */
#pragma once

#include "binary/elf_file.h"
#include "binary/unwind_rows.h"

/* Does the machine code at `address` return from a signal handler (rt_sigreturn)? */
bool code_is_signal_return(const struct elf_file *elf, uint64_t address);

/* Adds the functions of arm64's vDSO, whose linker script drops their CFI; nothing for other files.
 * Returns 0, -ENOMEM or -E2BIG. */
int unwind_vdso_read(const struct elf_file *elf, struct unwind_rows *rows);

/* Adds the process's entry, signal trampolines and thread starts of C libraries, and the functions of arm64's vDSO.
 * Returns 0, -ENOMEM or -E2BIG. */
int unwind_code_read(const struct elf_file *elf, struct unwind_rows *rows);
