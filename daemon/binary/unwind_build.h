/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the unwind table of an ELF file from everything the file says about its stack frames:
 * .eh_frame, .debug_frame, Go's function tables, and the machine code of a few well-known stubs.
 */
#pragma once

#include "binary/cfi.h"
#include "binary/elf_file.h"
#include "binary/unwind_layout.h"

struct unwind_build_statistics {
	struct cfi_statistics cfi;
	uint64_t go_functions;
	uint64_t cfi_bytes; /* of .eh_frame and .debug_frame read */
};

/* `ret->header` and `ret->body` are SECTION_UNWIND_HEADER and SECTION_UNWIND_BODY; free with
 * unwind_image_free(). `statistics` may be NULL. Returns 0, -ENODATA (no unwind information),
 * -E2BIG (past a limit) or -ENOMEM. */
int unwind_build(const struct elf_file *elf, struct unwind_image *ret,
		 struct unwind_build_statistics *statistics);
