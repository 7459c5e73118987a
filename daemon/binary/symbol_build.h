/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the symbol index of an ELF file from its symbol tables. Runs in the parser child.
 */
#pragma once

#include "base/text.h"
#include "binary/elf_file.h"

/*
 * Function symbols of .symtab, .dynsym, the minidebuginfo (.gnu_debugdata), the procedure linkage
 * table ("name@plt") and Go's function table of `elf`, and of `debug`'s .symtab (NULL: no separate
 * debug file; one of another build is left out). `artifact` receives a whole ARTIFACT_SYMBOLS. Returns 0, -ENODATA when there is no symbol, -E2BIG past a limit, or -ENOMEM.
 */
int symbol_build(const struct elf_file *elf, const struct elf_file *debug, struct text *artifact);
