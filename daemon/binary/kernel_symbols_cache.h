/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernel symbols kept on disk. The kernel takes some 50 ms to print its 100,000 and more symbols, and
 * they stay what they are until the next boot, except those of modules that come and go and of generated
 * code (BPF programs, trampolines), which are not kept.
 *
 * An entry is bound to the boot, the kernel's build id, the modules with their addresses, and the
 * first page of kallsyms as the kernel shows it to us now: somebody who may not see the addresses finds
 * no entry. The addresses are a secret of the host's: the cache's files are their owner's alone.
 */
#pragma once

#include "base/text.h"
#include "binary/artifact_cache.h"
#include "binary/kernel_symbols.h"

struct kernel_files {
	const char *kallsyms, *modules, *boot_id, *notes;
};

#define KERNEL_FILES_DEFAULT                                                             \
	{                                                                                \
		"/proc/kallsyms", "/proc/modules", "/proc/sys/kernel/random/boot_id",    \
			"/sys/kernel/notes"                                              \
	}

/* What the cache has, read where it lies (`ret->stored`). Returns 0, -ENOENT (also with `cache` NULL) or -errno. */
int kernel_symbols_open(struct artifact_cache *cache, const struct kernel_files *files, struct kernel_symbols *ret);

/* Symbols in memory, without the generated ones, as an entry of the cache; in any thread. Free with text_free(), on
 * failure too. Returns 0 or -errno. */
int kernel_symbols_pack(const struct kernel_symbols *symbols, struct text *ret);

/* Stores them, and opens them where they lie. Blocks for the disk; in any thread. Returns 0 or -errno. */
int kernel_symbols_store(struct artifact_cache *cache, const struct kernel_files *files, const struct text *packed,
			 struct kernel_symbols *ret);
