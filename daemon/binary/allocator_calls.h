/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a function calls directly. Private to the finder. */
#pragma once

#include "base/hash.h"
#include "binary/elf_file.h"

#define ALLOCATOR_CODE_LIMIT 4096 /* bytes of a function that are looked at */

/* Does the code in [address, address + size) call or jump to an address that is a key of `targets`, other
 * than `address` itself? */
bool allocator_calls_any(const struct elf_file *elf, uint64_t address, uint64_t size,
			 const struct hash *targets);
