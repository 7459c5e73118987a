/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the allocators of an ELF file and where to probe them. Runs in the parser child.
 */
#pragma once

#include "binary/allocator.h"
#include "binary/elf_file.h"

/* What SECTION_ALLOCATORS, SECTION_ALLOCATOR_PROBES and SECTION_ALLOCATOR_NAMES hold. */
struct allocator_sections {
	struct text facts, probes, names;
};

/* Fills `ret`, which is zero-initialised and freed with allocator_sections_free() in any case. Returns 0,
 * -ENODATA (the file has no allocator, no names, or is a 32-bit one) or -ENOMEM. */
int allocator_find(const struct elf_file *elf, struct allocator_sections *ret);
void allocator_sections_free(struct allocator_sections *sections);

/* Adds them to an artifact that has begun. */
void allocator_sections_add(const struct allocator_sections *sections, struct text *artifact);
