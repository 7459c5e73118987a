/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kernel code from /proc/kallsyms: the kernel, its modules, BPF programs and ftrace
 * trampolines. About 8 bytes and its name a symbol.
 */
#pragma once

#include "base/array.h"
#include "base/attributes.h"

struct kernel_symbol {
	uint64_t address;
	uint32_t name;	 /* offset into names */
	uint32_t module; /* offset into names; 0: the kernel itself */
};

struct kernel_symbols {
	ARRAY(struct kernel_symbol) symbols; /* sorted by address */
	char *names; /* NUL-terminated strings; the one at 0 is "" */
	size_t names_size, names_capacity;
	char *stored; /* from the cache: the bytes that all this lies in; NULL: it is our own */
};

/* Reads kallsyms text from `path`. Only code symbols are kept. Returns 0, -EACCES when the kernel shows
 * zeros instead of addresses (kptr_restrict), or -errno. */
int kernel_symbols_load(const char *path, struct kernel_symbols *ret);
void kernel_symbols_free(struct kernel_symbols *symbols);

/* False when the address may be in code that is not kept on disk, so that the kernel has to be asked:
 * outside of the kernel and its modules as they were stored. */
bool kernel_symbols_are_certain(const struct kernel_symbols *symbols, uint64_t address);

/* The symbol at or before `address`, unless that is more than 1 MiB away. Strings live as long as the
 * table. False: none. */
bool kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address,
			 const char **ret_name, const char **ret_module, uint64_t *ret_start);
