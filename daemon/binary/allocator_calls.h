/* SPDX-License-Identifier: Apache-2.0 */
/* Where a function's code leads directly. Private to the finder. */
#pragma once

#include "base/hash.h"
#include "binary/elf_file.h"

#define ALLOCATOR_CODE_LIMIT 4096 /* bytes of a function that are looked at */

/* Does the code in [address, address + size) call or jump to an address other than `address` whose value in
 * `targets` has a bit of `mask`? With `depth` more than 0, or a function it leads to? A size of 0: up to
 * where the function seems to end. */
bool allocator_calls_any(const struct elf_file *elf, uint64_t address, uint64_t size,
			 const struct hash *targets, uint64_t mask, unsigned int depth);

/* Does it jump to somewhere in [low, high]? */
bool allocator_jumps_into(const struct elf_file *elf, uint64_t address, uint64_t size, uint64_t low,
			  uint64_t high);

/* Does any executable byte of the file begin a direct call or jump to a key of `targets`? */
bool allocator_anything_calls(const struct elf_file *elf, const struct hash *targets);
