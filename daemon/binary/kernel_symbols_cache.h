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

/* The kernel's symbols: where they lie in the cache (`symbols->stored`), into which they are read from the kernel
 * if it does not have them; without one in memory. Returns as kernel_symbols_load(). `cache` NULL: none. */
int kernel_symbols_get(struct artifact_cache *cache, const struct kernel_files *files,
		       struct kernel_symbols *ret);
