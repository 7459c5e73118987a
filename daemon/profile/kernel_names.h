/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel addresses. What the cache keeps will do for the kernel and its modules. For other code the kernel
 * itself is asked: for its BPF programs, and for all it has only where it is none of theirs, and again when that was
 * a while ago, as modules come and go.
 */
#pragma once

#include "binary/kernel_symbols_cache.h"
#include "collect/bpf_symbols.h"
#include "profile/known_names.h"

/* Zero-initialised but for `cache` it has nothing yet. */
struct kernel_names {
	struct artifact_cache *cache; /* somebody else's; NULL: none */
	struct kernel_symbols symbols;
	struct known_names known; /* of those in the cache, if they come again */
	bool come_again;	  /* set by the owner: another profile will follow */
	struct bpf_symbols bpf;
	uint64_t loaded_ns; /* monotonic; 0: not tried yet */
};

/* Reads the symbols now instead of with the first address. What fails is logged once. */
void kernel_names_prepare(struct kernel_names *names);

/* Returns false when there is none. The strings are valid until the next call; the module is "" for the kernel
 * itself. */
bool kernel_names_find(struct kernel_names *names, uint64_t address, const char **ret_name, const char **ret_module);

/* Reads the kernel's own list if the cache's entry was truncated meanwhile. Returns whether it was. */
bool kernel_names_replace_damaged(struct kernel_names *names);

/* What is held of names that come again, bytes. */
size_t kernel_names_bytes(const struct kernel_names *names);

void kernel_names_free(struct kernel_names *names);
