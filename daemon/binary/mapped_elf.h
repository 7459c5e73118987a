/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF file mapped read-only from a descriptor. Truncating it meanwhile raises SIGBUS: for the
 * parser child only, whose death the daemon survives.
 */
#pragma once

#include "binary/elf_file.h"

struct mapped_elf {
	void *bytes;
	size_t size; /* less than the file's where that has large holes */
	struct elf_file elf; /* valid until closed */
};

/* Returns 0, -EBADMSG, -ENOTSUP or -errno; close it in any case. */
int mapped_elf_open(int fd, struct mapped_elf *ret);
void mapped_elf_close(struct mapped_elf *file);
#define _cleanup_mapped_elf_ _cleanup_(mapped_elf_close)
